import type { Broker, HeldBack } from '../../broker/index.ts'
import type { MethodInput } from '../../codec/amqp091/index.ts'
import { PAUSE, type ReadGate } from '../../net/index.ts'
import type { ClientCapabilities } from './handshake.ts'
import { shortened } from './short-text.ts'

/** The connection that is held back. */
export interface PublishingPeer {
  readonly broker: Broker
  readonly capabilities: ClientCapabilities
  readonly publishedCount: number
  send(channel: number, method: MethodInput): void
}

/** Keeps a connection from being read while its publishers must wait, and tells it of that. */
export class Backpressure {
  readonly #peer: PublishingPeer
  readonly #gate: ReadGate
  #isToldBlocked = false

  constructor(peer: PublishingPeer, gate: ReadGate) {
    this.#peer = peer
    this.#gate = gate
  }

  /** By an alarm; a limit of its own is no alarm. */
  get isBlocked(): boolean {
    return this.#gate.isClosedFor(PAUSE.ALARM)
  }

  /** After a read that published: one that begins while publishers wait is to wait as well. */
  published(): void {
    const { pressure } = this.#peer.broker
    if (pressure.alarm !== null || pressure.overloaded) this.changed()
  }

  /** The broker's state changed: publishers stop or go on, and are told of an alarm. */
  changed(): void {
    const { broker, publishedCount } = this.#peer
    const { alarm, overloaded } = broker.pressure
    const isPublisher = publishedCount > 0
    if (alarm !== null && isPublisher) {
      this.#gate.close(PAUSE.ALARM)
      this.#tellBlocked(alarm)
    } else if (alarm === null) {
      this.#gate.open(PAUSE.ALARM)
      if (!this.#gate.isClosedFor(PAUSE.FLOW)) this.#tellUnblocked()
    }
    if (overloaded && isPublisher) this.#gate.close(PAUSE.OVERLOADED)
    else if (!overloaded) this.#gate.open(PAUSE.OVERLOADED)
  }

  /** A limit is reached, or has room again. */
  heldBack(held: HeldBack | null): void {
    if (held === null) {
      this.#gate.open(PAUSE.FLOW)
      if (!this.isBlocked) this.#tellUnblocked()
    } else {
      this.#gate.close(PAUSE.FLOW)
      this.#tellBlocked(held.reason)
    }
  }

  #tellBlocked(reason: string): void {
    if (this.#isToldBlocked || !this.#peer.capabilities.connectionBlocked) return
    this.#isToldBlocked = true
    this.#peer.send(0, { name: 'connection.blocked', reason: shortened(reason) })
  }

  #tellUnblocked(): void {
    if (!this.#isToldBlocked) return
    this.#isToldBlocked = false
    this.#peer.send(0, { name: 'connection.unblocked' })
  }
}
