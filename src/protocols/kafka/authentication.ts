import { type Credentials, requireVhost, type SaslExchange, type User } from '../../auth/index.ts'
import type { Flow, VirtualHost } from '../../broker/index.ts'
import { ERROR } from '../../codec/kafka/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { loginPeerOf } from '../../net/index.ts'
import type { KafkaConnection } from './connection.ts'
import type { KafkaShared } from './request-context.ts'

/** Kafka's names for what it supports, in the order in which it lists them. */
export const SASL_MECHANISMS: readonly string[] = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']

/** Who a client without a login is; from this machine only, and only with the built-in password. */
const ANONYMOUS: Credentials = { mechanism: 'PLAIN', username: 'guest', password: 'guest' }

export interface KafkaLogin {
  readonly user: string
  readonly vhost: VirtualHost
}

export interface AuthenticateAnswer {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly authBytes: Buffer
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

  constructor(connection: KafkaConnection, shared: KafkaShared) {
    this.#connection = connection
    this.#shared = shared
  }

  stop(): void {
    this.#exchange = null
    this.takesRawTokens = false
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
      })
      return
    }
    this.#run(this.#step(token), (challenge, refusal) => {
      if (refusal === null) {
        answer({ errorCode: ERROR.NONE, errorMessage: null, authBytes: challenge })
        return
      }
      const { failedLoginDelayMs } = this.#shared.limits
      this.#shared.clock.setTimer(failedLoginDelayMs, () => {
        answer({
          errorCode: ERROR.SASL_AUTHENTICATION_FAILED,
          errorMessage: refusal,
          authBytes: NOTHING,
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

  #enter({ name }: User): void {
    const { users, broker, vhostName } = this.#shared
    requireVhost(users, name, vhostName)
    const vhost = broker.vhost(vhostName)
    if (vhost === undefined) throw new BrokerError('NOT_ALLOWED', `no vhost '${vhostName}'`)
    const connection = this.#connection
    const names = { user: name, vhost: vhostName, owner: connection, connection: connection.name }
    const flow = broker.flows.open(names, connection)
    this.flow?.close()
    this.flow = flow
    this.login = { user: name, vhost }
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
