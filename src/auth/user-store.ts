import type { RandomSource } from '../lib/random.ts'
import { type AuditSink, SILENT_AUDIT } from '../model/audit.ts'
import { BrokerError } from '../model/errors.ts'
import type { LimitSet } from '../model/limit-set.ts'
import {
  KNOWN_PASSWORD_COST,
  PASSWORD_BYTES_MAX,
  SCRAM_ITERATIONS,
  SCRAM_ITERATIONS_MIN,
  type ScryptCost,
  USER_NAME_LENGTH_MAX,
} from './limits.ts'
import { isPasswordHash } from './password-hash.ts'
import type { TokenScopes } from './token-scopes.ts'
import { nameOfPrincipal, type TokenClaims, TokenUsers } from './token-users.ts'
import { PasswordVerifier } from './password-verifier.ts'
import { PermissionTable } from './permission-table.ts'
import type {
  PermissionKind,
  Permissions,
  TopicPermissions,
  TopicQuestion,
  UserPermissions,
  UserTopicPermissions,
} from './permission-table.ts'
import {
  fakeScramVerifier,
  formatScramVerifier,
  parseScramVerifier,
  type ScramName,
} from './scram-verifier.ts'
import type { ScramSecret, ScramSecrets } from './scram.ts'
import {
  clearPermissionsOp,
  clearTopicPermissionsOp,
  fakeSaltSecretOp,
  initialisedOp,
  loadAuth,
  permissionsOp,
  removeUserOp,
  type AuthKv,
  type AuthKvOp,
  type StoredUser,
  topicPermissionsOp,
  userOp,
} from './user-records.ts'

export interface User {
  readonly name: string
  /** What the user may do beside messaging: `administrator`, `management`, `monitoring` ... */
  readonly tags: readonly string[]
  /** What all its connections together may use. */
  readonly limits: LimitSet
  /** Whom to ask permissions for, of who has shown a token; absent: by its name. */
  readonly principal?: string
  /** When the login is over, in milliseconds since the epoch; absent: never. */
  readonly expiresAtMs?: number
}

/** Whom to ask permissions for. */
export function principalOf({ name, principal = name }: User): string {
  return principal
}

export type UserSecrets = Pick<StoredUser, 'passwordHash' | 'scram'>

export interface UserStoreOptions {
  readonly random: RandomSource
  /** What hashing a password costs; tests take less. */
  readonly scrypt?: ScryptCost
  /** How often SCRAM hashes a password; tests take less. */
  readonly scramIterations?: number
  /** Where refusals and changes are told. Default: nowhere. */
  readonly audit?: AuditSink
}

/** The user that RabbitMQ's clients try when told nothing; only good for loopback. */
const FIRST_USER = 'guest'
const FIRST_PASSWORD = 'guest'
const FIRST_VHOST = '/'
const SECRET_BYTES = 32
const EVERYTHING: Permissions = { configure: '.*', write: '.*', read: '.*' }

/**
 * Users and permissions, read once and kept in memory; every change is stored before it holds.
 *
 * Changes go one after the other. Checks are synchronous and cached, passwords are verified on
 * worker threads.
 */
export class UserStore implements ScramSecrets {
  /** For whoever refuses or changes something. */
  readonly audit: AuditSink
  readonly #kv: AuthKv
  readonly #verifier: PasswordVerifier
  readonly #scramIterations: number
  #fakeSaltSecret: Buffer
  readonly #users = new Map<string, StoredUser>()
  readonly #permissions = new PermissionTable()
  readonly #tokens = new TokenUsers()
  readonly #listeners = new Set<(userName: string) => void>()
  #version = 0
  #lastChange: Promise<unknown> = Promise.resolve()

  private constructor(kv: AuthKv, options: UserStoreOptions) {
    this.audit = options.audit ?? SILENT_AUDIT
    this.#kv = kv
    this.#verifier = new PasswordVerifier(options.random, options.scrypt)
    this.#scramIterations = options.scramIterations ?? SCRAM_ITERATIONS
    this.#fakeSaltSecret = options.random.bytes(SECRET_BYTES)
  }

  /** Creates user guest with password guest in a store that never had users. */
  static async open(kv: AuthKv, options: UserStoreOptions): Promise<UserStore> {
    const store = new UserStore(kv, options)
    const stored = await loadAuth(kv)
    for (const user of stored.users) store.#users.set(user.name, user)
    for (const permissions of stored.permissions) store.#permissions.set(permissions)
    for (const permissions of stored.topicPermissions) store.#permissions.setTopic(permissions)
    if (!stored.initialised) await store.#initialise()
    else if (stored.fakeSaltSecret !== null) store.#fakeSaltSecret = stored.fakeSaltSecret
    else await kv.commit([fakeSaltSecretOp(store.#fakeSaltSecret)])
    return store
  }

  /** Grows with every change: what callers derived from users or permissions is stale then. */
  get version(): number {
    return this.#version
  }

  /** Also of a principal. */
  get(name: string): User | null {
    const scopes = this.#scopesOf(name)
    if (scopes !== null) {
      const shown = nameOfPrincipal(name)
      return { name: shown, tags: scopes.tags, limits: {}, principal: name }
    }
    const user = this.#users.get(name)
    return user === undefined ? null : viewOf(user)
  }

  /** The user of a token, who is not stored. Throws `UNAVAILABLE` when there are too many. */
  bearer(claims: TokenClaims, nowMs: number): User {
    const principal = this.#tokens.grant(claims, nowMs)
    const tags = this.#scopesOf(principal)?.tags ?? []
    // Limits that are set for a stored user of the name are in force by that name.
    const limits = this.#users.get(claims.name)?.limits ?? {}
    return { name: claims.name, tags, limits, principal, expiresAtMs: claims.expiresAtMs }
  }

  list(): readonly User[] {
    return Array.from(this.#users.values(), viewOf)
  }

  /** Without a password the user can log in by certificate only. Refuses a name that is taken. */
  async add(name: string, password: string | null, tags: readonly string[]): Promise<void> {
    checkUserName(name)
    const secrets = await this.#secretsOf(password)
    await this.#change(name, () => {
      if (this.#users.has(name)) {
        throw new BrokerError('PRECONDITION_FAILED', `user '${name}' already exists`)
      }
      const user = { name, ...secrets, tags: checkedTags(tags) }
      return { ops: [{ ...userOp(user), expect: 0 }], apply: () => this.#users.set(name, user) }
    })
  }

  async setPassword(name: string, password: string | null): Promise<void> {
    this.#require(name)
    const secrets = await this.#secretsOf(password)
    await this.#replace(name, ({ tags, limits = {} }) => ({ name, ...secrets, tags, limits }))
  }

  /** What is stored of its password, to be taken elsewhere; null: no such user. */
  secrets(name: string): UserSecrets | null {
    const user = this.#users.get(name)
    if (user === undefined) return null
    const { passwordHash, scram } = user
    return { passwordHash, ...(scram === undefined ? {} : { scram }) }
  }

  /**
   * Adds the user, or replaces what it has but for its limits, with a hash that was made elsewhere.
   * `PRECONDITION_FAILED` for one that nobody could read.
   */
  async putSecrets(
    name: string,
    given: UserSecrets & { readonly tags: readonly string[] },
  ): Promise<void> {
    checkUserName(name)
    const { passwordHash, scram, tags } = given
    if (passwordHash !== null && !isPasswordHash(passwordHash)) {
      const text = `the password hash of user '${name}' is of no kind that is known here`
      throw new BrokerError('PRECONDITION_FAILED', text)
    }
    for (const [mechanism, stored] of Object.entries(scram ?? {})) {
      parseScramVerifier(mechanism as ScramName, stored)
    }
    await this.#change(name, () => {
      const limits = this.#users.get(name)?.limits ?? {}
      const secrets = { passwordHash, ...(scram === undefined ? {} : { scram }) }
      const user = { name, ...secrets, tags: checkedTags(tags), limits }
      return { ops: [userOp(user)], apply: () => this.#users.set(name, user) }
    })
  }

  async setTags(name: string, tags: readonly string[]): Promise<void> {
    const checked = checkedTags(tags)
    await this.#replace(name, (user) => ({ ...user, tags: checked }))
  }

  /** Replaces all of them. */
  async setLimits(name: string, limits: LimitSet): Promise<void> {
    await this.#replace(name, (user) => ({ ...user, limits }))
  }

  /** Removes the user with its permissions. */
  async remove(name: string): Promise<void> {
    await this.#change(name, () => {
      this.#require(name)
      const ops = [removeUserOp(name)]
      for (const { vhost } of this.listPermissions({ user: name })) {
        ops.push(clearPermissionsOp(name, vhost))
      }
      for (const permissions of this.#permissions.listTopic()) {
        if (permissions.user === name) ops.push(clearTopicPermissionsOp(permissions))
      }
      return {
        ops,
        apply: () => {
          this.#users.delete(name)
          this.#permissions.removeUser(name)
        },
      }
    })
  }

  /** Lets the user into the virtual host. Refuses patterns that are no regular expressions. */
  async setPermissions(user: string, vhost: string, permissions: Permissions): Promise<void> {
    const { configure, write, read } = permissions
    const record: UserPermissions = { user, vhost, configure, write, read }
    // Tried on a table of its own, since what is stored must be readable at the next start.
    new PermissionTable().set(record)
    await this.#change(user, () => {
      this.#require(user)
      return { ops: [permissionsOp(record)], apply: () => this.#permissions.set(record) }
    })
  }

  async clearPermissions(user: string, vhost: string): Promise<void> {
    await this.#change(user, () => ({
      ops: [clearPermissionsOp(user, vhost)],
      apply: () => this.#permissions.clear(user, vhost),
    }))
  }

  listPermissions(filter: { user?: string; vhost?: string } = {}): readonly UserPermissions[] {
    const { user, vhost } = filter
    return [...this.#permissions.list()].filter(
      (entry) =>
        (user === undefined || entry.user === user) &&
        (vhost === undefined || entry.vhost === vhost),
    )
  }

  /** Narrows what the user may do with one exchange by routing key. */
  async setTopicPermissions(
    user: string,
    place: { readonly vhost: string; readonly exchange: string },
    permissions: TopicPermissions,
  ): Promise<void> {
    const { write, read } = permissions
    const record: UserTopicPermissions = { user, ...place, write, read }
    new PermissionTable().setTopic(record)
    await this.#change(user, () => {
      this.#require(user)
      return { ops: [topicPermissionsOp(record)], apply: () => this.#permissions.setTopic(record) }
    })
  }

  /** Without an exchange: for all of them. */
  async clearTopicPermissions(
    user: string,
    place: { readonly vhost: string; readonly exchange?: string },
  ): Promise<void> {
    const { vhost, exchange } = place
    await this.#change(user, () => {
      const cleared = this.listTopicPermissions().filter(
        (entry) =>
          entry.user === user &&
          entry.vhost === vhost &&
          (exchange === undefined || entry.exchange === exchange),
      )
      return {
        ops: cleared.map(clearTopicPermissionsOp),
        apply: () => this.#permissions.clearTopic(user, vhost, exchange),
      }
    })
  }

  listTopicPermissions(): readonly UserTopicPermissions[] {
    return [...this.#permissions.listTopic()]
  }

  /** Forgets every permission for a virtual host that is gone. */
  async removeVhost(vhost: string): Promise<void> {
    const names = new Set<string>()
    for (const { user } of this.listPermissions({ vhost })) names.add(user)
    for (const entry of this.listTopicPermissions()) {
      if (entry.vhost === vhost) names.add(entry.user)
    }
    for (const user of names) {
      await this.clearPermissions(user, vhost)
      await this.clearTopicPermissions(user, { vhost })
    }
  }

  /**
   * Takes as long for a user that does not exist. Rejects with `UNAVAILABLE` when overrun, and with
   * `ACCESS_REFUSED` when other passwords of that user came from that address and wait.
   */
  async verifyPassword(name: string, password: string, address = ''): Promise<boolean> {
    const hash = this.#users.get(name)?.passwordHash ?? null
    if (password === '' || Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return false
    const source = { address, username: name }
    if (hash === null) return this.#verifier.verifyNobody(password, source)
    const right = await this.#verifier.verify(password, hash, source)
    // The password may have been changed while it was verified.
    return right && this.#users.get(name)?.passwordHash === hash
  }

  scramSecret(mechanism: ScramName, username: string): ScramSecret {
    const user = this.#users.get(username)
    const stored = user?.scram?.[mechanism]
    if (stored !== undefined) {
      return { verifier: parseScramVerifier(mechanism, stored), reasonAgainst: null }
    }
    const known = { secret: this.#fakeSaltSecret, iterations: this.#scramIterations }
    const hasPassword = (user?.passwordHash ?? null) !== null
    return {
      verifier: fakeScramVerifier(mechanism, username, known),
      reasonAgainst: hasPassword
        ? `the password of user '${username}' was set before ${mechanism} was known here: ` +
          'it must be set again'
        : `user '${username}' - invalid credentials`,
    }
  }

  isScramSecretOf(username: string, { verifier }: ScramSecret): boolean {
    const stored = this.#users.get(username)?.scram?.[verifier.mechanism]
    return stored === formatScramVerifier(verifier)
  }

  /** Whether the user has any permission in the virtual host. */
  mayEnter(user: string, vhost: string): boolean {
    const scopes = this.#scopesOf(user)
    return scopes === null ? this.#permissions.mayEnter(user, vhost) : scopes.mayEnter(vhost)
  }

  allowed(user: string, vhost: string, name: string, kind: PermissionKind): boolean {
    const scopes = this.#scopesOf(user)
    if (scopes !== null) return scopes.allowed(vhost, name, kind)
    return this.#permissions.allowed(user, vhost, name, kind)
  }

  /** True where no topic permissions are set for that user, virtual host and exchange. */
  topicAllowed(question: TopicQuestion): boolean {
    const scopes = this.#scopesOf(question.user)
    return scopes === null
      ? this.#permissions.topicAllowed(question)
      : scopes.topicAllowed(question)
  }

  /** Called with the user's name after each change. The function returned ends that. */
  onChange(listener: (userName: string) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Null: a stored user, or nobody. */
  #scopesOf(principal: string): TokenScopes | null {
    return this.#tokens.size === 0 ? null : this.#tokens.scopesOf(principal)
  }

  async #initialise(): Promise<void> {
    const passwordHash = await this.#verifier.hash(FIRST_PASSWORD, KNOWN_PASSWORD_COST)
    const scram = await this.#scramOf(FIRST_PASSWORD, SCRAM_ITERATIONS_MIN)
    const user: StoredUser = { name: FIRST_USER, passwordHash, scram, tags: ['administrator'] }
    const permissions: UserPermissions = { user: FIRST_USER, vhost: FIRST_VHOST, ...EVERYTHING }
    const secretOp = fakeSaltSecretOp(this.#fakeSaltSecret)
    await this.#kv.commit([initialisedOp(), secretOp, userOp(user), permissionsOp(permissions)])
    this.#users.set(user.name, user)
    this.#permissions.set(permissions)
  }

  async #replace(name: string, replaced: (user: StoredUser) => StoredUser): Promise<void> {
    await this.#change(name, () => {
      const user = replaced(this.#require(name))
      return { ops: [userOp(user)], apply: () => this.#users.set(name, user) }
    })
  }

  /** Runs after all changes asked for before: each sees what the last one left. */
  async #change(
    userName: string,
    plan: () => { readonly ops: readonly AuthKvOp[]; readonly apply: () => void },
  ): Promise<void> {
    const changed = this.#lastChange.then(async () => {
      const { ops, apply } = plan()
      if (ops.length > 0) await this.#kv.commit(ops)
      apply()
      this.#version += 1
    })
    // A change that failed is its caller's matter and must not stop the next one.
    this.#lastChange = changed.catch(() => undefined)
    await changed
    for (const listener of this.#listeners) listener(userName)
  }

  /** What is stored of a password, for each way to log in with it. */
  async #secretsOf(password: string | null): Promise<UserSecrets> {
    if (password === null) return { passwordHash: null }
    const passwordHash = await this.#hash(password)
    return { passwordHash, scram: await this.#scramOf(password, this.#scramIterations) }
  }

  async #scramOf(password: string, iterations: number): Promise<Record<ScramName, string>> {
    const [sha256, sha512] = await Promise.all([
      this.#verifier.scram('SCRAM-SHA-256', password, iterations),
      this.#verifier.scram('SCRAM-SHA-512', password, iterations),
    ])
    return {
      'SCRAM-SHA-256': formatScramVerifier(sha256),
      'SCRAM-SHA-512': formatScramVerifier(sha512),
    }
  }

  async #hash(password: string): Promise<string> {
    const size = Buffer.byteLength(password)
    if (size === 0 || size > PASSWORD_BYTES_MAX) {
      throw new BrokerError(
        'PRECONDITION_FAILED',
        `a password has 1 to ${PASSWORD_BYTES_MAX} bytes, this one has ${size}`,
      )
    }
    return this.#verifier.hash(password)
  }

  #require(name: string): StoredUser {
    const user = this.#users.get(name)
    if (user === undefined) throw new BrokerError('NOT_FOUND', `no user '${name}'`)
    return user
  }
}

function viewOf({ name, tags, limits = {} }: StoredUser): User {
  return { name, tags, limits }
}

function checkUserName(name: string): void {
  const isBad = name === '' || name.includes('\0') || !name.isWellFormed()
  if (isBad || name.length > USER_NAME_LENGTH_MAX) {
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `a user name has 1 to ${USER_NAME_LENGTH_MAX} characters, this one has ${name.length}`,
    )
  }
}

function checkedTags(tags: readonly string[]): readonly string[] {
  for (const tag of tags) {
    if (/^[\w-]{1,64}$/.test(tag)) continue
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `a tag has 1 to 64 letters, digits, '_' or '-', not '${tag}'`,
    )
  }
  return [...new Set(tags)]
}
