import {
  type Authenticator,
  type Credentials,
  principalOf,
  requirePermission,
  requireVhost,
  type User,
  type UserStore,
} from '../../auth/index.ts'
import { type Broker, DEFAULT_VHOST } from '../../broker/index.ts'
import type { Clock } from '../../lib/clock.ts'
import { BrokerError } from '../../model/errors.ts'
import { loginPeerOf, type PeerInfo } from '../../net/index.ts'
import { type Callee, permissionNameOf } from '../../rpc/call.ts'
import { CallRights } from '../../rpc/call-rights.ts'
import type { RpcCore } from '../../rpc/core.ts'
import { PROVIDER_SERVICE, ProviderService } from '../../rpc/attach/provider-service.ts'
import { REGISTRY_SERVICE, RegistryService } from '../../rpc/directory/registry-service.ts'
import {
  basicOf,
  bearerOf,
  type Caller,
  type GrpcLimits,
  isBasic,
  Login,
  type Logins,
  OwnServices,
} from '../../rpc/grpc/index.ts'
import type { Registry } from '../../rpc/registry.ts'
import { type Status, statusOf } from '../../rpc/status.ts'

/** Who a client without a login is; from this machine only, and only with the built-in password. */
const ANONYMOUS: Credentials = { mechanism: 'PLAIN', username: 'guest', password: 'guest' }

export interface LoginParts {
  readonly authenticator: Authenticator
  readonly users: UserStore
  readonly broker: Broker
  readonly core: RpcCore
  readonly clock: Clock
  readonly limits: GrpcLimits
}

/** A user in a virtual host, and what it may call. */
class UserCaller implements Caller {
  readonly user: string
  /** When its token ends; others have none. */
  readonly expiresAtMs: number
  readonly vhost: string
  readonly relay: Callee
  readonly own: OwnServices
  readonly #registry: Registry
  readonly #rights: CallRights

  constructor({ core, users, clock, limits }: LoginParts, account: User, vhost: string) {
    const user = principalOf(account)
    this.user = account.name
    this.expiresAtMs = account.expiresAtMs ?? Infinity
    this.vhost = vhost
    const { relay, registry, directory } = core.host(vhost)
    this.relay = relay
    this.#registry = registry
    this.#rights = new CallRights((name, kind) => {
      requirePermission(users, { user, vhost, resource: 'queue', name, kind })
    }, limits.pathsMax)
    // Looking for what may be seen is no try to get in, which would stand in the audit log.
    const maySee = (service: string): boolean => {
      return users.allowed(user, vhost, permissionNameOf(service), 'write')
    }
    const requireProviding = (service: string): void => this.#rights.requireProviding(service)
    const { messageBytesMax } = limits
    const more = new Map<string, RegistryService | ProviderService>([
      [
        REGISTRY_SERVICE,
        new RegistryService({ directory, clock, account, maySee, requireProviding }),
      ],
      [
        PROVIDER_SERVICE,
        new ProviderService({
          ...{ registry, clock, random: core.random, account, messageBytesMax, requireProviding },
        }),
      ],
    ])
    this.own = new OwnServices({ registry, maySee, more })
  }

  refusalOf(path: string): Status | null {
    return this.#rights.refusalOf(path)
  }

  isSafe(path: string): boolean {
    return this.#registry.isSafe(path)
  }

  forget(): void {
    this.#rights.forget()
  }

  drain(reason: string): void {
    this.own.drain(reason)
  }
}

/** It is known who calls, and he may not enter the virtual host. */
class NoEntry extends BrokerError {}

/**
 * The logins of one connection, by what requests say in `authorization`: HTTP Basic names a user of
 * the broker, and so does a bearer token where an identity provider is configured; nothing, or a
 * scheme of somebody else, is whom the certificate names, or a guest of this machine.
 */
export class BrokerLogins implements Logins {
  readonly #parts: LoginParts
  readonly #peer: PeerInfo
  readonly #logins = new Map<string, Login>()

  constructor(parts: LoginParts, peer: PeerInfo) {
    this.#parts = parts
    this.#peer = peer
  }

  get callers(): UserCaller[] {
    const outcomes = [...this.#logins.values()].map(({ outcome }) => outcome)
    return outcomes.filter((outcome) => outcome instanceof UserCaller)
  }

  isOurs(authorization: string): boolean {
    if (isBasic(authorization)) return true
    return this.#parts.authenticator.takesTokens && bearerOf(authorization) !== null
  }

  /** `vhost` null: the default one. */
  of(authorization: string, vhost: string | null): Login {
    const key = vhost === null ? authorization : `${authorization}\n${vhost}`
    const known = this.#logins.get(key)
    if (known !== undefined) {
      if (known.expiresAtMs !== Infinity) this.#expire(known)
      return known
    }
    const login = new Login()
    const { loginsMax } = this.#parts.limits
    if (this.#logins.size >= loginsMax) this.#forgetOldToken()
    if (this.#logins.size >= loginsMax) {
      const text = `more than ${loginsMax} different logins on one connection`
      login.end(statusOf('RESOURCE_EXHAUSTED', text))
      return login
    }
    this.#logins.set(key, login)
    const refused = (error: unknown): void => {
      login.end(refusalOf(error))
      // A later try may succeed: the password may have been changed meanwhile.
      this.#logins.delete(key)
    }
    this.#enter(authorization, vhost ?? DEFAULT_VHOST).then((caller) => {
      login.expiresAtMs = caller.expiresAtMs
      login.end(caller)
    }, refused)
    return login
  }

  /** Calls that have begun go on to their deadline; it makes no new ones. */
  #expire(login: Login): void {
    if (this.#parts.clock.now() < login.expiresAtMs) return
    const { outcome } = login
    const user = outcome instanceof UserCaller ? outcome.user : ''
    login.expiresAtMs = Infinity
    login.outcome = statusOf('UNAUTHENTICATED', `the token of user '${user}' has expired`)
  }

  /** Whoever renews a token every few minutes may do so as long as the connection lasts. */
  #forgetOldToken(): void {
    for (const [key, { outcome }] of this.#logins) {
      if (outcome === null || isBasic(key) || !this.isOurs(key)) continue
      this.#logins.delete(key)
      return
    }
  }

  async #enter(authorization: string, vhost: string): Promise<UserCaller> {
    const { authenticator, users, broker } = this.#parts
    const peer = loginPeerOf(this.#peer)
    const user = await authenticator.login(this.#credentialsIn(authorization), peer)
    try {
      requireVhost(users, principalOf(user), vhost)
    } catch (error) {
      throw error instanceof BrokerError ? new NoEntry(error.code, error.message) : error
    }
    if (broker.vhost(vhost) === undefined) throw new NoEntry('NOT_FOUND', `no vhost '${vhost}'`)
    return new UserCaller(this.#parts, user, vhost)
  }

  #credentialsIn(authorization: string): Credentials {
    const basic = basicOf(authorization)
    if (basic !== null) return { mechanism: 'PLAIN', ...basic }
    const token = this.#parts.authenticator.takesTokens ? bearerOf(authorization) : null
    if (token !== null) return { mechanism: 'Bearer', username: '', token }
    const { certificateName } = loginPeerOf(this.#peer)
    if (certificateName === null) return ANONYMOUS
    return { mechanism: 'EXTERNAL', username: certificateName, password: null }
  }
}

function refusalOf(error: unknown): Status {
  if (error instanceof NoEntry) return statusOf('PERMISSION_DENIED', error.message)
  if (!(error instanceof BrokerError)) return statusOf('UNAUTHENTICATED', 'the login failed')
  const isOverrun = error.code === 'UNAVAILABLE'
  return statusOf(isOverrun ? 'UNAVAILABLE' : 'UNAUTHENTICATED', error.message)
}
