import { compileNamePattern } from '../model/name-pattern.ts'
import { PERMISSION_NAME_CACHED_LENGTH_MAX, PERMISSION_NAMES_CACHED_MAX } from './limits.ts'

export type PermissionKind = 'configure' | 'write' | 'read'

/** Regular expressions for names; the empty one fits no name. */
export interface Permissions {
  readonly configure: string
  readonly write: string
  readonly read: string
}

/**
 * Regular expressions for routing keys, in which `{username}` or `%u`, `{vhost}` and `{client_id}`
 * or `%c` stand for what they are of whoever asks.
 */
export interface TopicPermissions {
  readonly write: string
  readonly read: string
}

export interface UserPermissions extends Permissions {
  readonly user: string
  readonly vhost: string
}

export interface UserTopicPermissions extends TopicPermissions {
  readonly user: string
  readonly vhost: string
  readonly exchange: string
}

/** One pattern with the names it was asked for. */
class NameCheck {
  readonly #expression: RegExp
  readonly #answers = new Map<string, boolean>()

  constructor(pattern: string) {
    // As in RabbitMQ: nothing is allowed by it, save a thing without a name.
    this.#expression = compileNamePattern(pattern === '' ? '^$' : pattern)
  }

  fits(name: string): boolean {
    const known = this.#answers.get(name)
    if (known !== undefined) return known
    if (name.length > PERMISSION_NAME_CACHED_LENGTH_MAX) return this.#expression.test(name)
    if (this.#answers.size >= PERMISSION_NAMES_CACHED_MAX) this.#answers.clear()
    const answer = this.#expression.test(name)
    this.#answers.set(name, answer)
    return answer
  }
}

const CLIENT_ID = /\{client_id\}|%c/g
const CLIENTS_CACHED_MAX = 1024

/** A pattern for routing keys that may name the client that asks. */
class TopicCheck {
  readonly #pattern: string
  readonly #checks = new Map<string | undefined, NameCheck>()
  readonly #namesClient: boolean

  /** Throws for a pattern that is none. */
  constructor(pattern: string) {
    this.#pattern = pattern
    this.#namesClient = pattern.search(CLIENT_ID) >= 0
    this.#check('client')
  }

  /** A pattern that names the client fits nothing where there is no client id. */
  fits(routingKey: string, clientId: string | undefined): boolean {
    if (!this.#namesClient) return this.#check(undefined).fits(routingKey)
    return clientId !== undefined && this.#check(clientId).fits(routingKey)
  }

  #check(clientId: string | undefined): NameCheck {
    const known = this.#checks.get(clientId)
    if (known !== undefined) return known
    if (this.#checks.size >= CLIENTS_CACHED_MAX) this.#checks.clear()
    const check = new NameCheck(this.#pattern.replaceAll(CLIENT_ID, () => escaped(clientId ?? '')))
    this.#checks.set(clientId, check)
    return check
  }
}

interface Grant {
  readonly permissions: Permissions
  readonly checks: Readonly<Record<PermissionKind, NameCheck>>
}

interface TopicGrant {
  readonly permissions: TopicPermissions
  readonly checks: Readonly<Record<'write' | 'read', TopicCheck>>
}

/** Who may do what in which virtual host, with the answers given so far. */
export class PermissionTable {
  /** By user, then by virtual host. */
  readonly #grants = new Map<string, Map<string, Grant>>()
  /** By user, virtual host and exchange. */
  readonly #topicGrants = new Map<string, Map<string, Map<string, TopicGrant>>>()

  /** Throws `PRECONDITION_FAILED` for a pattern that is none, and changes nothing then. */
  set({ user, vhost, configure, write, read }: UserPermissions): void {
    const permissions = { configure, write, read }
    const checks = {
      configure: new NameCheck(configure),
      write: new NameCheck(write),
      read: new NameCheck(read),
    }
    innerMap(this.#grants, user).set(vhost, { permissions, checks })
  }

  /** As `set`. */
  setTopic({ user, vhost, exchange, write, read }: UserTopicPermissions): void {
    const filled = (pattern: string): TopicCheck =>
      new TopicCheck(
        pattern
          .replaceAll(/\{username\}|%u/g, () => escaped(user))
          .replaceAll('{vhost}', () => escaped(vhost)),
      )
    const grant = {
      permissions: { write, read },
      checks: { write: filled(write), read: filled(read) },
    }
    innerMap(innerMap(this.#topicGrants, user), vhost).set(exchange, grant)
  }

  clear(user: string, vhost: string): void {
    this.#grants.get(user)?.delete(vhost)
  }

  /** Without an exchange: those for every exchange of the virtual host. */
  clearTopic(user: string, vhost: string, exchange?: string): void {
    const ofUser = this.#topicGrants.get(user)
    if (exchange === undefined) ofUser?.delete(vhost)
    else ofUser?.get(vhost)?.delete(exchange)
  }

  removeUser(user: string): void {
    this.#grants.delete(user)
    this.#topicGrants.delete(user)
  }

  mayEnter(user: string, vhost: string): boolean {
    return this.#grants.get(user)?.has(vhost) === true
  }

  allowed(user: string, vhost: string, name: string, kind: PermissionKind): boolean {
    return this.#grants.get(user)?.get(vhost)?.checks[kind].fits(name) === true
  }

  /** True where nothing is said about the exchange. */
  topicAllowed(question: TopicQuestion): boolean {
    const { user, vhost, exchange, routingKey, kind, clientId } = question
    const grant = this.#topicGrants.get(user)?.get(vhost)?.get(exchange)
    return grant === undefined || grant.checks[kind].fits(routingKey, clientId)
  }

  *list(): Generator<UserPermissions> {
    for (const [user, ofUser] of this.#grants) {
      for (const [vhost, { permissions }] of ofUser) yield { user, vhost, ...permissions }
    }
  }

  *listTopic(): Generator<UserTopicPermissions> {
    for (const [user, ofUser] of this.#topicGrants) {
      for (const [vhost, ofVhost] of ofUser) {
        for (const [exchange, { permissions }] of ofVhost) {
          yield { user, vhost, exchange, ...permissions }
        }
      }
    }
  }
}

export interface TopicQuestion {
  readonly user: string
  readonly vhost: string
  readonly exchange: string
  readonly routingKey: string
  readonly kind: 'write' | 'read'
  /** As it stands in a routing key; absent where clients have none. */
  readonly clientId?: string
}

function innerMap<V>(outer: Map<string, Map<string, V>>, key: string): Map<string, V> {
  let inner = outer.get(key)
  if (inner === undefined) {
    inner = new Map()
    outer.set(key, inner)
  }
  return inner
}

/** A user named `.*` gets no more than the keys with `.*` in them. */
function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`)
}
