import type { ProtocolHandler, Transport } from './transport.ts'

/** A transport as its listener sees it. */
export interface OwnedTransport extends Transport {
  /** Hands the connection to the protocol; `onClosed` is for the listener's books. */
  start(protocol: ProtocolHandler, onClosed: (transport: OwnedTransport) => void): void
  /** Asks the protocol to say goodbye. */
  shutdown(reason: string): void
}

let lastId = 0

/** Unique in the process, whatever kind of transport it is. */
export function nextTransportId(): number {
  lastId += 1
  return lastId
}
