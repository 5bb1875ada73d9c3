import type { Clock } from '../lib/clock.ts'
import { type RandomSource, systemRandom } from '../lib/random.ts'
import { BrokerError } from '../model/errors.ts'
import type { Credentials, Peer } from './credentials.ts'
import { LOGINS_DELAYED_MAX, USER_NAME_LENGTH_MAX } from './limits.ts'
import { LoginThrottle } from './login-throttle.ts'
import { OAuthBearer } from './oauth-bearer.ts'
import { SaslExchange } from './sasl-exchange.ts'
import { createSaslMechanism } from './sasl.ts'
import { SCRAM_NAMES } from './scram-verifier.ts'
import { Scram } from './scram.ts'
import { isTokenForm, type TokenSource } from './token-users.ts'
import type { User, UserStore } from './user-store.ts'

export interface AuthenticatorOptions {
  readonly clock: Clock
  /** Users who may log in from this machine only. Default: guest. */
  readonly loopbackUsers?: readonly string[]
  /** For nonces. */
  readonly random?: RandomSource
  /** Absent: a token is a wrong password. */
  readonly tokens?: TokenSource | null
}

const LOOPBACK_USERS: readonly string[] = ['guest']

/** Turns credentials into a user, or into a refusal that tells a stranger nothing. */
export class Authenticator {
  readonly #users: UserStore
  readonly #clock: Clock
  readonly #loopbackUsers: ReadonlySet<string>
  readonly #throttle: LoginThrottle
  readonly #random: RandomSource
  readonly #tokens: TokenSource | null
  #delayedCount = 0

  constructor(users: UserStore, options: AuthenticatorOptions) {
    this.#users = users
    this.#clock = options.clock
    this.#loopbackUsers = new Set(options.loopbackUsers ?? LOOPBACK_USERS)
    this.#random = options.random ?? systemRandom
    this.#throttle = new LoginThrottle(options.clock)
    this.#tokens = options.tokens ?? null
  }

  /** An identity provider is configured, so that a bearer token is a login. */
  get takesTokens(): boolean {
    return this.#tokens !== null
  }

  /** What `exchange` can do for this peer, strongest first. */
  mechanisms(peer: Peer): readonly string[] {
    const names: string[] = [...SCRAM_NAMES, 'PLAIN']
    if (this.#tokens !== null) names.push('OAUTHBEARER')
    return peer.certificateName ? [...names, 'EXTERNAL'] : names
  }

  /** One object a login; null for a mechanism that is unknown or not open to this peer. */
  exchange(name: string, peer: Peer): SaslExchange | null {
    if (!this.mechanisms(peer).includes(name)) return null
    if (name === 'OAUTHBEARER') return new SaslExchange(this, new OAuthBearer(), peer)
    const scram = SCRAM_NAMES.find((scramName) => scramName === name)
    const mechanism =
      scram === undefined
        ? createSaslMechanism(name, peer)
        : new Scram(scram, this.#users, this.#random.id())
    return mechanism === null ? null : new SaslExchange(this, mechanism, peer)
  }

  /**
   * Throws `ACCESS_REFUSED` with the same words whatever was wrong: the reason is the message of
   * `cause`, for the log. Takes its time after failures. `UNAVAILABLE` when overrun.
   */
  async login(credentials: Credentials, peer: Peer): Promise<User> {
    try {
      return await this.#login(credentials, peer)
    } catch (error) {
      const { mechanism, username: user } = credentials
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
      const reason = cause instanceof Error ? cause.message : 'unknown'
      const { address } = peer
      this.#users.audit.record({
        ...{ event: 'login refused', user, peer: address },
        ...{ action: `login by ${mechanism}`, reason },
      })
      throw error
    }
  }

  async #login(credentials: Credentials, peer: Peer): Promise<User> {
    const { mechanism, username } = credentials
    // What is too long to be a name is not worth remembering.
    if (username.length > USER_NAME_LENGTH_MAX) {
      throw refusal(mechanism, `the user name has ${username.length} characters`)
    }
    const token = this.#tokenIn(credentials)
    // Nobody guesses a signature, so failures are not counted: one bad client would slow down all
    // that come from its address without a name.
    if (token !== null) return this.#bearer(credentials, token)
    await this.#wait(credentials, peer)
    const reason = await this.#reasonAgainst(credentials, peer)
    const user = this.#users.get(username)
    if (reason !== null || user === null) {
      this.#throttle.failed(username, peer.address)
      throw refusal(mechanism, reason ?? `user '${username}' was removed`)
    }
    this.#throttle.succeeded(username, peer.address)
    return user
  }

  /** RabbitMQ's way: the token is the password. */
  #tokenIn(credentials: Credentials): string | null {
    if (this.#tokens === null) return null
    if ('token' in credentials) return credentials.token
    if (!('password' in credentials) || credentials.password === null) return null
    return isTokenForm(credentials.password) ? credentials.password : null
  }

  async #bearer({ mechanism, username }: Credentials, token: string): Promise<User> {
    const claims = await this.#tokens!.claimsOf(token).catch((error: unknown) => {
      throw refusal(mechanism, error instanceof Error ? error.message : 'the token is not good')
    })
    // With PLAIN the name is whatever the client must have one for; as with RabbitMQ.
    if (mechanism === 'OAUTHBEARER' && username !== '' && username !== claims.name) {
      throw refusal(mechanism, `the token is of '${claims.name}', not of '${username}'`)
    }
    return this.#users.bearer(claims, this.#clock.now())
  }

  async #wait({ mechanism, username }: Credentials, peer: Peer): Promise<void> {
    const waitMs = this.#throttle.admit(username, peer.address)
    if (waitMs === 0) return
    if (waitMs === null || this.#delayedCount >= LOGINS_DELAYED_MAX) {
      const who = `user '${username}' from ${peer.address}`
      throw refusal(mechanism, `${who} failed too often and was not looked at`)
    }
    this.#delayedCount += 1
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#clock.setTimer(waitMs, resolve)
    await promise
    this.#delayedCount -= 1
  }

  async #reasonAgainst(credentials: Credentials, peer: Peer): Promise<string | null> {
    const { username } = credentials
    if ('token' in credentials) return 'no identity provider is configured'
    if ('reasonAgainst' in credentials) {
      const reason = credentials.reasonAgainst()
      if (reason !== null) return reason
    } else if (credentials.password === null) {
      const name = peer.certificateName ?? null
      if (name === null || name !== username) return 'the peer has no certificate for that name'
      if (this.#users.get(username) === null) return `no user '${username}'`
    } else {
      const reason = await this.#reasonAgainstPassword(username, credentials.password, peer)
      if (reason !== null) return reason
    }
    if (!peer.loopback && this.#loopbackUsers.has(username)) {
      return `user '${username}' can only connect via localhost`
    }
    return null
  }

  async #reasonAgainstPassword(
    username: string,
    password: string,
    { address }: Peer,
  ): Promise<string | null> {
    try {
      const isRight = await this.#users.verifyPassword(username, password, address)
      return isRight ? null : `user '${username}' - invalid credentials`
    } catch (error) {
      // Guesses that come together: refused unseen, in the words of any other.
      if (error instanceof BrokerError && error.code === 'ACCESS_REFUSED') return error.message
      throw error
    }
  }
}

function refusal(mechanism: string, reason: string): BrokerError {
  return new BrokerError(
    'ACCESS_REFUSED',
    `Login was refused using authentication mechanism ${mechanism}. ` +
      'For details see the broker logfile.',
    { cause: new Error(reason) },
  )
}
