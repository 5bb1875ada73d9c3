import { AckBuffer } from './ack-buffer.ts'
import { nowMs } from '../clock.ts'
import type { LatencyHistogram } from '../histogram.ts'
import type { MqttClient } from './client.ts'
import {
  BODY_PUBLISHER_OFFSET,
  BODY_SEQUENCE_OFFSET,
  PACKET,
  PacketRange,
  publishPacket,
  type Qos,
} from './wire.ts'

export interface PublisherSpec {
  /** Told apart by it where several publish to one subscriber. */
  readonly index: number
  readonly topic: string
  readonly qos: Qos
  readonly bodyBytes: number
  /** Messages that may be under way at once; 65,535 at most. */
  readonly window: number
  /** How many subscribers each message is for. */
  readonly copies: number
  readonly latencies?: MqttLatencies | undefined
}

/** From publish to acknowledgement, and to each arrival. */
export interface MqttLatencies {
  readonly acknowledged: LatencyHistogram
  readonly arrived: LatencyHistogram
}

/** What a publisher says during a read. */
export interface PublisherEvents {
  /** A message is done: `proceed` is due at the end of the read. */
  touch(publisher: MqttPublisher): void
  /** The read ends. */
  settle(): void
}

/** Set in a slot's awaited count while its acknowledgement is. */
const ACK_AWAITED = 1 << 30

/**
 * Publishes from a ring of ready-made packets, one slot for each message that may be under way.
 *
 * A message is done when it was acknowledged (QoS 1 and 2) and came to all its subscribers; so
 * nothing needs to be dropped at QoS 0 either, and a slot that is written again has left the
 * socket. The packet id of a slot is always the same.
 */
export class MqttPublisher {
  published = 0
  acknowledged = 0
  /** In the list of those that may go on. */
  isTouched = false
  readonly #spec: PublisherSpec
  readonly #client: MqttClient
  readonly #ring: Buffer
  readonly #view: DataView
  readonly #slotBytes: number
  readonly #bodyAt: number
  readonly #batchMin: number
  /** Of each slot: subscribers its message has not come to, and whether its ack is missing. */
  readonly #awaited: Int32Array
  /** When the message of each slot was published; empty where nobody asks. */
  readonly #sentMs: Float64Array
  readonly #acks = new AckBuffer()
  readonly #range = new PacketRange()
  readonly #events: PublisherEvents
  /** Every message below is done. */
  #doneBelow = 0

  constructor(client: MqttClient, spec: PublisherSpec, events: PublisherEvents) {
    this.#spec = spec
    this.#client = client
    this.#events = events
    const { topic, qos, window, bodyBytes } = spec
    const { version } = client
    const body = Buffer.alloc(bodyBytes, 'x')
    body.writeUInt32BE(spec.index, BODY_PUBLISHER_OFFSET)
    const slots = Array.from({ length: window }, (_, slot) =>
      publishPacket({ version, topic, qos, packetId: slot + 1, body }),
    )
    this.#ring = Buffer.concat(slots)
    this.#view = new DataView(this.#ring.buffer, this.#ring.byteOffset, this.#ring.length)
    this.#slotBytes = this.#ring.length / window
    this.#bodyAt = this.#slotBytes - bodyBytes
    // Waking for every single message would cost the CPU that the broker is to have.
    this.#batchMin = Math.max(1, window >> 2)
    this.#awaited = new Int32Array(window)
    this.#sentMs = new Float64Array(spec.latencies === undefined ? 0 : window)
    client.scan = (view, end) => {
      const at = this.#scan(view, end)
      events.settle()
      return at
    }
  }

  get underWay(): number {
    return this.published - this.#doneBelow
  }

  /** Publishes what the window has room for, `countMax` in all at most; returns how many now. */
  proceed(countMax: number): number {
    const { window } = this.#spec
    const { underWay } = this
    const room = Math.min(window - underWay, countMax - this.published)
    if (room <= 0 || (room < this.#batchMin && underWay > 0)) return 0
    const end = this.published + room
    while (this.published < end) {
      const from = this.published % window
      const run = Math.min(end - this.published, window - from)
      this.#stamp(from, run)
      const start = from * this.#slotBytes
      this.#client.socket.write(this.#ring.subarray(start, start + run * this.#slotBytes))
      this.published += run
    }
    return room
  }

  /** One subscriber has it. */
  arrived(sequence: number): void {
    if (sequence >= this.published || sequence < this.#doneBelow) {
      throw new Error(`message ${sequence} came, which is not under way`)
    }
    const slot = sequence % this.#spec.window
    const { latencies } = this.#spec
    if (latencies !== undefined) latencies.arrived.record(nowMs() - (this.#sentMs[slot] ?? 0))
    this.#set(slot, (this.#awaited[slot] ?? 0) - 1)
  }

  #stamp(from: number, run: number): void {
    const { qos, copies } = this.#spec
    const awaited = copies + (qos === 0 ? 0 : ACK_AWAITED)
    if (this.#sentMs.length > 0) this.#sentMs.fill(nowMs(), from, from + run)
    let at = from * this.#slotBytes + this.#bodyAt + BODY_SEQUENCE_OFFSET
    for (let index = 0; index < run; index++) {
      this.#view.setUint32(at, this.published + index)
      this.#awaited[from + index] = awaited
      at += this.#slotBytes
    }
  }

  #set(slot: number, awaited: number): void {
    this.#awaited[slot] = awaited
    if (awaited > 0) return
    const { window } = this.#spec
    while (this.#doneBelow < this.published && this.#awaited[this.#doneBelow % window] === 0) {
      this.#doneBelow++
    }
    if (!this.isTouched) this.#events.touch(this)
  }

  #scan(view: DataView, end: number): number {
    const range = this.#range
    let at = 0
    while (range.next(view, at, end)) {
      const type = range.first >> 4
      if (type < PACKET.PUBACK || type > PACKET.PUBCOMP) {
        throw new Error(`a publisher got a packet of type ${type}`)
      }
      const packetId = view.getUint16(range.body)
      if (type === PACKET.PUBREC) this.#acks.add(PACKET.PUBREL, packetId)
      else this.#acknowledge(packetId)
      at = range.end
    }
    this.#acks.flush(this.#client.socket)
    return at
  }

  #acknowledge(packetId: number): void {
    const slot = packetId - 1
    const awaited = this.#awaited[slot] ?? 0
    if (awaited < ACK_AWAITED) throw new Error(`packet ${packetId} is acknowledged twice`)
    this.acknowledged++
    const { latencies } = this.#spec
    if (latencies !== undefined) latencies.acknowledged.record(nowMs() - (this.#sentMs[slot] ?? 0))
    this.#set(slot, awaited - ACK_AWAITED)
  }
}
