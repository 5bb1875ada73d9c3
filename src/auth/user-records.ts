/** How users and permissions stand in the key-value store: one JSON value each. */
import type { LimitSet } from '../model/limit-set.ts'
import type { UserPermissions, UserTopicPermissions } from './permission-table.ts'
import { SCRAM_NAMES, type ScramName } from './scram-verifier.ts'

/** The part of an engine's `Kv` that users need; this folder knows no engine. */
export interface AuthKv {
  get(key: string): Promise<{ readonly value: Buffer } | null>
  commit(ops: readonly AuthKvOp[]): Promise<number>
  list(prefix: string): Promise<readonly { readonly key: string; readonly value: Buffer }[]>
}

export interface AuthKvOp {
  readonly key: string
  /** null deletes. */
  readonly value: Buffer | null
  /** 0: must not exist. */
  readonly expect?: number
}

export interface StoredUser {
  readonly name: string
  /** null: the user cannot log in with a password. */
  readonly passwordHash: string | null
  /** By mechanism, made of the same password; absent where it was set before there was SCRAM. */
  readonly scram?: Readonly<Record<ScramName, string>>
  readonly tags: readonly string[]
  readonly limits?: LimitSet
}

export interface StoredAuth {
  /** Whether there was a first start: then no user comes back that was removed. */
  readonly initialised: boolean
  readonly users: readonly StoredUser[]
  readonly permissions: readonly UserPermissions[]
  readonly topicPermissions: readonly UserTopicPermissions[]
  /** Of the salts that users are asked with who do not exist; null: none was made yet. */
  readonly fakeSaltSecret: Buffer | null
}

const FAKE_SALT_SECRET_KEY = 'auth/fake-salt-secret'
const INITIALISED_KEY = 'auth/initialised'
const USER_PREFIX = 'auth/user/'
const PERMISSION_PREFIX = 'auth/permission/'
const TOPIC_PERMISSION_PREFIX = 'auth/topic-permission/'

export async function loadAuth(kv: AuthKv): Promise<StoredAuth> {
  return {
    initialised: (await kv.get(INITIALISED_KEY)) !== null,
    users: await loadAll(kv, USER_PREFIX, isStoredUser),
    permissions: await loadAll(kv, PERMISSION_PREFIX, isPermissions),
    topicPermissions: await loadAll(kv, TOPIC_PERMISSION_PREFIX, isTopicPermissions),
    fakeSaltSecret: (await kv.get(FAKE_SALT_SECRET_KEY))?.value ?? null,
  }
}

export function fakeSaltSecretOp(secret: Buffer): AuthKvOp {
  return { key: FAKE_SALT_SECRET_KEY, value: secret }
}

export function initialisedOp(): AuthKvOp {
  return { key: INITIALISED_KEY, value: Buffer.from('1') }
}

export function userOp(user: StoredUser): AuthKvOp {
  return { key: keyOf(USER_PREFIX, [user.name]), value: json(user) }
}

export function removeUserOp(name: string): AuthKvOp {
  return { key: keyOf(USER_PREFIX, [name]), value: null }
}

export function permissionsOp(permissions: UserPermissions): AuthKvOp {
  const { user, vhost } = permissions
  return { key: keyOf(PERMISSION_PREFIX, [vhost, user]), value: json(permissions) }
}

export function clearPermissionsOp(user: string, vhost: string): AuthKvOp {
  return { key: keyOf(PERMISSION_PREFIX, [vhost, user]), value: null }
}

export function topicPermissionsOp(permissions: UserTopicPermissions): AuthKvOp {
  const { user, vhost, exchange } = permissions
  return { key: keyOf(TOPIC_PERMISSION_PREFIX, [vhost, user, exchange]), value: json(permissions) }
}

export function clearTopicPermissionsOp(permissions: UserTopicPermissions): AuthKvOp {
  return { ...topicPermissionsOp(permissions), value: null }
}

async function loadAll<R>(
  kv: AuthKv,
  prefix: string,
  isRecord: (value: Fields) => value is R & Fields,
): Promise<R[]> {
  const records: R[] = []
  for (const { key, value } of await kv.list(prefix)) {
    const record = parsed(key, value)
    if (!isRecord(record)) throw new Error(`the stored value of ${key} lacks a field`)
    records.push(record)
  }
  return records
}

type Fields = Readonly<Record<string, unknown>>

function parsed(key: string, value: Buffer): Fields {
  try {
    return Object(JSON.parse(value.toString('utf8'))) as Fields
  } catch (error) {
    throw new Error(`the stored value of ${key} is not JSON`, { cause: error })
  }
}

function isStoredUser(value: Fields): value is Fields & StoredUser {
  const { name, passwordHash, scram, tags } = value
  if (scram !== undefined && !areTexts(Object(scram) as Fields, SCRAM_NAMES)) return false
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) return false
  return typeof name === 'string' && (passwordHash === null || typeof passwordHash === 'string')
}

function isPermissions(value: Fields): value is Fields & UserPermissions {
  return areTexts(value, ['user', 'vhost', 'configure', 'write', 'read'])
}

function isTopicPermissions(value: Fields): value is Fields & UserTopicPermissions {
  return areTexts(value, ['user', 'vhost', 'exchange', 'write', 'read'])
}

function areTexts(value: Fields, names: readonly string[]): boolean {
  return names.every((name) => typeof value[name] === 'string')
}

function keyOf(prefix: string, parts: readonly string[]): string {
  return prefix + parts.map(encodeURIComponent).join('/')
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}
