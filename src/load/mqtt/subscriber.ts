import { AckBuffer } from './ack-buffer.ts'
import type { MqttClient } from './client.ts'
import {
  BODY_PUBLISHER_OFFSET,
  BODY_SEQUENCE_OFFSET,
  PACKET,
  packetIdStart,
  PacketRange,
  payloadStart,
} from './wire.ts'

/** Where a subscriber says what came; both are called during a read. */
export interface Arrivals {
  arrived(publisher: number, sequence: number): void
  /** Everything the read brought is counted. */
  settle(): void
}

/** Counts what comes, checks its order, and acknowledges what a read brought in one write. */
export class MqttSubscriber {
  consumed = 0
  redelivered = 0
  readonly #client: MqttClient
  readonly #arrivals: Arrivals
  /** By publisher. */
  readonly #due: Uint32Array
  readonly #acks = new AckBuffer()
  readonly #range = new PacketRange()

  constructor(client: MqttClient, publisherCount: number, arrivals: Arrivals) {
    this.#client = client
    this.#arrivals = arrivals
    this.#due = new Uint32Array(publisherCount)
    client.scan = (view, end) => this.#scan(view, end)
  }

  #scan(view: DataView, end: number): number {
    const range = this.#range
    let at = 0
    while (range.next(view, at, end)) {
      const type = range.first >> 4
      if (type === PACKET.PUBLISH) this.#take(view)
      else if (type === PACKET.PUBREL) this.#acks.add(PACKET.PUBCOMP, view.getUint16(range.body))
      else throw new Error(`a subscriber got a packet of type ${type}`)
      at = range.end
    }
    this.#acks.flush(this.#client.socket)
    this.#arrivals.settle()
    return at
  }

  #take(view: DataView): void {
    const range = this.#range
    const qos = (range.first >> 1) & 3
    if (qos > 0) {
      const packetId = view.getUint16(packetIdStart(view, range))
      this.#acks.add(qos === 1 ? PACKET.PUBACK : PACKET.PUBREC, packetId)
    }
    const body = payloadStart(view, range, this.#client.version)
    const sequence = view.getUint32(body + BODY_SEQUENCE_OFFSET)
    const publisher = view.getUint32(body + BODY_PUBLISHER_OFFSET)
    const due = this.#due[publisher]
    if (sequence !== due) throw new Error(`message ${sequence} came where ${due} was due`)
    this.#due[publisher] = sequence + 1
    this.consumed++
    if ((range.first & 8) !== 0) this.redelivered++
    this.#arrivals.arrived(publisher, sequence)
  }
}
