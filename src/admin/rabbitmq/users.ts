import { type SaltedDigest, saltedHashOf, storedSaltedHash } from '../../auth/index.ts'
import { parseLimits, USER_LIMITS } from '../../model/limit-set.ts'
import { checked, type Fields, fieldsOf, integer, requireFields, tagsOf } from './input.ts'
import { answerList, answerOne } from './listing.ts'
import { type Asked, requireTag, vhostOf } from './operator.ts'
import type { RabbitParts } from './parts.ts'
import { badRequest, notFound } from './refusal.ts'
import type { Routes } from './routes.ts'

const ALGORITHMS: Readonly<Record<string, SaltedDigest>> = {
  rabbit_password_hashing_sha256: 'sha256',
  rabbit_password_hashing_sha512: 'sha512',
  rabbit_password_hashing_md5: 'md5',
}

/** Our own hashes, which RabbitMQ cannot read. */
const OWN_ALGORITHM = 'waystation_password_hashing_scrypt'
const DEFAULT_ALGORITHM = 'rabbit_password_hashing_sha256'

export function addUsers(routes: Routes, parts: RabbitParts): void {
  const { users } = parts
  routes.add('GET', '/users', (asked) => {
    requireTag(asked, 'administrator')
    return answerList(
      asked,
      users.list().map(({ name }) => ({ name, view: () => userView(parts, name) })),
    )
  })
  routes.add('GET', '/users/without-permissions', (asked) => {
    requireTag(asked, 'administrator')
    const without = users.list().filter(({ name }) => {
      return users.listPermissions({ user: name }).length === 0
    })
    return asked.json(without.map(({ name }) => userView(parts, name)))
  })
  routes.add('POST', '/users/bulk-delete', async (asked) => {
    requireTag(asked, 'administrator')
    const { users: names } = await fieldsOf(asked)
    if (!Array.isArray(names)) throw badRequest('[{key_missing,users}]')
    for (const name of names) if (users.get(String(name)) !== null) await users.remove(String(name))
    return asked.body(null, 204)
  })
  routes.add('GET', '/users/:user', (asked) => {
    requireTag(asked, 'administrator')
    return answerOne(asked, userView(parts, userOf(parts, asked)))
  })
  routes.add('PUT', '/users/:user', async (asked) => {
    requireTag(asked, 'administrator')
    const fields = await fieldsOf(asked)
    const isNew = await putUser(parts, asked.req.param('user') ?? '', fields)
    return asked.body(null, isNew ? 201 : 204)
  })
  routes.add('DELETE', '/users/:user', async (asked) => {
    requireTag(asked, 'administrator')
    await users.remove(userOf(parts, asked))
    return asked.body(null, 204)
  })
  addUserLimits(routes, parts)
  addPermissions(routes, parts)
  addTopicPermissions(routes, parts)
}

/** True where it was not there before. */
export async function putUser(parts: RabbitParts, name: string, fields: Fields): Promise<boolean> {
  const { users } = parts
  if (fields['tags'] === undefined) throw badRequest('tags_not_present')
  const tags = tagsOf(fields['tags'])
  const isNew = users.get(name) === null
  const { password, password_hash: hash, scram } = fields
  if (typeof password === 'string' && password !== '') {
    if (isNew) await users.add(name, password, tags)
    else {
      await users.setPassword(name, password)
      await users.setTags(name, tags)
    }
    return isNew
  }
  const passwordHash = hash === undefined || hash === '' ? null : storedHash(fields)
  const known = scram as Parameters<typeof users.putSecrets>[1]['scram']
  const secrets = known === undefined ? { passwordHash } : { passwordHash, scram: known }
  await users.putSecrets(name, { ...secrets, tags })
  return isNew
}

function storedHash({ password_hash: hash, hashing_algorithm: algorithm }: Fields): string {
  const name = typeof algorithm === 'string' ? algorithm : DEFAULT_ALGORITHM
  if (name === OWN_ALGORITHM) return String(hash)
  const digest = Object.hasOwn(ALGORITHMS, name) ? ALGORITHMS[name] : undefined
  const stored = digest === undefined ? null : storedSaltedHash(digest, String(hash))
  if (stored === null) throw badRequest(`password hash is not one of ${name}`)
  return stored
}

/** With hashes: administrators see them in RabbitMQ, and move users by them. */
export function userView({ users }: RabbitParts, name: string): Record<string, unknown> {
  const user = users.get(name)
  if (user === null) throw notFound()
  const { passwordHash = null } = users.secrets(name) ?? {}
  const salted = passwordHash === null ? null : saltedHashOf(passwordHash)
  const algorithm = Object.keys(ALGORITHMS).find((key) => ALGORITHMS[key] === salted?.digest)
  const isOwn = passwordHash !== null && salted === null
  return {
    name,
    password_hash: salted?.base64 ?? passwordHash ?? '',
    hashing_algorithm: algorithm ?? (isOwn ? OWN_ALGORITHM : DEFAULT_ALGORITHM),
    tags: user.tags,
    limits: user.limits,
  }
}

function userOf({ users }: RabbitParts, asked: Asked): string {
  const name = asked.req.param('user') ?? ''
  if (users.get(name) === null) throw notFound()
  return name
}

function addUserLimits(routes: Routes, parts: RabbitParts): void {
  const { users } = parts
  const views = (name: string): object[] => {
    const { limits = {} } = users.get(name) ?? {}
    return Object.keys(limits).length === 0 ? [] : [{ user: name, value: limits }]
  }
  routes.add('GET', '/user-limits', (asked) => {
    requireTag(asked, 'administrator')
    return asked.json(users.list().flatMap(({ name }) => views(name)))
  })
  routes.add('GET', '/user-limits/:user', (asked) => {
    requireTag(asked, 'administrator')
    return asked.json(views(userOf(parts, asked)))
  })
  const change = async (asked: Asked, value: number | null): Promise<Response> => {
    requireTag(asked, 'administrator')
    const user = userOf(parts, asked)
    const name = asked.req.param('name') ?? ''
    const limits: Record<string, number> = { ...users.get(user)?.limits }
    if (value === null) delete limits[name]
    else limits[name] = value
    await users.setLimits(user, parseLimits(limits, USER_LIMITS))
    return asked.body(null, 204)
  }
  routes.add('PUT', '/user-limits/:user/:name', async (asked) => {
    const fields = await fieldsOf(asked)
    requireFields(fields, ['value'])
    return change(asked, checked(integer, fields['value']))
  })
  routes.add('DELETE', '/user-limits/:user/:name', async (asked) => change(asked, null))
}

function addPermissions(routes: Routes, parts: RabbitParts): void {
  const { users, broker } = parts
  const one = (asked: Asked) => {
    const user = asked.req.param('user') ?? ''
    const vhost = asked.req.param('vhost') ?? ''
    return users.listPermissions({ user, vhost })[0]
  }
  routes.add('GET', '/permissions', (asked) => {
    requireTag(asked, 'administrator')
    return asked.json(users.listPermissions())
  })
  routes.add('GET', '/vhosts/:vhost/permissions', (asked) => {
    requireTag(asked, 'administrator')
    const { name: vhost } = vhostOf(parts, asked, false)
    return asked.json(users.listPermissions({ vhost }))
  })
  routes.add('GET', '/users/:user/permissions', (asked) => {
    requireTag(asked, 'administrator')
    return asked.json(users.listPermissions({ user: userOf(parts, asked) }))
  })
  routes.add('GET', '/permissions/:vhost/:user', (asked) => {
    requireTag(asked, 'administrator')
    const found = one(asked)
    if (found === undefined) throw notFound()
    return asked.json(found)
  })
  routes.add('PUT', '/permissions/:vhost/:user', async (asked) => {
    requireTag(asked, 'administrator')
    const fields = await fieldsOf(asked)
    requireFields(fields, ['configure', 'write', 'read'])
    const isNew = one(asked) === undefined
    const { vhost = '', user = '' } = asked.req.param()
    if (broker.vhost(vhost) === undefined || users.get(user) === null) {
      throw badRequest('vhost_or_user_not_found')
    }
    await putPermissions(parts, { ...fields, vhost, user })
    return asked.body(null, isNew ? 201 : 204)
  })
  routes.add('DELETE', '/permissions/:vhost/:user', async (asked) => {
    requireTag(asked, 'administrator')
    if (one(asked) === undefined) throw notFound()
    const { vhost = '', user = '' } = asked.req.param()
    await users.clearPermissions(user, vhost)
    return asked.body(null, 204)
  })
}

export async function putPermissions({ users }: RabbitParts, fields: Fields): Promise<void> {
  const { user, vhost, configure, write, read } = fields
  await users.setPermissions(String(user), String(vhost), {
    configure: String(configure),
    write: String(write),
    read: String(read),
  })
}

function addTopicPermissions(routes: Routes, parts: RabbitParts): void {
  const { users, broker } = parts
  const list = (filter: { user?: string; vhost?: string }) => {
    return users.listTopicPermissions().filter(({ user, vhost }) => {
      if (filter.user !== undefined && user !== filter.user) return false
      return filter.vhost === undefined || vhost === filter.vhost
    })
  }
  routes.add('GET', '/topic-permissions', (asked) => {
    requireTag(asked, 'administrator')
    return asked.json(list({}))
  })
  routes.add('GET', '/vhosts/:vhost/topic-permissions', (asked) => {
    requireTag(asked, 'administrator')
    return asked.json(list({ vhost: vhostOf(parts, asked, false).name }))
  })
  routes.add('GET', '/users/:user/topic-permissions', (asked) => {
    requireTag(asked, 'administrator')
    return asked.json(list({ user: userOf(parts, asked) }))
  })
  routes.add('GET', '/topic-permissions/:vhost/:user', (asked) => {
    requireTag(asked, 'administrator')
    const found = list(asked.req.param())
    if (found.length === 0) throw notFound()
    return asked.json(found)
  })
  routes.add('PUT', '/topic-permissions/:vhost/:user', async (asked) => {
    requireTag(asked, 'administrator')
    const fields = await fieldsOf(asked)
    requireFields(fields, ['exchange', 'write', 'read'])
    const { vhost = '', user = '' } = asked.req.param()
    if (broker.vhost(vhost) === undefined || users.get(user) === null) {
      throw badRequest('vhost_or_user_not_found')
    }
    const isNew = !list({ vhost, user }).some((each) => each.exchange === fields['exchange'])
    await putTopicPermissions(parts, { ...fields, vhost, user })
    return asked.body(null, isNew ? 201 : 204)
  })
  const clear = async (asked: Asked): Promise<Response> => {
    requireTag(asked, 'administrator')
    const { vhost = '', user = '', exchange } = asked.req.param()
    if (list({ vhost, user }).length === 0) throw notFound()
    const place = exchange === undefined ? { vhost } : { vhost, exchange: exchangeName(exchange) }
    await users.clearTopicPermissions(user, place)
    return asked.body(null, 204)
  }
  routes.add('DELETE', '/topic-permissions/:vhost/:user', clear)
  routes.add('DELETE', '/topic-permissions/:vhost/:user/:exchange', clear)
}

function exchangeName(name: string): string {
  return name === 'amq.default' ? '' : name
}

export async function putTopicPermissions({ users }: RabbitParts, fields: Fields): Promise<void> {
  const { user, vhost, exchange, write, read } = fields
  const place = { vhost: String(vhost), exchange: exchangeName(String(exchange)) }
  await users.setTopicPermissions(String(user), place, {
    write: String(write),
    read: String(read),
  })
}
