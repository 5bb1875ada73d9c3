import type { Clock, Timer } from '../lib/clock.ts'
import { FIRST_BYTES_MAX, FIRST_BYTES_TIMEOUT_MS } from './limits.ts'
import type { ConnectionHandler, ProtocolHandler, Transport } from './transport.ts'

/** A protocol and how it begins. */
export interface ProtocolChoice {
  readonly protocol: ProtocolHandler
  /** Null: not enough has come to say. */
  readonly matches: (firstBytes: Buffer) => boolean | null
}

/** Whether what came begins as `expected` does; null while it is shorter and the same. */
export function beginsWith(bytes: Buffer, expected: Buffer): boolean | null {
  const size = Math.min(bytes.length, expected.length)
  if (bytes.compare(expected, 0, size, 0, size) !== 0) return false
  return size === expected.length ? true : null
}

/**
 * Several protocols on one port, told apart by the first bytes of a connection. One that none of
 * them knows, or that says nothing for `FIRST_BYTES_TIMEOUT_MS`, is closed.
 */
export function oneOf(
  name: string,
  choices: readonly ProtocolChoice[],
  clock: Clock,
): ProtocolHandler {
  return { name, accept: (transport) => new Choosing(transport, choices, clock) }
}

class Choosing implements ConnectionHandler {
  readonly #transport: Transport
  readonly #choices: readonly ProtocolChoice[]
  readonly #timer: Timer
  #first: Buffer = Buffer.alloc(0)
  #chosen: ConnectionHandler | null = null

  constructor(transport: Transport, choices: readonly ProtocolChoice[], clock: Clock) {
    this.#transport = transport
    this.#choices = choices
    this.#timer = clock.setTimer(FIRST_BYTES_TIMEOUT_MS, () => transport.destroy())
  }

  received(bytes: Buffer): void {
    if (this.#chosen !== null) this.#chosen.received(bytes)
    else this.#choose(bytes)
  }

  drained(): void {
    this.#chosen?.drained()
  }

  ended(): void {
    if (this.#chosen === null) this.#transport.end()
    else this.#chosen.ended()
  }

  closed(error: Error | null): void {
    this.#timer.cancel()
    this.#chosen?.closed(error)
  }

  shutdown(reason: string): void {
    if (this.#chosen === null) this.#transport.end()
    else this.#chosen.shutdown(reason)
  }

  #choose(bytes: Buffer): void {
    const first = this.#first.length === 0 ? bytes : Buffer.concat([this.#first, bytes])
    let mayCome = false
    for (const { protocol, matches } of this.#choices) {
      const isIt = matches(first)
      mayCome ||= isIt === null
      if (isIt !== true) continue
      this.#timer.cancel()
      this.#first = Buffer.alloc(0)
      this.#chosen = protocol.accept(this.#transport)
      this.#chosen.received(first)
      return
    }
    if (mayCome && first.length < FIRST_BYTES_MAX) this.#first = Buffer.from(first)
    else this.#transport.destroy()
  }
}
