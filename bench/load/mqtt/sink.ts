/**
 * Not a broker: the least that lets the MQTT load program run, to show how much it can drive.
 *
 * It keeps nothing, looks at no topic, acknowledges each read at once and hands every PUBLISH, as it
 * came, to everyone who subscribed. Run as a program it takes the arguments of `waystation start`.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { AckBuffer } from '../../../src/load/mqtt/ack-buffer.ts'
import {
  packet,
  PACKET,
  packetIdStart,
  PacketRange,
  PINGRESP,
} from '../../../src/load/mqtt/wire.ts'

const CONNACK = Buffer.of(PACKET.CONNACK << 4, 2, 0, 0)
const PENDING_BYTES_MAX = 16 << 20

/** Faults to plant, so that a test can see the load program notice them. */
export interface MqttSinkFaults {
  /** Acknowledges this message, counted from 0, but delivers it to nobody. */
  readonly lose?: number
  /** Delivers this message twice. */
  readonly double?: number
}

export function createMqttSink(faults: MqttSinkFaults = {}): Server {
  const shared: Shared = { subscribers: new Set(), published: 0, faults }
  return createServer({ noDelay: true }, (socket) => {
    const session = new MqttSinkSession(socket, shared)
    socket.on('data', (bytes) => session.read(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => shared.subscribers.delete(socket))
  })
}

interface Shared {
  readonly subscribers: Set<Socket>
  published: number
  readonly faults: MqttSinkFaults
}

class MqttSinkSession {
  readonly #socket: Socket
  readonly #shared: Shared
  readonly #acks = new AckBuffer()
  readonly #range = new PacketRange()
  #rest: Buffer = Buffer.alloc(0)
  #deliveries: Buffer[] = []

  constructor(socket: Socket, shared: Shared) {
    this.#socket = socket
    this.#shared = shared
  }

  read(bytes: Buffer): void {
    const data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const view = new DataView(data.buffer, data.byteOffset, data.length)
    const range = this.#range
    let at = 0
    while (range.next(view, at, data.length)) {
      this.#take(data, at)
      at = range.end
    }
    this.#rest = data.subarray(at)
    this.#acks.flush(this.#socket)
    this.#deliver()
  }

  #take(data: Buffer, at: number): void {
    const { first, body, end } = this.#range
    const type = first >> 4
    if (type === PACKET.CONNECT) this.#socket.write(CONNACK)
    else if (type === PACKET.PINGREQ) this.#socket.write(PINGRESP)
    else if (type === PACKET.DISCONNECT) this.#socket.end()
    else if (type === PACKET.SUBSCRIBE) {
      this.#shared.subscribers.add(this.#socket)
      const id = data.subarray(body, body + 2)
      this.#socket.write(packet(PACKET.SUBACK << 4, id, Buffer.of(0)))
    } else if (type === PACKET.PUBREC) this.#acks.add(PACKET.PUBREL, data.readUInt16BE(body))
    else if (type === PACKET.PUBREL) this.#acks.add(PACKET.PUBCOMP, data.readUInt16BE(body))
    else if (type === PACKET.PUBLISH) this.#publish(data, at, end)
  }

  #publish(data: Buffer, from: number, to: number): void {
    const qos = (this.#range.first >> 1) & 3
    if (qos > 0) {
      const view = new DataView(data.buffer, data.byteOffset, data.length)
      const packetId = view.getUint16(packetIdStart(view, this.#range))
      this.#acks.add(qos === 1 ? PACKET.PUBACK : PACKET.PUBREC, packetId)
    }
    const { faults } = this.#shared
    const index = this.#shared.published++
    if (index === faults.lose) return
    const message = data.subarray(from, to)
    this.#deliveries.push(message)
    if (index === faults.double) this.#deliveries.push(message)
  }

  #deliver(): void {
    if (this.#deliveries.length === 0) return
    const bytes = Buffer.concat(this.#deliveries)
    this.#deliveries = []
    for (const subscriber of this.#shared.subscribers) {
      subscriber.write(bytes)
      if (subscriber.writableLength < PENDING_BYTES_MAX) continue
      this.#socket.pause()
      subscriber.once('drain', () => this.#socket.resume())
    }
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const options = { data: { type: 'string' }, listen: { type: 'string' } } as const
  const { values } = parseArgs({ options })
  const port = Number(values.listen?.split(':').at(-1) ?? 0)
  const sink = createMqttSink()
  sink.listen(port, '127.0.0.1')
  process.on('SIGTERM', () => process.exit(0))
}
