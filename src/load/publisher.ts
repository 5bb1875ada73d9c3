import { nowMs } from './clock.ts'
import { Connection } from './connection.ts'
import type { Endpoint } from './raw-socket.ts'
import { LatencyHistogram, type Latencies } from './histogram.ts'
import { Sampler, type Sample } from './sampler.ts'
import {
  BODY_SEQUENCE_OFFSET,
  BODY_TIME_OFFSET,
  FRAME_HEADER_BYTES,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  METHOD,
  method,
  publishFrames,
  u8,
} from './wire.ts'

export interface PublishSpec extends Endpoint {
  readonly role: 'publish'
  readonly exchange: string
  /** Used in turn; all of one length. */
  readonly routingKeys: readonly string[]
  readonly bodyBytes: number
  /** Messages that may be unconfirmed at once. */
  readonly window: number
  /** Ends after this many messages or seconds, whichever comes first. */
  readonly count: number
  readonly seconds: number
  /** Messages a second; 0 is as fast as confirms allow. */
  readonly rate: number
  /** Where the latencies of several are counted together. Default: its own, at a fixed rate only. */
  readonly confirmHistogram?: LatencyHistogram
}

export interface PublishResult {
  readonly published: number
  readonly confirmed: number
  /** Of all sequence numbers, to compare with what consumers saw. */
  readonly sequenceSum: number
  readonly startMs: number
  readonly endMs: number
  readonly samples: readonly Sample[]
  readonly confirmLatencies: Latencies | null
  /** How often the broker said that it does not read. */
  readonly blocked: number
}

/** A tick this late is the load program's own fault no more: the due time is stamped then. */
const LATE_MS = 2
const CONFIRM_STALL_MS = 60_000

/**
 * Publishes from a ring of ready-made frames.
 *
 * A slot is stamped and written again only when its message was confirmed, so it has certainly
 * left the socket. The ring has twice the window, because confirms may come out of order.
 */
export class Publisher {
  readonly #spec: PublishSpec
  readonly #connection: Connection
  readonly #ring: Buffer
  readonly #view: DataView
  readonly #slotBytes: number
  readonly #slotCount: number
  readonly #bodyAt: number
  readonly #batchMin: number
  /** 1 for a slot confirmed while an older message is not. */
  readonly #early: Uint8Array
  readonly #histogram: LatencyHistogram | null
  readonly #sampler: Sampler = new Sampler()
  #earlyCount = 0
  #published = 0
  /** Every sequence number below is confirmed. */
  #confirmedBelow = 0
  #stopping = false
  #finish: () => void = () => {}

  private constructor(spec: PublishSpec, connection: Connection) {
    this.#spec = spec
    this.#connection = connection
    const turns = Math.ceil((2 * spec.window) / spec.routingKeys.length)
    this.#slotCount = turns * spec.routingKeys.length
    const body = Buffer.alloc(spec.bodyBytes, 'x')
    const slots = spec.routingKeys.map((key) => publishFrames(spec.exchange, key, body))
    this.#slotBytes = slots[0]?.length ?? 0
    if (slots.some((slot) => slot.length !== this.#slotBytes)) {
      throw new Error('all routing keys must have one length')
    }
    this.#ring = Buffer.allocUnsafeSlow(this.#slotCount * this.#slotBytes)
    const turn = Buffer.concat(slots)
    for (let at = 0; at < this.#ring.length; at += turn.length) turn.copy(this.#ring, at)
    this.#view = new DataView(this.#ring.buffer)
    this.#bodyAt = this.#slotBytes - spec.bodyBytes - 1
    // Waking for every single confirm would cost the CPU that the broker is to have.
    this.#batchMin = Math.max(1, spec.window >> 4)
    this.#early = new Uint8Array(this.#slotCount)
    this.#histogram = spec.confirmHistogram ?? (spec.rate > 0 ? new LatencyHistogram() : null)
    this.#connection.scan = (view, end) => this.#scan(view, end)
  }

  static async open(spec: PublishSpec): Promise<Publisher> {
    const connection = await Connection.open(spec)
    await connection.ask(method(1, METHOD.confirmSelect, u8(0)))
    return new Publisher(spec, connection)
  }

  /** Publishes until count or time is up and all is confirmed. */
  async run(): Promise<PublishResult> {
    const startMs = nowMs()
    this.#sampler.start(() => this.confirmed)
    const timer = setTimeout(() => this.stop(), this.#spec.seconds * 1000)
    let stalled: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        this.#finish = resolve
        this.#connection.onError = reject
        stalled = this.#watchStall(reject)
        if (this.#spec.rate > 0) this.#tick(startMs)
        else this.#publishAvailable()
      })
    } finally {
      clearTimeout(timer)
      clearInterval(stalled)
      this.#sampler.stop()
    }
    const endMs = nowMs()
    await this.#connection.close()
    return {
      published: this.#published,
      confirmed: this.confirmed,
      sequenceSum: (this.#published * (this.#published - 1)) / 2,
      startMs,
      endMs,
      samples: this.#sampler.samples,
      confirmLatencies: this.#histogram?.latencies() ?? null,
      blocked: this.#connection.blockedCount,
    }
  }

  get published(): number {
    return this.#published
  }

  get confirmed(): number {
    return this.#published - this.#unconfirmed()
  }

  /** Publishes no more: `run` resolves when all is confirmed. */
  stop(): void {
    this.#stopping = true
    if (this.#unconfirmed() === 0) this.#finish()
  }

  /** Lets go of the connection, whatever is under way. */
  abort(): void {
    this.#connection.socket.destroy()
  }

  #unconfirmed(): number {
    return this.#published - this.#confirmedBelow - this.#earlyCount
  }

  #watchStall(reject: (error: Error) => void): NodeJS.Timeout {
    let seen = -1
    return setInterval(() => {
      if (this.#unconfirmed() > 0 && this.#confirmedBelow === seen) {
        reject(new Error(`no confirm for ${CONFIRM_STALL_MS} ms, ${this.#unconfirmed()} missing`))
      }
      seen = this.#confirmedBelow
    }, CONFIRM_STALL_MS)
  }

  #publishAvailable(): void {
    if (this.#stopping) {
      if (this.#unconfirmed() === 0) this.#finish()
      return
    }
    const unconfirmed = this.#unconfirmed()
    const room = Math.min(
      this.#spec.window - unconfirmed,
      this.#slotCount - (this.#published - this.#confirmedBelow),
    )
    if (room < this.#batchMin && unconfirmed > 0) return
    const stampMs = this.#histogram === null ? 0 : nowMs()
    this.#publish(Math.min(room, this.#spec.count - this.#published), stampMs)
    if (this.#published === this.#spec.count) this.stop()
  }

  /** At a fixed rate: sends what is due, then sleeps a millisecond. */
  #tick(startMs: number): void {
    if (this.#stopping) return
    const now = nowMs()
    const due = Math.floor(((now - startMs) * this.#spec.rate) / 1000) - this.#published
    const room = this.#slotCount - (this.#published - this.#confirmedBelow)
    if (due > room) {
      const unconfirmed = this.#unconfirmed()
      this.#connection.fail(new Error(`the rate cannot be held: ${unconfirmed} unconfirmed`))
      return
    }
    if (due > 0) {
      const dueMs = startMs + (this.#published * 1000) / this.#spec.rate
      this.#publish(due, now - dueMs > LATE_MS ? dueMs : now)
    }
    if (this.#published >= this.#spec.count) this.stop()
    else setTimeout(() => this.#tick(startMs), 1)
  }

  #publish(count: number, timeMs: number): void {
    let sequence = this.#published
    const end = sequence + count
    while (sequence < end) {
      const from = sequence % this.#slotCount
      const run = Math.min(end - sequence, this.#slotCount - from)
      let at = from * this.#slotBytes + this.#bodyAt
      for (let index = 0; index < run; index++) {
        this.#view.setUint32(at + BODY_SEQUENCE_OFFSET, sequence + index)
        if (timeMs !== 0) this.#view.setFloat64(at + BODY_TIME_OFFSET, timeMs)
        at += this.#slotBytes
      }
      const start = from * this.#slotBytes
      this.#connection.socket.write(this.#ring.subarray(start, start + run * this.#slotBytes))
      sequence += run
    }
    this.#published = end
  }

  #scan(view: DataView, end: number): number {
    let at = 0
    while (end - at >= FRAME_OVERHEAD_BYTES) {
      const next = at + FRAME_OVERHEAD_BYTES + view.getUint32(at + 3)
      if (next > end) break
      if (view.getUint8(at) === FRAME_METHOD) {
        const payload = at + FRAME_HEADER_BYTES
        if (view.getUint32(payload) === METHOD.basicAck) {
          this.#confirm(view.getUint32(payload + 8), view.getUint8(payload + 12) === 1)
        } else {
          this.#connection.unexpected(view, at)
        }
      }
      at = next
    }
    if (this.#spec.rate === 0) this.#publishAvailable()
    else if (this.#stopping && this.#unconfirmed() === 0) this.#finish()
    return at
  }

  #confirm(tag: number, multiple: boolean): void {
    const sequence = tag - 1
    if (sequence >= this.#published) throw new Error(`confirm of unpublished message ${tag}`)
    if (!multiple && sequence !== this.#confirmedBelow) {
      const slot = sequence % this.#slotCount
      if (sequence < this.#confirmedBelow || this.#early[slot] === 1) {
        throw new Error(`message ${tag} is confirmed twice`)
      }
      this.#early[slot] = 1
      this.#earlyCount++
      if (this.#histogram !== null) this.#recordLatency(sequence)
      return
    }
    while (this.#confirmedBelow <= sequence) this.#raise()
    while (this.#early[this.#confirmedBelow % this.#slotCount] === 1) this.#raise()
  }

  #raise(): void {
    const slot = this.#confirmedBelow % this.#slotCount
    if (this.#early[slot] === 1) {
      this.#early[slot] = 0
      this.#earlyCount--
    } else if (this.#histogram !== null) {
      this.#recordLatency(this.#confirmedBelow)
    }
    this.#confirmedBelow++
  }

  #recordLatency(sequence: number): void {
    const at = (sequence % this.#slotCount) * this.#slotBytes + this.#bodyAt + BODY_TIME_OFFSET
    this.#histogram?.record(nowMs() - this.#view.getFloat64(at))
  }
}
