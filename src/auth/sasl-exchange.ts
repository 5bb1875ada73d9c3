import { BrokerError } from '../model/errors.ts'
import type { Authenticator } from './authenticator.ts'
import type { Peer } from './credentials.ts'
import type { SaslMechanism } from './sasl.ts'
import type { User } from './user-store.ts'

/**
 * `challenge`: send this and wait for the next message. `done`: who it is, and what the mechanism
 * has for the peer beside the good news; it may be empty. `failed`: refuse; the message is fit for
 * the peer, the cause is for the log. `isMalformed`: the peer does not speak the mechanism.
 */
export type SaslOutcome =
  | { readonly kind: 'challenge'; readonly data: Buffer }
  | { readonly kind: 'done'; readonly user: User; readonly data: Buffer }
  | { readonly kind: 'failed'; readonly error: BrokerError; readonly isMalformed: boolean }

const NO_BYTES: Buffer = Buffer.alloc(0)

/**
 * One login by messages to and fro, whatever the mechanism. One object a login, good until it is
 * done or has failed; one step at a time. What a peer may send is bounded by its protocol.
 */
export class SaslExchange {
  readonly #authenticator: Authenticator
  readonly #mechanism: SaslMechanism
  readonly #peer: Peer
  /** The peer was told in the mechanism's own way, and has to answer. */
  #refused: BrokerError | null = null

  constructor(authenticator: Authenticator, mechanism: SaslMechanism, peer: Peer) {
    this.#authenticator = authenticator
    this.#mechanism = mechanism
    this.#peer = peer
  }

  get mechanism(): string {
    return this.#mechanism.name
  }

  /** Takes its time after failures, as every login does. */
  async step(message: Uint8Array): Promise<SaslOutcome> {
    if (this.#refused !== null) {
      return { kind: 'failed', error: this.#refused, isMalformed: false }
    }
    const step = this.#mechanism.respond(message)
    if (step.kind === 'challenge') return step
    if (step.kind === 'malformed') {
      const text = `the ${this.#mechanism.name} message cannot be understood`
      const error = new BrokerError('ACCESS_REFUSED', text, { cause: new Error(step.reason) })
      return { kind: 'failed', error, isMalformed: true }
    }
    try {
      const user = await this.#authenticator.login(step.credentials, this.#peer)
      return { kind: 'done', user, data: step.success ?? NO_BYTES }
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      if (step.refusal !== undefined) {
        this.#refused = error
        return { kind: 'challenge', data: step.refusal }
      }
      return { kind: 'failed', error, isMalformed: false }
    }
  }
}
