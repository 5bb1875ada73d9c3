import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../lib/random.ts'
import { requirePermission, requireTopicPermission, requireVhost } from './access.ts'
import { PERMISSION_NAMES_CACHED_MAX, type ScryptCost } from './limits.ts'
import type { AuthKv, AuthKvOp } from './user-records.ts'
import { UserStore } from './user-store.ts'

const CHEAP: ScryptCost = { log2Rounds: 4, blockSize: 8, parallelism: 1 }
const ALL = { configure: '.*', write: '.*', read: '.*' }

class MemoryKv implements AuthKv {
  readonly values = new Map<string, Buffer>()
  failure: Error | null = null

  async get(key: string): Promise<{ value: Buffer } | null> {
    const value = this.values.get(key)
    return value === undefined ? null : { value }
  }

  async commit(ops: readonly AuthKvOp[]): Promise<number> {
    await Promise.resolve()
    if (this.failure !== null) throw this.failure
    for (const { key, expect } of ops) {
      if (expect === 0 && this.values.has(key)) throw new Error('conflict')
    }
    for (const { key, value } of ops) {
      if (value === null) this.values.delete(key)
      else this.values.set(key, value)
    }
    return 1
  }

  async list(prefix: string): Promise<{ key: string; value: Buffer }[]> {
    const found = [...this.values].filter(([key]) => key.startsWith(prefix))
    return found.map(([key, value]) => ({ key, value }))
  }
}

function open(kv: AuthKv, seed = 5): Promise<UserStore> {
  return UserStore.open(kv, {
    random: new SeededRandom(seed),
    scrypt: CHEAP,
    scramIterations: 4096,
  })
}

test('the first start makes guest an administrator of /, and no later one does', async () => {
  const kv = new MemoryKv()
  const users = await open(kv)
  assert.deepEqual(users.list(), [{ name: 'guest', tags: ['administrator'], limits: {} }])
  assert.equal(await users.verifyPassword('guest', 'guest'), true)
  assert.equal(users.allowed('guest', '/', 'anything', 'configure'), true)
  assert.equal(users.mayEnter('guest', 'other'), false)
  await users.remove('guest')
  assert.deepEqual((await open(kv)).list(), [])
  const keys = ['auth/initialised', 'auth/fake-salt-secret']
  assert.deepEqual([...kv.values.keys()], keys, 'permissions go with their user')
})

test('users, passwords and permissions are there after a restart', async () => {
  const kv = new MemoryKv()
  const users = await open(kv)
  const name = "o'brien/ü %"
  await users.add(name, 'first', ['management', 'management'])
  await users.setPassword(name, 'second')
  await users.setTags(name, ['monitoring', 'policymaker'])
  await users.setPermissions(name, '/a b', { configure: '^a', write: '', read: '.*' })
  const place = { vhost: '/a b', exchange: 'amq.topic' }
  await users.setTopicPermissions(name, place, { write: '^w', read: '^r' })

  const again = await open(kv)
  assert.deepEqual(again.get(name)?.tags, ['monitoring', 'policymaker'])
  assert.equal(await again.verifyPassword(name, 'second'), true)
  assert.equal(await again.verifyPassword(name, 'first'), false)
  assert.deepEqual(again.listPermissions({ user: name }), [
    { user: name, vhost: '/a b', configure: '^a', write: '', read: '.*' },
  ])
  assert.deepEqual(again.listPermissions({ vhost: '/' }).length, 1)
  assert.deepEqual(again.listTopicPermissions(), [
    { user: name, vhost: '/a b', exchange: 'amq.topic', write: '^w', read: '^r' },
  ])
  assert.ok(![...kv.values.values()].some((value) => value.includes('second')), 'only its hash')
})

const SCRAM = 'SCRAM-SHA-256'

test('SCRAM knows a user from the moment a password is set, the first user too', async () => {
  const kv = new MemoryKv()
  const users = await open(kv)
  assert.equal(users.scramSecret(SCRAM, 'guest').reasonAgainst, null)
  assert.equal(users.scramSecret('SCRAM-SHA-512', 'guest').reasonAgainst, null)
  await users.add('u', 'one', [])
  const first = users.scramSecret(SCRAM, 'u')
  assert.equal(first.reasonAgainst, null)
  await users.setTags('u', ['monitoring'])
  assert.deepEqual(users.scramSecret(SCRAM, 'u'), first, 'tags are no password')
  assert.ok(users.isScramSecretOf('u', first))
  await users.setPassword('u', 'two')
  const second = users.scramSecret(SCRAM, 'u')
  assert.notDeepEqual(second.verifier.salt, first.verifier.salt)
  assert.ok(!users.isScramSecretOf('u', first) && users.isScramSecretOf('u', second))
  assert.deepEqual((await open(kv)).scramSecret(SCRAM, 'u'), second, 'stored')
  await users.setPassword('u', null)
  assert.match(users.scramSecret(SCRAM, 'u').reasonAgainst!, /invalid credentials/)
})

test('whoever is not there is asked with the same salt as long as the store lives', async () => {
  const kv = new MemoryKv()
  const users = await open(kv)
  const fake = users.scramSecret(SCRAM, 'nobody')
  assert.match(fake.reasonAgainst!, /user 'nobody' - invalid credentials/)
  assert.deepEqual((await open(kv)).scramSecret(SCRAM, 'nobody'), fake)
  assert.notDeepEqual((await open(new MemoryKv(), 6)).scramSecret(SCRAM, 'nobody'), fake)
  await users.add('somebody', 'p', [])
  const real = users.scramSecret(SCRAM, 'somebody').verifier
  assert.equal(real.salt.length, fake.verifier.salt.length)
  assert.equal(real.iterations, fake.verifier.iterations)
})

test('a user from before SCRAM is like nobody to strangers, and the log says what to do', async () => {
  const kv = new MemoryKv()
  await (await open(kv)).add('old', 'p', [])
  const stored = JSON.parse(kv.values.get('auth/user/old')!.toString()) as object
  const older = { ...stored, scram: undefined }
  kv.values.set('auth/user/old', Buffer.from(JSON.stringify(older)))
  kv.values.delete('auth/fake-salt-secret')
  const users = await open(kv, 9)
  assert.equal(await users.verifyPassword('old', 'p'), true)
  const secret = users.scramSecret(SCRAM, 'old')
  assert.match(secret.reasonAgainst!, /password of user 'old' .* must be set again/)
  assert.deepEqual((await open(kv, 10)).scramSecret(SCRAM, 'old'), secret, 'made once')
  await users.setPassword('old', 'p')
  assert.equal(users.scramSecret(SCRAM, 'old').reasonAgainst, null)
})

test('a permission is a regular expression for names, as in RabbitMQ', async () => {
  const users = await open(new MemoryKv())
  await users.add('u', 'p', [])
  await users.setPermissions('u', '/', { configure: '', write: 'order', read: '^order' })
  assert.equal(users.allowed('u', '/', 'order', 'configure'), false)
  assert.equal(users.allowed('u', '/', '', 'configure'), true, 'only what has no name')
  assert.equal(users.allowed('u', '/', 'my.orders', 'write'), true, 'fits anywhere')
  assert.equal(users.allowed('u', '/', 'my.orders', 'read'), false, 'unless anchored')
  assert.equal(users.allowed('u', 'other', 'order', 'write'), false)
  assert.equal(users.allowed('nobody', '/', 'order', 'write'), false)
})

test('an answer given before holds no longer than the permission', async () => {
  const users = await open(new MemoryKv())
  await users.add('u', 'p', [])
  await users.setPermissions('u', '/', ALL)
  assert.equal(users.allowed('u', '/', 'q', 'read'), true)
  const version = users.version
  await users.setPermissions('u', '/', { ...ALL, read: '^x' })
  assert.ok(users.version > version)
  assert.equal(users.allowed('u', '/', 'q', 'read'), false)
  await users.setPermissions('u', '/', ALL)
  for (let index = 0; index < 3 * PERMISSION_NAMES_CACHED_MAX; index++) {
    assert.equal(users.allowed('u', '/', `q${index}`, 'read'), true)
  }
  await users.clearPermissions('u', '/')
  assert.equal(users.allowed('u', '/', 'q', 'read'), false)
  assert.equal(users.mayEnter('u', '/'), false)
})

test('topic permissions narrow what they name and nothing else', async () => {
  const users = await open(new MemoryKv())
  await users.add('u.1', 'p', [])
  const place = { vhost: '/', exchange: 'amq.topic' }
  const may = (exchange: string, routingKey: string, kind: 'write' | 'read'): boolean =>
    users.topicAllowed({ user: 'u.1', vhost: '/', exchange, routingKey, kind })
  assert.equal(may('amq.topic', 'a.b', 'write'), true)
  await users.setTopicPermissions('u.1', place, { write: '^{username}\\.', read: '' })
  assert.equal(may('amq.topic', 'a.b', 'write'), false)
  assert.equal(may('amq.topic', 'u.1.b', 'write'), true)
  assert.equal(may('amq.topic', 'uX1.b', 'write'), false, 'a name is no expression')
  assert.equal(may('amq.topic', 'u.1.b', 'read'), false)
  assert.equal(may('other', 'a.b', 'write'), true)
  await users.clearTopicPermissions('u.1', { vhost: '/' })
  assert.equal(may('amq.topic', 'a.b', 'write'), true)
  await users.setTopicPermissions('u.1', place, { write: '', read: '' })
  await users.clearTopicPermissions('u.1', place)
  assert.deepEqual(users.listTopicPermissions(), [])
})

test('topic permissions may name the client that asks', async () => {
  const users = await open(new MemoryKv())
  await users.add('u', 'p', [])
  const place = { vhost: '/', exchange: 'amq.topic' }
  await users.setTopicPermissions('u', place, { write: '^%u\\.%c$', read: '^{client_id}\\.' })
  const may = (routingKey: string, kind: 'write' | 'read', clientId?: string): boolean => {
    const question = { user: 'u', ...place, routingKey, kind }
    return users.topicAllowed(clientId === undefined ? question : { ...question, clientId })
  }
  assert.equal(may('u.dev+1', 'write', 'dev+1'), true)
  assert.equal(may('u.devv1', 'write', 'dev+1'), false, 'a client id is no expression')
  assert.equal(may('u.dev2', 'write', 'dev+1'), false)
  assert.equal(may('u.', 'write'), false, 'who has no client id has no such topic')
  assert.equal(may('dev2.x', 'read', 'dev2'), true)
})

test('a virtual host that goes takes its permissions with it', async () => {
  const kv = new MemoryKv()
  const users = await open(kv)
  await users.add('u', 'p', [])
  await users.setPermissions('u', 'gone', ALL)
  await users.setPermissions('u', 'kept', ALL)
  await users.setTopicPermissions('u', { vhost: 'gone', exchange: 'x' }, { write: '', read: '' })
  await users.removeVhost('gone')
  assert.equal(users.mayEnter('u', 'gone'), false)
  assert.equal(users.mayEnter('u', 'kept'), true)
  assert.deepEqual(users.listTopicPermissions(), [])
  assert.ok(![...kv.values.keys()].some((key) => key.includes('gone')))
})

test('what is refused changes nothing', async () => {
  const kv = new MemoryKv()
  const users = await open(kv)
  const before = [...kv.values.keys()]
  const wrong = { code: 'PRECONDITION_FAILED' }
  await assert.rejects(users.add('guest', 'p', []), wrong)
  await assert.rejects(users.add('', 'p', []), wrong)
  await assert.rejects(users.add('x'.repeat(256), 'p', []), wrong)
  await assert.rejects(users.add('\ud800', 'p', []), wrong)
  await assert.rejects(users.add('u', '', []), wrong)
  await assert.rejects(users.add('u', 'p'.repeat(20_000), []), wrong)
  await assert.rejects(users.add('u', 'p', ['two words']), wrong)
  await assert.rejects(users.setPermissions('guest', '/', { ...ALL, read: '[' }), wrong)
  await assert.rejects(
    users.setTopicPermissions('guest', { vhost: '/', exchange: 'x' }, { write: '(', read: '' }),
    wrong,
  )
  for (const change of [
    users.setPassword('nobody', 'p'),
    users.setTags('nobody', []),
    users.remove('nobody'),
    users.setPermissions('nobody', '/', ALL),
  ]) {
    await assert.rejects(change, { code: 'NOT_FOUND', message: "no user 'nobody'" })
  }
  assert.deepEqual([...kv.values.keys()], before)
  assert.equal(await users.verifyPassword('guest', 'guest'), true)
})

test('a change that the store refuses does not hold, and the next one does', async () => {
  const kv = new MemoryKv()
  const users = await open(kv)
  kv.failure = new Error('disk is gone')
  const failed = users.setPermissions('guest', '/', { ...ALL, read: '' })
  await assert.rejects(failed, /disk is gone/)
  assert.equal(users.allowed('guest', '/', 'q', 'read'), true)
  kv.failure = null
  await users.setPermissions('guest', '/', { ...ALL, read: '' })
  assert.equal(users.allowed('guest', '/', 'q', 'read'), false)
})

test('changes asked for together are made one after the other', async () => {
  const kv = new MemoryKv()
  const users = await open(kv)
  const results = await Promise.allSettled([
    users.add('u', 'a', []),
    users.add('u', 'b', []),
    users.add('u', 'c', []),
  ])
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  const removed = await Promise.allSettled([
    users.remove('u'),
    users.setTags('u', ['management']),
    users.setPermissions('u', '/', ALL),
  ])
  assert.deepEqual(
    removed.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  )
  assert.equal((await open(kv)).get('u'), null)
})

test('listeners hear of each change of a user until they stop', async () => {
  const users = await open(new MemoryKv())
  const heard: string[] = []
  const stop = users.onChange((name) => heard.push(`${name} ${users.get(name) !== null}`))
  await users.add('u', null, [])
  await users.setPermissions('u', '/', ALL)
  await users.remove('u')
  stop()
  await users.add('v', 'p', [])
  assert.deepEqual(heard, ['u true', 'u true', 'u false'])
})

test('wrong, empty, endless and missing passwords are wrong', async () => {
  const users = await open(new MemoryKv())
  await users.add('certified', null, [])
  assert.equal(await users.verifyPassword('guest', 'Guest'), false)
  assert.equal(await users.verifyPassword('guest', ''), false)
  assert.equal(await users.verifyPassword('guest', 'g'.repeat(100_000)), false)
  assert.equal(await users.verifyPassword('nobody', 'guest'), false)
  assert.equal(await users.verifyPassword('certified', ''), false)
  assert.equal(await users.verifyPassword('certified', 'null'), false)
  await users.setPassword('guest', null)
  assert.equal(await users.verifyPassword('guest', 'guest'), false)
})

test('a store that was tampered with is refused by the name of the key', async () => {
  for (const [key, value] of [
    ['auth/user/u', '{"name":"u","tags":[]}'],
    ['auth/user/u', 'null'],
    ['auth/user/u', '{"name":"u","passwordHash":null,"tags":[],"scram":{"SCRAM-SHA-256":"x"}}'],
    ['auth/user/u', 'not json'],
    ['auth/permission/%2F/u', '{"user":"u","vhost":"/","configure":""}'],
    ['auth/topic-permission/%2F/u/x', '[]'],
  ] as const) {
    const kv = new MemoryKv()
    kv.values.set(key, Buffer.from(value))
    await assert.rejects(open(kv), (error: Error) => error.message.includes(key))
  }
})

// The words of RabbitMQ 4.0.5.
test('refusals say who was refused what', async () => {
  const users = await open(new MemoryKv())
  await users.add('u', 'p', [])
  const question = { user: 'u', vhost: '/', resource: 'queue', name: 'q', kind: 'read' } as const
  assert.throws(() => requirePermission(users, question), {
    code: 'ACCESS_REFUSED',
    message: "read access to queue 'q' in vhost '/' refused for user 'u'",
  })
  assert.throws(
    () => requirePermission(users, { ...question, resource: 'exchange', name: '', kind: 'write' }),
    { message: "write access to exchange 'amq.default' in vhost '/' refused for user 'u'" },
  )
  assert.throws(() => requireVhost(users, 'u', '/'), {
    code: 'NOT_ALLOWED',
    message: "access to vhost '/' refused for user 'u'",
  })
  await users.setPermissions('u', '/', ALL)
  requirePermission(users, question)
  requireVhost(users, 'u', '/')
  const topic = { user: 'u', vhost: '/', exchange: 'x', routingKey: 'a', kind: 'write' } as const
  requireTopicPermission(users, topic)
  await users.setTopicPermissions('u', { vhost: '/', exchange: 'x' }, { write: '^b', read: '' })
  assert.throws(() => requireTopicPermission(users, topic), {
    code: 'ACCESS_REFUSED',
    message: "write access to topic 'a' in exchange 'x' in vhost '/' refused for user 'u'",
  })
})
