/**
 * Not a broker: the least that lets the load program run, to show how much it can drive.
 *
 * It keeps nothing, knows no queues, confirms each read with one ack and hands every message to
 * the last consumer that came. Run as a program it takes the arguments of `waystation start`.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import {
  ACK_TAG_OFFSET,
  ackFrame,
  FRAME_BODY,
  FRAME_HEADER_BYTES,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  FRAME_SIZE_MAX,
  longString,
  METHOD,
  method,
  shortString,
  table,
  u16,
  u32,
  u8,
} from '../../src/load/wire.ts'

const PENDING_BYTES_MAX = 16 << 20
const DELIVER: Buffer = method(
  1,
  METHOD.basicDeliver,
  shortString('0'),
  u32(0),
  u32(0),
  u8(0),
  shortString(''),
  shortString('bench.0000'),
)
const DELIVER_TAG_OFFSET = 17

/** What to answer to a method: that reply's number and arguments. */
const REPLIES: ReadonlyMap<number, Buffer> = new Map([
  [METHOD.connectionStartOk, method(0, METHOD.connectionTune, u16(0), u32(FRAME_SIZE_MAX), u16(0))],
  [METHOD.connectionOpen, method(0, METHOD.connectionOpen + 1, shortString(''))],
  [METHOD.connectionClose, method(0, METHOD.connectionCloseOk)],
  [METHOD.channelOpen, method(1, METHOD.channelOpen + 1, longString(''))],
  [METHOD.exchangeDeclare, method(1, METHOD.exchangeDeclare + 1)],
  [METHOD.exchangeDelete, method(1, METHOD.exchangeDelete + 1)],
  [METHOD.queueDeclare, method(1, METHOD.queueDeclare + 1, shortString('q'), u32(0), u32(0))],
  [METHOD.queueBind, method(1, METHOD.queueBind + 1)],
  [METHOD.queueDelete, method(1, METHOD.queueDelete + 1, u32(0))],
  [METHOD.basicQos, method(1, METHOD.basicQos + 1)],
  [METHOD.confirmSelect, method(1, METHOD.confirmSelect + 1)],
])

const START: Buffer = method(
  0,
  METHOD.connectionStart,
  u8(0),
  u8(9),
  table({ product: 'sink', version: '0' }),
  longString('PLAIN'),
  longString('en_US'),
)

/** Faults to plant, so that a test can see the load program notice them. */
export interface SinkFaults {
  /** Confirms this message, counted from 0, but never delivers it. */
  readonly lose?: number
}

export function createSink(faults: SinkFaults = {}): Server {
  const shared: Shared = { consumer: null, delivered: 0, faults }
  return createServer((socket) => {
    const session = new SinkSession(socket, shared)
    socket.on('data', (bytes) => session.read(bytes))
    socket.on('error', () => socket.destroy())
  })
}

interface Shared {
  consumer: Socket | null
  delivered: number
  readonly faults: SinkFaults
}

class SinkSession {
  readonly #socket: Socket
  readonly #shared: Shared
  #greeted = false
  #rest: Buffer = Buffer.alloc(0)
  #published = 0
  #confirmed = 0
  #messageAt = 0
  #deliveries: Buffer = Buffer.alloc(0)
  #deliveriesEnd = 0

  constructor(socket: Socket, shared: Shared) {
    this.#socket = socket
    this.#shared = shared
    socket.setNoDelay(true)
  }

  read(bytes: Buffer): void {
    let data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    if (!this.#greeted) {
      if (data.length < 8) return
      this.#greeted = true
      this.#socket.write(START)
      data = data.subarray(8)
    }
    this.#deliveries = Buffer.allocUnsafeSlow(data.length * 2)
    this.#deliveriesEnd = 0
    const at = this.#frames(data)
    this.#rest = Buffer.from(data.subarray(at))
    this.#flush()
  }

  /** Stops in front of the first message that is not whole yet. */
  #frames(data: Buffer): number {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    let done = 0
    let at = 0
    while (data.length - at >= FRAME_OVERHEAD_BYTES) {
      const next = at + FRAME_OVERHEAD_BYTES + view.getUint32(at + 3)
      if (next > data.length) break
      const type = view.getUint8(at)
      if (type === FRAME_METHOD) {
        const id = view.getUint32(at + FRAME_HEADER_BYTES)
        if (id === METHOD.basicPublish) this.#messageAt = next
        else this.#answer(id)
      }
      if (type === FRAME_BODY) this.#deliver(data, this.#messageAt, next)
      const publishing = type !== FRAME_BODY && this.#messageAt > done
      at = next
      if (!publishing) done = at
    }
    this.#messageAt = 0
    return done
  }

  #answer(id: number): void {
    if (id === METHOD.basicConsume) this.#shared.consumer = this.#socket
    const reply = REPLIES.get(id)
    if (reply !== undefined) this.#socket.write(reply)
  }

  #deliver(data: Buffer, from: number, to: number): void {
    const index = this.#published++
    this.#messageAt = 0
    if (index === this.#shared.faults.lose) return
    const at = this.#deliveriesEnd
    const size = DELIVER.length + to - from
    if (at + size > this.#deliveries.length) {
      this.#deliveries = Buffer.concat([this.#deliveries, Buffer.allocUnsafe(size * 64)])
    }
    this.#deliveries.set(DELIVER, at)
    this.#deliveries.writeUInt32BE(++this.#shared.delivered >>> 0, at + DELIVER_TAG_OFFSET)
    data.copy(this.#deliveries, at + DELIVER.length, from, to)
    this.#deliveriesEnd = at + size
  }

  #flush(): void {
    const { consumer } = this.#shared
    if (this.#published > this.#confirmed) {
      const ack = ackFrame(1, 0, true)
      ack.writeUInt32BE(this.#published, ACK_TAG_OFFSET)
      this.#socket.write(ack)
      this.#confirmed = this.#published
    }
    if (this.#deliveriesEnd === 0 || consumer === null) return
    consumer.write(this.#deliveries.subarray(0, this.#deliveriesEnd))
    if (consumer.writableLength < PENDING_BYTES_MAX) return
    this.#socket.pause()
    consumer.once('drain', () => this.#socket.resume())
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const options = { data: { type: 'string' }, listen: { type: 'string' } } as const
  const { values } = parseArgs({ options })
  const port = Number(values.listen?.split(':').at(-1) ?? 0)
  const sink = createSink()
  sink.listen(port, '127.0.0.1')
  process.on('SIGTERM', () => process.exit(0))
}
