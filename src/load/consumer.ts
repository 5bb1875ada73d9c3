import { nowMs, sleep } from './clock.ts'
import { Connection } from './connection.ts'
import type { Endpoint } from './raw-socket.ts'
import { LatencyHistogram, type Latencies } from './histogram.ts'
import { Sampler, type Sample } from './sampler.ts'
import {
  ACK_FRAME_BYTES,
  ACK_TAG_OFFSET,
  ackFrame,
  nackFrame,
  BODY_SEQUENCE_OFFSET,
  BODY_TIME_OFFSET,
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_HEADER_BYTES,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  METHOD,
  method,
  shortString,
  table,
  u16,
  u32,
  u8,
} from './wire.ts'

export interface ConsumeSpec extends Endpoint {
  readonly role: 'consume'
  readonly queues: readonly string[]
  /** Unacknowledged messages per queue. */
  readonly prefetch: number
  /** Fails on a gap or a step back in the sequence; only for one queue and one publisher. */
  readonly checkOrder: boolean
  readonly measureLatency: boolean
  /** Takes the first message with basic.get on a channel of its own and never settles it. */
  readonly holdFirst: boolean
  /** What becomes of each message. Default `ack`. */
  readonly settle?: 'ack' | 'reject' | 'requeue'
  /** Where the latencies of several are counted together. Default: its own. */
  readonly histogram?: LatencyHistogram
}

export interface ConsumeResult {
  readonly consumed: number
  readonly redelivered: number
  readonly sequenceSum: number
  readonly startMs: number
  readonly endMs: number
  readonly samples: readonly Sample[]
  readonly latencies: Latencies | null
}

const STALL_MS = 60_000
/** How long messages may stay unacknowledged while fewer than a tenth of the prefetch are. */
const ACK_DELAY_MS = 5
/** Time for a message too many to show up. */
const EXTRA_WAIT_MS = 100

/** Consumes, and acknowledges what several reads brought with one `multiple` ack. */
export class Consumer {
  readonly #spec: ConsumeSpec
  readonly #connection: Connection
  readonly #ack: Buffer
  readonly #ackEvery: number
  readonly #ackTimer: NodeJS.Timeout
  readonly #histogram: LatencyHistogram | null
  readonly #sampler: Sampler = new Sampler()
  readonly #startMs: number = nowMs()
  #held: Connection | null = null
  #consumed = 0
  #redelivered = 0
  #sequenceSum = 0
  #deliveryTag = 0
  /** The last delivery whose whole body has come; the one to acknowledge. */
  #completeTag = 0
  #ackedTag = 0
  #bodyBytes = 0
  #bodyBytesLeft = 0
  #lastReadMs = 0
  #expected = Number.POSITIVE_INFINITY
  #reached: () => void = () => {}
  #failed: (error: Error) => void = () => {}
  #failure: Error | null = null

  private constructor(spec: ConsumeSpec, connection: Connection) {
    this.#spec = spec
    this.#connection = connection
    const { settle = 'ack' } = spec
    const nack = { multiple: true, requeue: settle === 'requeue' }
    this.#ack = settle === 'ack' ? ackFrame(1, 0, true) : nackFrame(1, 0, nack)
    this.#histogram = spec.measureLatency ? (spec.histogram ?? new LatencyHistogram()) : null
    this.#ackEvery = Math.max(1, Math.floor(spec.prefetch / 10))
    this.#ackTimer = setInterval(() => this.#acknowledge(1), ACK_DELAY_MS)
    connection.onError = (error) => {
      this.#failure = error
      this.#stopTimers()
      this.#failed(error)
    }
  }

  static async open(spec: ConsumeSpec): Promise<Consumer> {
    const connection = await Connection.open(spec)
    const consumer = new Consumer(spec, connection)
    if (spec.holdFirst) await consumer.#holdFirst()
    const prefetch = [u32(0), u16(spec.prefetch), u8(0)]
    await connection.ask(method(1, METHOD.basicQos, ...prefetch))
    consumer.#sampler.start(() => consumer.#consumed)
    // The first delivery may share a read with a consume-ok, so the hot scan takes both.
    connection.scan = (view, end) => consumer.#scan(view, end)
    for (const [index, queue] of spec.queues.entries()) {
      const noWait = 8
      const tag = String(index)
      const args = [u16(0), shortString(queue), shortString(tag), u8(noWait), table({})]
      connection.socket.write(method(1, METHOD.basicConsume, ...args))
    }
    return consumer
  }

  get consumed(): number {
    return this.#consumed
  }

  /** Why it gets no more; null: it does. */
  get failure(): Error | null {
    return this.#failure
  }

  /** Lets go of the connection, whatever is under way. */
  abort(): void {
    this.#stopTimers()
    this.#connection.socket.destroy()
  }

  /** Resolves when `expected` messages were seen, all are acknowledged and no more came. */
  async finish(expected: number): Promise<ConsumeResult> {
    this.#expected = expected
    let stalled: NodeJS.Timeout | undefined
    await new Promise<void>((resolve, reject) => {
      this.#reached = resolve
      this.#failed = reject
      stalled = this.#watchStall(reject)
      if (this.#failure !== null) reject(this.#failure)
      if (this.#consumed >= expected) resolve()
    }).finally(() => clearInterval(stalled))
    await sleep(EXTRA_WAIT_MS)
    this.#stopTimers()
    this.#acknowledge(1)
    await this.#connection.close()
    return {
      consumed: this.#consumed,
      redelivered: this.#redelivered,
      sequenceSum: this.#sequenceSum,
      startMs: this.#startMs,
      endMs: this.#lastReadMs,
      samples: this.#sampler.samples,
      latencies: this.#histogram?.latencies() ?? null,
    }
  }

  /** Gives the held message back, by closing its connection. */
  async release(): Promise<void> {
    await this.#held?.close()
    this.#held = null
  }

  async #holdFirst(): Promise<void> {
    this.#held = await Connection.open(this.#spec)
    const queue = this.#spec.queues[0] ?? ''
    const request = method(1, METHOD.basicGet, u16(0), shortString(queue), u8(0))
    const reply = await this.#held.ask(request)
    if (reply.readUInt32BE(0) !== METHOD.basicGetOk) throw new Error(`queue ${queue} is empty`)
  }

  #stopTimers(): void {
    this.#sampler.stop()
    clearInterval(this.#ackTimer)
  }

  #watchStall(reject: (error: Error) => void): NodeJS.Timeout {
    let seen = -1
    return setInterval(() => {
      if (this.#consumed === seen) {
        reject(new Error(`no message for ${STALL_MS} ms, ${this.#consumed} of ${this.#expected}`))
      }
      seen = this.#consumed
    }, STALL_MS)
  }

  #scan(view: DataView, end: number): number {
    this.#lastReadMs = nowMs()
    let at = 0
    while (end - at >= FRAME_OVERHEAD_BYTES) {
      const size = view.getUint32(at + 3)
      const next = at + FRAME_OVERHEAD_BYTES + size
      if (next > end) break
      const payload = at + FRAME_HEADER_BYTES
      const type = view.getUint8(at)
      if (type === FRAME_METHOD) {
        if (view.getUint32(payload) === METHOD.basicDeliver) {
          const tagAt = payload + 5 + view.getUint8(payload + 4)
          this.#deliveryTag = view.getUint32(tagAt + 4)
          this.#redelivered += view.getUint8(tagAt + 8)
        } else {
          this.#connection.unexpected(view, at)
        }
      } else if (type === FRAME_HEADER) {
        this.#bodyBytes = view.getUint32(payload + 8)
        this.#bodyBytesLeft = this.#bodyBytes
      } else if (type === FRAME_BODY) {
        if (this.#bodyBytesLeft === this.#bodyBytes) this.#count(view, payload)
        this.#bodyBytesLeft -= size
        if (this.#bodyBytesLeft === 0) this.#completeTag = this.#deliveryTag
      }
      at = next
    }
    this.#acknowledge(this.#ackEvery)
    if (this.#consumed >= this.#expected) this.#reached()
    return at
  }

  #count(view: DataView, body: number): void {
    const sequence = view.getUint32(body + BODY_SEQUENCE_OFFSET)
    if (this.#spec.checkOrder) {
      const due = this.#consumed + (this.#spec.holdFirst ? 1 : 0)
      if (sequence !== due) throw new Error(`message ${sequence} came where ${due} was due`)
    }
    this.#sequenceSum += sequence
    this.#consumed++
    if (this.#histogram !== null) {
      this.#histogram.record(this.#lastReadMs - view.getFloat64(body + BODY_TIME_OFFSET))
    }
  }

  /** Sends nothing while the last ack is still in the socket, for its bytes are used again. */
  #acknowledge(countMin: number): void {
    if (this.#completeTag - this.#ackedTag < countMin) return
    if (this.#connection.socket.writableLength > 0) return
    this.#ackedTag = this.#completeTag
    this.#ack.writeUInt32BE(this.#completeTag, ACK_TAG_OFFSET)
    this.#connection.socket.write(this.#ack.subarray(0, ACK_FRAME_BYTES))
  }
}
