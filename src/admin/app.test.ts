import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AdminWorld, ADMIN_ORIGIN, openAdminWorld } from '../../test/support/admin-world.ts'
import type { Broker } from '../broker/broker.ts'
import type { ConnectionView } from '../model/shapes/connections.ts'
import type { AdminErrorBody } from './errors.ts'
import { BODY_BYTES_MAX } from './limits.ts'

const TOKEN = 'token-of-the-test'

interface Answer {
  readonly status: number
  readonly json: unknown
  readonly headers: Headers
}

type Ask = (
  method: string,
  path: string,
  options?: { body?: unknown; headers?: Record<string, string> },
) => Promise<Answer>

interface Fixture extends Pick<AdminWorld, 'broker' | 'users' | 'logged'>, AsyncDisposable {
  readonly ask: Ask
  readonly closed: number[]
}

async function open(): Promise<Fixture> {
  const closed: number[] = []
  const world = await openAdminWorld({
    token: TOKEN,
    protocols: [
      {
        connections: () => [connection(7, '/'), connection(8, 'other')],
        closeConnection: (id) => id < 9 && closed.push(id) > 0,
      },
    ],
  })
  return {
    ...world,
    closed,
    ask: async (method, path, { body, headers } = {}) => {
      const response = await world.ask(method, path, {
        body,
        headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      })
      const text = await response.text()
      const json: unknown = text === '' ? null : JSON.parse(text)
      return { status: response.status, json, headers: response.headers }
    },
  }
}

function connection(id: number, vhost: string): ConnectionView {
  return {
    id,
    vhost,
    name: `127.0.0.1:${id} -> 127.0.0.1:5672`,
    protocol: 'AMQP 0-9-1',
    user: 'guest',
    state: 'running',
    heldBackBy: null,
    peerAddress: '127.0.0.1',
    peerPort: id,
    tls: false,
    channels: 1,
    consumers: 0,
    connectedAtMs: 0,
    clientName: null,
    clientProduct: null,
    receivedBytes: 0,
    sentBytes: 0,
  }
}

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}

function fault({ json }: Answer): string {
  const { code, message } = (json as AdminErrorBody).error
  return `${code}: ${message}`
}

async function declare(broker: Broker, name: string): Promise<void> {
  await broker.vhost('/')?.declareQueue({
    name,
    profile: 'queue',
    durable: true,
    autoDelete: false,
    exclusiveOwner: null,
    arguments: new Map<string, string | bigint>([
      ['x-note', 'hi'],
      ['x-big', 2n ** 60n],
    ]),
    settings: {},
    countsAttempts: false,
    prioritiesMax: 0,
    singleActive: false,
  })
}

test('nobody gets in without the token or an administrator', async () => {
  await using fixture = await open()
  const { ask, users } = fixture
  await users.add('reader', 'secret', ['monitoring'])
  const attempt = async (headers: Record<string, string>): Promise<Answer> => {
    return ask('GET', '/v1/users', { headers: { authorization: '', ...headers } })
  }
  for (const headers of [
    {},
    { authorization: 'Bearer wrong' },
    { authorization: 'Bearer ' },
    { authorization: 'Basic !!!' },
    basic('guest', 'wrong'),
    basic('nobody', 'guest'),
  ]) {
    const answer = await attempt(headers)
    assert.equal(answer.status, 401, JSON.stringify(headers))
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Basic /)
  }
  assert.equal((await attempt(basic('guest', 'guest'))).status, 200)
  const reader = await attempt(basic('reader', 'secret'))
  assert.equal(reader.status, 403)
  assert.equal(fault(reader), "ACCESS_REFUSED: user 'reader' is not tagged administrator")
  assert.equal(JSON.stringify(fixture.logged).includes('secret'), false)
})

test("another site's page may not use the browser's credentials", async () => {
  await using fixture = await open()
  const ask = async (origin: string): Promise<number> => {
    return (await fixture.ask('GET', '/v1/vhosts', { headers: { origin } })).status
  }
  assert.equal(await ask('https://evil.example'), 403)
  assert.equal(await ask('null'), 403)
  assert.equal(await ask(ADMIN_ORIGIN), 200)
})

test('status sums up what runs', async () => {
  await using fixture = await open()
  await declare(fixture.broker, 'q')
  const { status, json } = await fixture.ask('GET', '/v1/status')
  assert.equal(status, 200)
  const { version, alarm, vhosts, destinations, ready, connections } = json as Record<
    string,
    unknown
  >
  assert.deepEqual(
    { version, alarm, vhosts, destinations, ready, connections },
    { version: '1.2.3', alarm: null, vhosts: 1, destinations: 1, ready: 0, connections: 2 },
  )
})

test('queues with any name are listed, purged and deleted', async () => {
  await using fixture = await open()
  const { ask, broker } = fixture
  const names = ['plain', 'a/b', 'per%cent', 'sp ace?#', '%2F', 'grüße']
  for (const name of names) await declare(broker, name)
  const { json } = await ask('GET', '/v1/destinations?vhost=%2F')
  const queues = json as { name: string; arguments: object; durable: boolean }[]
  assert.deepEqual(queues.map(({ name }) => name).toSorted(), names.toSorted())
  assert.deepEqual(queues[0]?.arguments, { 'x-note': 'hi', 'x-big': '1152921504606846976' })
  for (const name of names) {
    const path = `/v1/destinations/%2F/${encodeURIComponent(name)}`
    assert.deepEqual((await ask('POST', `${path}/purge`)).json, { messages: 0 }, name)
    assert.deepEqual((await ask('DELETE', `${path}?ifEmpty=true`)).json, { messages: 0 }, name)
    const gone = await ask('POST', `${path}/purge`)
    assert.equal(gone.status, 404)
    assert.equal(fault(gone), `NOT_FOUND: no queue '${name}' in vhost '/'`)
  }
  assert.deepEqual((await ask('GET', '/v1/destinations')).json, [])
  assert.equal((await ask('GET', '/v1/destinations?vhost=none')).status, 404)
})

test('exchanges and bindings are listed', async () => {
  await using fixture = await open()
  const { ask, broker } = fixture
  await declare(broker, 'q')
  const binding = {
    source: 'amq.topic',
    target: 'q',
    targetKind: 'destination',
    key: 'a.*',
  } as const
  await broker.vhost('/')?.bind({ ...binding, arguments: new Map() })
  const exchanges = (await ask('GET', '/v1/exchanges')).json as { name: string; type: string }[]
  assert.equal(exchanges.find(({ name }) => name === 'amq.topic')?.type, 'topic')
  const bindings = (await ask('GET', '/v1/bindings')).json as { source: string }[]
  assert.deepEqual(
    bindings.filter(({ source }) => source === 'amq.topic'),
    [{ vhost: '/', ...binding, arguments: {} }],
  )
})

test('users come, change and go', async () => {
  await using fixture = await open()
  const { ask, users, logged } = fixture
  const path = '/v1/users/al%2Fice'
  const created = await ask('PUT', path, { body: { password: 'one', tags: ['administrator'] } })
  assert.equal(created.status, 201)
  assert.deepEqual(created.json, { name: 'al/ice', tags: ['administrator'] })
  assert.equal((await ask('PUT', path, { body: { password: 'two' } })).status, 409)
  assert.equal(await users.verifyPassword('al/ice', 'one'), true)
  assert.equal((await ask('PATCH', path, { body: { password: 'three', tags: [] } })).status, 204)
  assert.equal(await users.verifyPassword('al/ice', 'three'), true)
  assert.deepEqual((await ask('GET', '/v1/users')).json, [
    { name: 'guest', tags: ['administrator'], limits: {} },
    { name: 'al/ice', tags: [], limits: {} },
  ])
  assert.equal((await ask('DELETE', path)).status, 204)
  assert.equal(fault(await ask('DELETE', path)), "NOT_FOUND: no user 'al/ice'")
  assert.equal(
    logged.some(({ text }) => text === 'changed over HTTP'),
    true,
  )
  assert.doesNotMatch(JSON.stringify(logged), /"(one|two|three)"/)
})

test('permissions are set for a user in a virtual host', async () => {
  await using fixture = await open()
  const { ask, users } = fixture
  await users.add('bob', 'x', [])
  const body = { configure: '^bob', write: '.*', read: '' }
  assert.equal((await ask('PUT', '/v1/permissions/%2F/bob', { body })).status, 204)
  const { json } = await ask('GET', '/v1/permissions?vhost=%2F')
  assert.deepEqual(
    (json as { user: string }[]).find(({ user }) => user === 'bob'),
    {
      user: 'bob',
      vhost: '/',
      ...body,
    },
  )
  assert.equal((await ask('DELETE', '/v1/permissions/%2F/bob')).status, 204)
  assert.equal(users.mayEnter('bob', '/'), false)
  assert.equal((await ask('PUT', '/v1/permissions/%2F/nobody', { body })).status, 404)
  assert.equal((await ask('PUT', '/v1/permissions/nowhere/bob', { body })).status, 404)
  const wrong = await ask('PUT', '/v1/permissions/%2F/bob', { body: { ...body, read: '(' } })
  assert.equal(wrong.status, 409)
})

test('policies are set, listed and deleted', async () => {
  await using fixture = await open()
  const { ask } = fixture
  const path = '/v1/policies/%2F/short'
  const policy = { pattern: '^log', appliesTo: 'queues', definition: { 'max-length': 10 } }
  assert.equal((await ask('PUT', path, { body: policy })).status, 204)
  const [listed] = (await ask('GET', '/v1/policies')).json as Record<string, unknown>[]
  assert.equal(listed?.['name'], 'short')
  assert.equal(listed['pattern'], '^log')
  assert.equal(listed['priority'], 0)
  assert.deepEqual(listed['definition'], { 'max-length': 10 })
  const unknown = await ask('PUT', path, { body: { ...policy, definition: { nonsense: 1 } } })
  assert.equal(unknown.status, 409)
  assert.equal((await ask('DELETE', path)).status, 204)
  assert.equal((await ask('DELETE', path)).status, 404)
})

test('a virtual host goes with its connections', async () => {
  await using fixture = await open()
  const { ask, closed } = fixture
  assert.equal((await ask('PUT', '/v1/vhosts/other')).status, 201)
  assert.equal((await ask('PUT', '/v1/vhosts/other')).status, 409)
  assert.deepEqual((await ask('GET', '/v1/vhosts')).json, [
    { name: '/', declareMismatch: 'fail', limits: {} },
    { name: 'other', declareMismatch: 'fail', limits: {} },
  ])
  assert.equal((await ask('DELETE', '/v1/vhosts/other')).status, 204)
  assert.deepEqual(closed, [8])
  assert.equal((await ask('DELETE', '/v1/vhosts/other')).status, 404)
})

test('connections are listed and closed', async () => {
  await using fixture = await open()
  const { ask, closed } = fixture
  const ids = async (query: string): Promise<number[]> => {
    const { json } = await ask('GET', `/v1/connections${query}`)
    return (json as ConnectionView[]).map(({ id }) => id)
  }
  assert.deepEqual(await ids(''), [7, 8])
  assert.deepEqual(await ids('?vhost=other'), [8])
  assert.equal((await ask('DELETE', '/v1/connections/7')).status, 204)
  assert.deepEqual(closed, [7])
  assert.equal((await ask('DELETE', '/v1/connections/9')).status, 404)
  assert.equal((await ask('DELETE', '/v1/connections/x')).status, 400)
})

test('what is not asked properly is refused with the field that is wrong', async () => {
  await using fixture = await open()
  const { ask } = fixture
  const put = async (body: unknown): Promise<Answer> => ask('PUT', '/v1/users/eve', { body })
  assert.equal(fault(await put('{')), 'INVALID: the body is not JSON')
  for (const body of [{}, { password: 1 }, { password: '' }, { password: 'x', extra: 1 }, []]) {
    const answer = await put(body)
    assert.equal(answer.status, 400, JSON.stringify(body))
    assert.match(fault(answer), /^INVALID: body: /)
  }
  assert.match(fault(await put({ password: 'x', tags: 'a' })), /tags: /)
  assert.equal((await put({ password: 'x'.repeat(BODY_BYTES_MAX) })).status, 413)
  assert.equal((await ask('GET', '/v1/users?x=1')).status, 200)
  assert.equal((await ask('GET', '/v1/destinations?colour=red')).status, 400)
  assert.equal((await ask('GET', '/v2/users')).status, 404)
  assert.equal((await ask('GET', '/')).status, 404)
})

test('health is told without a login, and not ready while publishers are held back', async () => {
  await using fixture = await open()
  const { ask, broker } = fixture
  const headers = { authorization: '' }
  assert.equal((await ask('GET', '/health/live', { headers })).status, 200)
  assert.equal((await ask('GET', '/health/ready', { headers })).status, 200)
  broker.pressure.setAlarm('low on disk')
  const answer = await ask('GET', '/health/ready', { headers })
  assert.equal(answer.status, 503)
  assert.deepEqual(answer.json, { status: 'failed', reason: 'low on disk' })
  assert.equal((await ask('GET', '/health/live', { headers })).status, 200)
  broker.pressure.setAlarm(null)
  assert.equal((await ask('GET', '/health/ready', { headers })).status, 200)
  assert.equal((await ask('GET', '/metrics', { headers })).status, 401)
})
