import type { Authenticator, Peer, SaslExchange, SaslOutcome } from '../../auth/index.ts'
import { type Properties, REASON, type ReasonPacket } from '../../codec/mqtt/index.ts'
import { ConnectRefusal, ProtocolFault } from './faults.ts'

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Enhanced authentication of one connection (MQTT 5 section 4.12): methods are SASL mechanisms by
 * their names, and each login or re-authentication is one exchange.
 */
export class Authentication {
  readonly method: string
  readonly #authenticator: Authenticator
  readonly #peer: Peer
  #exchange: SaslExchange | null

  /** Throws `ConnectRefusal` when there is no such method. */
  constructor(authenticator: Authenticator, peer: Peer, method: string) {
    this.method = method
    this.#authenticator = authenticator
    this.#peer = peer
    this.#exchange = authenticator.exchange(method, peer)
    if (this.#exchange === null) {
      const known = authenticator.mechanisms(peer).join(', ')
      const text = `no authentication method '${method}', there are ${known}`
      throw new ConnectRefusal(REASON.BAD_AUTHENTICATION_METHOD, text)
    }
  }

  /**
   * What the client may send (section 3.15.2.1): the next step of the exchange under way or, once
   * connected, the first of a new one. Throws `ProtocolFault`.
   */
  accept({ reasonCode, properties }: ReasonPacket, isConnected: boolean): void {
    if (properties.authenticationMethod !== this.method) {
      throw new ProtocolFault(`AUTH with another method than '${this.method}' of CONNECT`)
    }
    if (reasonCode === REASON.RE_AUTHENTICATE) {
      if (!isConnected) throw new ProtocolFault('a re-authentication before CONNACK')
      if (this.#exchange !== null) throw new ProtocolFault('a second re-authentication at once')
      this.#exchange = this.#authenticator.exchange(this.method, this.#peer)
    } else if (reasonCode !== REASON.CONTINUE_AUTHENTICATION) {
      throw new ProtocolFault('AUTH with a reason code that only a server sends')
    }
    if (this.#exchange === null)
      throw new ProtocolFault('AUTH where no authentication is under way')
  }

  async step(data: Uint8Array | undefined): Promise<SaslOutcome> {
    const outcome = await this.#exchange!.step(data ?? NOTHING)
    if (outcome.kind !== 'challenge') this.#exchange = null
    return outcome
  }

  /** For AUTH and CONNACK, which both name the method. */
  properties(data: Buffer): Properties {
    return {
      authenticationMethod: this.method,
      ...(data.length === 0 ? {} : { authenticationData: data }),
    }
  }
}
