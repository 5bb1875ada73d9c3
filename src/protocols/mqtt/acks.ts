import type { Broker, CommitListener } from '../../broker/index.ts'
import { type AckType, PACKET } from '../../codec/mqtt/index.ts'

/** Who sends what is acknowledged. */
export interface AckSender {
  readonly broker: Broker
  sendAck(type: AckType, packetId: number, reasonCode: number): void
  /** What was to be acknowledged could not be stored. */
  storeFailed(error: Error): void
}

interface Awaited {
  readonly ticket: number
  /** type << 24 | reason << 16 | packet id */
  readonly acks: number[]
}

/** Acknowledgements of one connection that wait until what they stand for is stored. */
export class Acks implements CommitListener {
  readonly #sender: AckSender
  readonly #awaited: Awaited[] = []
  #current: Awaited | null = null
  /** Publishes of QoS 1 that are not acknowledged yet. */
  publishCount = 0

  constructor(sender: AckSender) {
    this.#sender = sender
  }

  /** Sends it when all that this turn brought is stored. */
  add(type: AckType, packetId: number, reasonCode: number): void {
    const { broker } = this.#sender
    if (type === PACKET.PUBACK) this.publishCount++
    const ack = (type << 24) | (reasonCode << 16) | packetId
    if (this.#current !== null && this.#current.ticket === broker.ticket) {
      this.#current.acks.push(ack)
      return
    }
    const awaited: Awaited = { ticket: broker.onCommit(this), acks: [ack] }
    this.#awaited.push(awaited)
    this.#current = awaited
  }

  committed(_ticket: number, error: Error | null): void {
    const awaited = this.#awaited.shift()
    if (awaited === this.#current) this.#current = null
    if (awaited === undefined) return
    if (error !== null) {
      this.#sender.storeFailed(error)
      return
    }
    for (const ack of awaited.acks) {
      const type = (ack >>> 24) as AckType
      if (type === PACKET.PUBACK) this.publishCount--
      this.#sender.sendAck(type, ack & 0xffff, (ack >>> 16) & 0xff)
    }
  }
}
