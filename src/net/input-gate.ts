import type { Transport } from './transport.ts'

/** Why a socket is not read. */
export const PAUSE: {
  readonly HELD: 1
  readonly ALARM: 2
  readonly OVERLOADED: 4
  readonly OUTPUT: 8
  readonly THROTTLED: 16
  readonly FLOW: 32
} = { HELD: 1, ALARM: 2, OVERLOADED: 4, OUTPUT: 8, THROTTLED: 16, FLOW: 32 }
export type PauseReason = 1 | 2 | 4 | 8 | 16 | 32

/**
 * Why frames that came are not parsed: an answer is awaited, the client reads none, or one waits for
 * the answers to earlier ones.
 */
export const HOLD: {
  readonly ANSWER: 1
  readonly OUTPUT: 2
  readonly EARLIER: 4
} = { ANSWER: 1, OUTPUT: 2, EARLIER: 4 }
export type HoldReason = 1 | 2 | 4

/** Reads a socket while no reason speaks against it. */
export class ReadGate {
  readonly #transport: Transport
  #reasons = 0

  constructor(transport: Transport) {
    this.#transport = transport
  }

  get isOpen(): boolean {
    return this.#reasons === 0
  }

  isClosedFor(reason: PauseReason): boolean {
    return (this.#reasons & reason) !== 0
  }

  close(reason: PauseReason): void {
    if (this.#reasons === 0) this.#transport.pause()
    this.#reasons |= reason
  }

  open(reason: PauseReason): void {
    if ((this.#reasons & reason) === 0) return
    this.#reasons &= ~reason
    if (this.#reasons === 0) this.#transport.resume()
  }

  openAll(): void {
    if (this.#reasons === 0) return
    this.#reasons = 0
    this.#transport.resume()
  }
}

/**
 * Input that waits to be parsed: the rest of the read in which a request was held, and whatever
 * was on its way when the socket was paused. So it is bounded by a read or two.
 */
export class HeldInput {
  #bytes: Buffer = NOTHING

  get isEmpty(): boolean {
    return this.#bytes.length === 0
  }

  get size(): number {
    return this.#bytes.length
  }

  /** Copies from `start` on: reads are borrowed. */
  add(bytes: Buffer, start: number): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(start)])
  }

  take(): Buffer {
    const bytes = this.#bytes
    this.#bytes = NOTHING
    return bytes
  }

  clear(): void {
    this.#bytes = NOTHING
  }
}

const NOTHING: Buffer = Buffer.alloc(0)
