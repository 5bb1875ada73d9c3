import {
  type Credentials,
  LoginExpiry,
  principalOf,
  requireVhost,
  type SaslExchange,
  type User,
} from '../../auth/index.ts'
import type { Flow, VirtualHost } from '../../broker/index.ts'
import { ERROR } from '../../codec/kafka/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { loginPeerOf } from '../../net/index.ts'
import type { KafkaConnection } from './connection.ts'
import type { KafkaShared } from './request-context.ts'

/** Kafka's names for what it supports, in the order in which it lists them. */
const SASL_MECHANISMS: readonly string[] = [
  'PLAIN',
  'SCRAM-SHA-256',
  'SCRAM-SHA-512',
  'OAUTHBEARER',
]

/** Who a client without a login is; from this machine only, and only with the built-in password. */
const ANONYMOUS: Credentials = { mechanism: 'PLAIN', username: 'guest', password: 'guest' }

export interface KafkaLogin {
  readonly user: string
  /** Whom to ask permissions for. */
  readonly principal: string
  readonly vhost: VirtualHost
}

export interface AuthenticateAnswer {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly authBytes: Buffer
  /** When the client has to log in again (KIP-368); 0: never. */
  readonly sessionLifetimeMs: number
}

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Who is at the other end: SASL in either of its two wrappings (raw tokens after SaslHandshake v0,
 * SaslAuthenticate after v1), a client certificate, or a guest of this machine.
 */
export class Authentication {
  /** Null until somebody has logged in. */
  login: KafkaLogin | null = null
  /** The limits of whoever has. */
  flow: Flow | null = null
  /** What comes next is a token without a request header. */
  takesRawTokens = false
  /** A login is under way; nothing else is answered meanwhile. */
  isBusy = false
  readonly #connection: KafkaConnection
  readonly #shared: KafkaShared
  #exchange: SaslExchange | null = null
  readonly #expiry: LoginExpiry

  constructor(connection: KafkaConnection, shared: KafkaShared) {
    this.#connection = connection
    this.#shared = shared
    this.#expiry = new LoginExpiry(shared.clock, () => connection.fail('the token has expired'))
  }

  stop(): void {
    this.#exchange = null
    this.takesRawTokens = false
    this.#expiry.stop()
  }

  /** Those that are open to this client. */
  mechanisms(): string[] {
    const open = this.#shared.authenticator.mechanisms(loginPeerOf(this.#connection.peer))
    return SASL_MECHANISMS.filter((name) => open.includes(name))
  }

  /** Returns the error code; with NONE, tokens of that mechanism may come. */
  handshake(name: string, apiVersion: number): number {
    const peer = loginPeerOf(this.#connection.peer)
    const isKnown = SASL_MECHANISMS.includes(name)
    const exchange = isKnown ? this.#shared.authenticator.exchange(name, peer) : null
    if (exchange === null) return ERROR.UNSUPPORTED_SASL_MECHANISM
    this.#exchange = exchange
    this.takesRawTokens = apiVersion === 0
    return ERROR.NONE
  }

  /** One token of SaslAuthenticate. After a failure the connection is closed by and by. */
  authenticate(token: Buffer, answer: (answer: AuthenticateAnswer) => void): void {
    if (this.#exchange === null) {
      answer({
        errorCode: ERROR.ILLEGAL_SASL_STATE,
        errorMessage: 'SaslAuthenticate without a SaslHandshake before it',
        authBytes: NOTHING,
        sessionLifetimeMs: 0,
      })
      return
    }
    this.#run(this.#step(token), (challenge, refusal) => {
      if (refusal === null) {
        const leftMs = this.#exchange === null ? this.#expiry.leftMs : null
        const sessionLifetimeMs = Math.max(Math.floor(leftMs ?? 0), 0)
        answer({
          errorCode: ERROR.NONE,
          errorMessage: null,
          authBytes: challenge,
          sessionLifetimeMs,
        })
        return
      }
      const { failedLoginDelayMs } = this.#shared.limits
      this.#shared.clock.setTimer(failedLoginDelayMs, () => {
        answer({
          errorCode: ERROR.SASL_AUTHENTICATION_FAILED,
          errorMessage: refusal,
          authBytes: NOTHING,
          sessionLifetimeMs: 0,
        })
        this.#connection.fail(refusal)
      })
    })
  }

  /** One token without a header; answered in the same way, and by silence when it is refused. */
  rawToken(token: Buffer): void {
    this.#run(this.#step(token), (challenge, refusal) => {
      if (refusal !== null) {
        this.#connection.fail(refusal)
        return
      }
      if (this.login !== null) this.takesRawTokens = false
      const framed = Buffer.allocUnsafe(4 + challenge.length)
      framed.writeInt32BE(challenge.length, 0)
      challenge.copy(framed, 4)
      this.#connection.output.append(framed)
      this.#connection.requestOutput()
    })
  }

  /** Lets a client in that sent a request without a login: by its certificate, or as a guest. */
  anonymous(then: () => void): void {
    if (this.#exchange !== null) {
      // Such as of a client that did not understand that its token was refused.
      this.#connection.fail('a request in the middle of a login')
      return
    }
    const { certificateName } = loginPeerOf(this.#connection.peer)
    const credentials: Credentials =
      certificateName === null
        ? ANONYMOUS
        : { mechanism: 'EXTERNAL', username: certificateName, password: null }
    this.#run(this.#logIn(credentials), (_challenge, refusal) => {
      if (refusal === null) then()
      else this.#connection.fail(`a request before a login: ${refusal}`)
    })
  }

  /** Resolves to the next token for the client. Rejects with what to refuse. */
  async #step(token: Buffer): Promise<Buffer> {
    const outcome = await this.#exchange!.step(token)
    if (outcome.kind === 'challenge') return outcome.data
    this.#exchange = null
    if (outcome.kind === 'failed') throw outcome.error
    this.#enter(outcome.user)
    return outcome.data
  }

  async #logIn(credentials: Credentials): Promise<Buffer> {
    this.#enter(
      await this.#shared.authenticator.login(credentials, loginPeerOf(this.#connection.peer)),
    )
    return NOTHING
  }

  #enter(user: User): void {
    const { users, broker, vhostName } = this.#shared
    const { name } = user
    if (this.login !== null && this.login.user !== name) {
      const text = `Cannot change principals during re-authentication from ${this.login.user}: ${name}`
      throw new BrokerError('NOT_ALLOWED', text)
    }
    requireVhost(users, principalOf(user), vhostName)
    const vhost = broker.vhost(vhostName)
    if (vhost === undefined) throw new BrokerError('NOT_ALLOWED', `no vhost '${vhostName}'`)
    const connection = this.#connection
    const names = { user: name, vhost: vhostName, owner: connection, connection: connection.name }
    const flow = broker.flows.open(names, connection)
    this.flow?.close()
    this.flow = flow
    this.login = { user: name, principal: principalOf(user), vhost }
    this.#expiry.renew(user)
    this.#shared.log.info(
      { connection: this.#connection.name, user: name, vhost: vhostName },
      'client logged in',
    )
  }

  #run(work: Promise<Buffer>, done: (challenge: Buffer, refusal: string | null) => void): void {
    this.isBusy = true
    this.#connection.hold()
    const finish = (challenge: Buffer, error: unknown): void => {
      this.isBusy = false
      if (this.#connection.isClosed) return
      if (error === null) done(challenge, null)
      else done(challenge, this.#refusalOf(error))
      if (!this.#connection.isClosed) this.#connection.release()
    }
    work.then(
      (challenge) => finish(challenge, null),
      (error: unknown) => finish(NOTHING, error),
    )
  }

  /** What a stranger is told: the same words whatever was wrong; the reason goes to the log. */
  #refusalOf(error: unknown): string {
    if (error instanceof BrokerError) {
      this.#shared.log.warn(
        { connection: this.#connection.name, err: error.cause ?? error },
        `login refused: ${error.message}`,
      )
      // Whoever may not enter has said who he is.
      if (error.code === 'NOT_ALLOWED') return `Authentication failed: ${error.message}`
    } else {
      this.#shared.log.error({ connection: this.#connection.name, err: error }, 'a login failed')
    }
    return 'Authentication failed: Invalid username or password'
  }
}
