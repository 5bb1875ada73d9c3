import type { Broker, CommitListener } from '../../broker/index.ts'

/** Who sends the packets. */
export interface StoredFirstPeer {
  readonly broker: Broker
  sendStored(packets: readonly Buffer[]): void
  /** What they hold could not be stored. */
  storeFailed(error: Error): void
}

interface Awaited {
  readonly ticket: number
  readonly packets: Buffer[]
}

/**
 * Packets of QoS 2 that wait until the messages in them are stored.
 *
 * A client remembers a packet id of QoS 2 over a crash of the broker. Had the crash taken the
 * message, another one might get its id, and the client would take that for a repetition and drop
 * it. Of QoS 0 and 1 it remembers nothing, so those need not wait.
 */
export class StoredFirst implements CommitListener {
  readonly #peer: StoredFirstPeer
  readonly #awaited: Awaited[] = []
  /** Octets that wait; whoever adds stops at a limit of his own. */
  bytes = 0

  constructor(peer: StoredFirstPeer) {
    this.#peer = peer
  }

  add(packet: Buffer): void {
    const { broker } = this.#peer
    this.bytes += packet.length
    const last = this.#awaited.at(-1)
    if (last !== undefined && last.ticket === broker.ticket) last.packets.push(packet)
    else this.#awaited.push({ ticket: broker.onCommit(this), packets: [packet] })
  }

  committed(_ticket: number, error: Error | null): void {
    const awaited = this.#awaited.shift()
    if (awaited === undefined) return
    for (const packet of awaited.packets) this.bytes -= packet.length
    if (error === null) this.#peer.sendStored(awaited.packets)
    else this.#peer.storeFailed(error)
  }
}
