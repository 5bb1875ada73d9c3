/** The broker's registry of instances, as curl and our client see it, and what its users may. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectChannel, type InstanceChange, watchInstances } from '../../../src/client/index.ts'
import { waitFor } from '../../../src/testing/wait-for.ts'
import { ADMIN, put, type SecuredBroker, securedBroker } from './secured-broker.ts'

const LISTEN = { rpc: 0 } as const
const ROOT = { user: ADMIN.name, password: ADMIN.password }

interface Login {
  readonly user: string
  readonly password: string
}

/** A line of curl. */
async function ask(
  { broker }: SecuredBroker,
  method: string,
  body: object,
  login: Login = ROOT,
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const value = Buffer.from(`${login.user}:${login.password}`).toString('base64')
  const url = `http://127.0.0.1:${broker.port('rpc')}/waystation.rpc.v1.Registry/${method}`
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Basic ${value}` },
    body: JSON.stringify(body),
  })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

const INSTANCE = {
  service: 'shop.v1.Orders',
  instanceId: 'one',
  address: 'grpc://10.0.0.7:50051',
  version: '1.4.2',
  labels: { zone: 'eu' },
}

test('an instance is registered, listed, told of, and gone when it is not renewed', async (t) => {
  const world = await securedBroker(t, { listen: LISTEN })
  await using channel = connectChannel(world.broker.url('rpc'), ROOT)
  const seen: string[] = []
  const abort = new AbortController()
  const watching = (async (): Promise<void> => {
    const watch = watchInstances(channel, 'shop.v1.Orders', { signal: abort.signal })
    const told = ({ change, instance }: InstanceChange): string =>
      `${change} ${instance.instanceId} ${instance.version} ${instance.isServing}`
    for await (const changes of watch) seen.push(...changes.map(told))
  })()
  const until = async (count: number): Promise<void> =>
    waitFor(() => seen.length >= count, {
      timeoutMs: 30_000,
      expected: () => `${count} changes`,
      found: () => seen.join(),
    })
  const first = await ask(world, 'Register', { instance: INSTANCE })
  assert.deepEqual(first, { status: 200, body: { ttlMs: 30_000 } })
  await until(1)
  // Renewing it tells nobody anything, other words do.
  await ask(world, 'Register', { instance: INSTANCE })
  const newer = { ...INSTANCE, version: '1.4.3', health: 'HEALTH_NOT_SERVING' }
  await ask(world, 'Register', { instance: newer })
  await until(2)
  const { body } = await ask(world, 'List', { service: 'shop.v1.Orders' })
  assert.deepEqual(body, { instances: [{ ...newer, weight: 1 }] })
  assert.deepEqual((await ask(world, 'List', {})).body, body)
  assert.deepEqual((await ask(world, 'List', { service: 'other' })).body, { instances: [] })
  assert.deepEqual(
    (await ask(world, 'Deregister', { service: INSTANCE.service, instanceId: 'one' })).body,
    {},
  )
  await until(3)
  const short = await ask(world, 'Register', {
    instance: { ...INSTANCE, instanceId: 'two' },
    ttlMs: 1,
  })
  assert.deepEqual(short.body, { ttlMs: 1000 })
  await until(5)
  assert.deepEqual(seen, [
    'appeared one 1.4.2 true',
    'changed one 1.4.3 false',
    'gone one 1.4.3 false',
    'appeared two 1.4.2 true',
    'gone two 1.4.2 true',
  ])
  abort.abort('the test is over')
  await assert.rejects(watching, { code: 'CANCELLED' })
})

test('who may not provide registers nothing, who may not call sees nothing', async (t) => {
  const world = await securedBroker(t, { listen: LISTEN })
  const clerk = { user: 'clerk', password: 'the-password-of-clerk' }
  const robot = { user: 'robot', password: 'the-password-of-robot' }
  for (const { user, password } of [clerk, robot]) {
    await put(world.broker, `users/${user}`, { password, tags: [] })
  }
  const all = { configure: '', write: '.*', read: '.*' }
  await put(world.broker, 'permissions/%2F/robot', all)
  await put(world.broker, 'permissions/%2F/clerk', { configure: '', write: '^x$', read: '^x$' })
  const asked = async (method: string, body: object, login: Login): Promise<unknown> =>
    (await ask(world, method, body, login)).body['code'] ?? 'ok'
  const instance = INSTANCE
  const gone = { service: INSTANCE.service, instanceId: 'one' }
  assert.equal(await asked('Register', { instance }, clerk), 'permission_denied')
  assert.equal(await asked('Register', { instance }, robot), 'ok')
  // Another user's instance is his own, whatever else one may do.
  assert.equal(await asked('Register', { instance }, ROOT), 'permission_denied')
  assert.equal(await asked('Deregister', gone, ROOT), 'permission_denied')
  assert.equal(await asked('List', { service: INSTANCE.service }, clerk), 'permission_denied')
  assert.deepEqual((await ask(world, 'List', {}, clerk)).body, { instances: [] })
  await using channel = connectChannel(world.broker.url('rpc'), clerk)
  const watch = watchInstances(channel, INSTANCE.service)
  await assert.rejects(async () => watch.next(), { code: 'PERMISSION_DENIED' })
  for (const [bad, said] of [
    [{ ...instance, service: 'no name' }, 'invalid_argument'],
    [{ ...instance, service: 'waystation.rpc.v1.Registry' }, 'permission_denied'],
    [{ ...instance, address: 'orders:1' }, 'invalid_argument'],
    [{ ...instance, address: 'grpc://u:p@orders:1' }, 'invalid_argument'],
    [{ ...instance, instanceId: '' }, 'invalid_argument'],
    [{ ...instance, labels: { a: 'x'.repeat(9000) } }, 'invalid_argument'],
    [{ ...instance, weight: 'much' }, 'invalid_argument'],
  ] as const) {
    assert.equal(await asked('Register', { instance: bad }, robot), said, JSON.stringify(bad))
  }
  assert.equal(await asked('Nonsense', {}, robot), 'unimplemented')
  assert.equal(await asked('Deregister', gone, robot), 'ok')
  assert.equal(await asked('Deregister', gone, robot), 'not_found')
})

test('a broker that stops does not wait for those who watch', async (t) => {
  const { broker } = await securedBroker(t, { listen: LISTEN })
  await using channel = connectChannel(broker.url('rpc'), ROOT)
  const lost = Promise.withResolvers<unknown>()
  const watch = watchInstances(channel)
  watch.next().catch(lost.resolve)
  const grpc = connectChannel(`grpc://127.0.0.1:${broker.port('rpc')}`, ROOT)
  const other = watchInstances(grpc)
  const alsoLost = other.next().catch((error: unknown) => error)
  await waitFor(async () => (await fetch(new URL('/health/ready', broker.url('http')))).ok, {
    timeoutMs: 30_000,
    expected: () => 'a broker',
    found: () => 'none',
  })
  const beganMs = performance.now()
  await broker.close({ timeoutMs: 60_000 })
  assert.ok(performance.now() - beganMs < 30_000)
  assert.equal(((await lost.promise) as { readonly code: string }).code, 'UNAVAILABLE')
  assert.equal(((await alsoLost) as { readonly code: string }).code, 'UNAVAILABLE')
  await grpc.close()
})
