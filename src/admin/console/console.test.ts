import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AdminWorld, ADMIN_ORIGIN, openAdminWorld } from '../../../test/support/admin-world.ts'
import { FAILURES_FREE } from '../../auth/limits.ts'
import type { Broker } from '../../broker/broker.ts'
import { ManualClock } from '../../lib/clock.ts'
import { BODY_BYTES_MAX } from '../limits.ts'
import { SAMPLE_MS, SESSION_MS, STREAM_BYTES_MAX } from './limits.ts'
import type { PageFile } from './page-files.ts'
import { CSRF_HEADER } from './sessions.ts'

const GUEST = { username: 'guest', password: 'guest' }

interface Fixture extends AdminWorld {
  readonly clock: ManualClock
}

const INDEX: PageFile = {
  type: 'text/html; charset=utf-8',
  bytes: new TextEncoder().encode('<p>console</p>'),
  packed: new TextEncoder().encode('packed'),
  tag: '"1"',
}

async function open(): Promise<Fixture> {
  const clock = new ManualClock()
  const pageFiles = { get: (name: string) => (name === 'index.html' ? INDEX : null) }
  const world = await openAdminWorld({ clock, pageFiles })
  return {
    ...world,
    clock,
    ask: async (method, path, { body, headers } = {}) => {
      const asked = { 'content-type': 'application/json', ...headers }
      return world.ask(method, path, { body, headers: asked })
    },
  }
}

interface Login {
  readonly cookie: string
  readonly csrf: string
}

async function logIn({ ask }: Fixture): Promise<Login> {
  const response = await ask('POST', '/v1/session', { body: GUEST })
  assert.equal(response.status, 201)
  const { csrf } = (await response.json()) as { csrf: string }
  return { cookie: (response.headers.get('set-cookie') ?? '').split(';')[0] ?? '', csrf }
}

function said({ logged }: Fixture): string {
  return logged.map(({ fields, text }) => `${text} ${JSON.stringify(fields)}`).join('\n')
}

async function statusOf(answer: Promise<Response>): Promise<number> {
  return (await answer).status
}

test('the page is for everybody, with a policy that lets nothing else in', async () => {
  await using fixture = await open()
  const page = await fixture.ask('GET', '/')
  assert.equal(page.status, 200)
  assert.equal(await page.text(), '<p>console</p>')
  const policy = page.headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'/)
  assert.doesNotMatch(policy, /unsafe|\*/)
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff')
  assert.equal(page.headers.get('x-frame-options'), 'DENY')
  const packed = await fixture.ask('GET', '/', { headers: { 'accept-encoding': 'gzip, br' } })
  assert.equal(packed.headers.get('content-encoding'), 'gzip')
  assert.equal(await packed.text(), 'packed')
  const known = await fixture.ask('GET', '/', { headers: { 'if-none-match': '"1"' } })
  assert.equal(known.status, 304)
  assert.equal(await statusOf(fixture.ask('GET', '/assets/..%2f..%2fpackage.json')), 401)
})

test('a login is a cookie that no script reads and no other site sends', async () => {
  await using fixture = await open()
  assert.equal(await statusOf(fixture.ask('GET', '/v1/destinations')), 401)
  const response = await fixture.ask('POST', '/v1/session', { body: GUEST })
  const cookie = response.headers.get('set-cookie') ?? ''
  assert.match(
    cookie,
    /^waystation-session=[\w-]{43}; Path=\/; Max-Age=28800; HttpOnly; SameSite=Strict$/,
  )
  assert.doesNotMatch(JSON.stringify(await response.json()), /"guest"}|password/)
  const headers = { cookie: `other=1; ${cookie.split(';')[0]}` }
  assert.equal(await statusOf(fixture.ask('GET', '/v1/destinations', { headers })), 200)
})

test('a change needs what only the page itself can read', async () => {
  await using fixture = await open()
  const { cookie, csrf } = await logIn(fixture)
  const put = async (headers: Record<string, string>): Promise<number> => {
    return statusOf(fixture.ask('PUT', '/v1/vhosts/new', { headers: { cookie, ...headers } }))
  }
  assert.equal(await put({}), 403)
  assert.equal(await put({ [CSRF_HEADER]: 'guessed' }), 403)
  assert.equal(await put({ [CSRF_HEADER]: csrf, origin: 'http://evil.example' }), 403)
  assert.equal(fixture.broker.vhost('new'), undefined)
  assert.equal(await put({ [CSRF_HEADER]: csrf, origin: ADMIN_ORIGIN }), 201)
  assert.ok(/changed over HTTP.*guest.*vhosts\/new/.test(said(fixture)))
})

test('a wrong password is refused, slower each time, and never asked for by the browser', async () => {
  await using fixture = await open()
  const wrong = { body: { ...GUEST, password: 'wrong-password-of-test' } }
  for (let at = 0; at < FAILURES_FREE; at++) {
    const response = await fixture.ask('POST', '/v1/session', wrong)
    assert.equal(response.status, 401)
    assert.equal(response.headers.get('www-authenticate'), null)
  }
  const right = fixture.ask('POST', '/v1/session', { body: GUEST })
  assert.equal(await Promise.race([right, ticks(500)]), null, 'the login did not have to wait')
  fixture.clock.advance(60_000)
  assert.equal((await right).status, 201)
  assert.doesNotMatch(said(fixture), /wrong-password-of-test/)
})

test('a form of another site cannot log anybody in', async () => {
  await using fixture = await open()
  const headers = { 'content-type': 'text/plain' }
  assert.equal(await statusOf(fixture.ask('POST', '/v1/session', { body: GUEST, headers })), 400)
})

test('a login that is larger than any can be is refused unread', async () => {
  await using fixture = await open()
  const body = { ...GUEST, password: 'x'.repeat(BODY_BYTES_MAX) }
  assert.equal(await statusOf(fixture.ask('POST', '/v1/session', { body })), 413)
})

test('who is no administrator does not get in', async () => {
  await using fixture = await open()
  await fixture.users.add('clerk', 'secret', ['management'])
  const body = { username: 'clerk', password: 'secret' }
  const response = await fixture.ask('POST', '/v1/session', { body })
  assert.equal(response.status, 403)
  assert.equal(response.headers.get('set-cookie'), null)
})

test('a login ends by itself, by logging out, and when its user changes', async () => {
  await using fixture = await open()
  const { ask, clock, users } = fixture
  const look = async ({ cookie }: Login): Promise<number> => {
    return statusOf(ask('GET', '/v1/destinations', { headers: { cookie } }))
  }
  const first = await logIn(fixture)
  const { cookie, csrf } = first
  assert.equal(await statusOf(ask('DELETE', '/v1/session', { headers: { cookie } })), 403)
  assert.equal(await look(first), 200)
  const headers = { cookie, [CSRF_HEADER]: csrf }
  assert.equal(await statusOf(ask('DELETE', '/v1/session', { headers })), 204)
  assert.equal(await look(first), 401)

  const second = await logIn(fixture)
  await users.setTags('guest', [])
  await users.setTags('guest', ['administrator'])
  assert.equal(await look(second), 401)

  const third = await logIn(fixture)
  clock.advance(SESSION_MS - 1)
  assert.equal(await look(third), 200)
  clock.advance(1)
  assert.equal(await look(third), 401)
})

test('the list of destinations is found, ordered and cut by the broker', async () => {
  await using fixture = await open()
  const vhost = fixture.broker.vhost('/')!
  for (const name of ['beta', 'alpha', 'alphabet', 'gamma']) await vhost.declareQueue(spec(name))
  const { cookie } = await logIn(fixture)
  const page = async (query: string): Promise<{ total: number; names: string[] }> => {
    const response = await fixture.ask('GET', `/v1/pages/destinations?${query}`, {
      headers: { cookie },
    })
    const { total, rows } = (await response.json()) as { total: number; rows: { name: string }[] }
    return { total, names: rows.map(({ name }) => name) }
  }
  assert.deepEqual(await page('limit=2'), { total: 4, names: ['alpha', 'alphabet'] })
  assert.deepEqual(await page('limit=2&offset=2'), { total: 4, names: ['beta', 'gamma'] })
  assert.deepEqual(await page('search=ALPHA&descending=true'), {
    total: 2,
    names: ['alphabet', 'alpha'],
  })
  assert.deepEqual(await page('profile=topic'), { total: 0, names: [] })
  const bad = await fixture.ask('GET', '/v1/pages/destinations?limit=100000', {
    headers: { cookie },
  })
  assert.equal(bad.status, 400)
})

test('counters are read once a second while somebody looks, and not after', async () => {
  await using fixture = await open()
  const { clock } = fixture
  const { cookie } = await logIn(fixture)
  const [one, two] = await Promise.all([openEvents(fixture, cookie), openEvents(fixture, cookie)])
  assert.match(await one.next(), /^event: start\ndata: \{"samples":\[\{/)
  assert.match(await two.next(), /^event: start/)
  clock.advance(SAMPLE_MS)
  const beat = await one.next()
  assert.match(beat, /^event: beat\n.*"connections":\{"amqp":3\}/)
  assert.equal(await two.next(), beat)
  await one.cancel()
  await two.cancel()
  // With the last viewer all that was kept goes: the next one starts with one sample.
  clock.advance(10 * SAMPLE_MS)
  const three = await openEvents(fixture, cookie)
  assert.equal((await three.next()).match(/"atMs"/g)?.length, 1)
  await three.cancel()
})

test('a page that does not read misses beats, and its end is the end of the login', async () => {
  await using fixture = await open()
  const { cookie, csrf } = await logIn(fixture)
  const events = await openEvents(fixture, cookie)
  for (let at = 0; at < 1000; at++) fixture.clock.advance(SAMPLE_MS)
  const headers = { cookie, [CSRF_HEADER]: csrf }
  await fixture.ask('DELETE', '/v1/session', { headers })
  fixture.clock.advance(SAMPLE_MS)
  let bytes = 0
  for (let text = await events.next(); text !== ''; text = await events.next()) {
    bytes += text.length
  }
  assert.ok(bytes > STREAM_BYTES_MAX / 2 && bytes < STREAM_BYTES_MAX * 2, `${bytes} bytes`)
})

interface Events {
  /** Empty: it has ended. */
  next(): Promise<string>
  cancel(): Promise<void>
}

async function openEvents({ ask }: Fixture, cookie: string): Promise<Events> {
  const response = await ask('GET', '/v1/events', { headers: { cookie } })
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  return {
    next: async () => {
      const { value } = await reader.read()
      return value === undefined ? '' : new TextDecoder().decode(value)
    },
    cancel: async () => reader.cancel(),
  }
}

function spec(
  name: string,
): Parameters<NonNullable<ReturnType<Broker['vhost']>>['declareQueue']>[0] {
  return {
    name,
    profile: 'queue',
    durable: true,
    autoDelete: false,
    exclusiveOwner: null,
    arguments: new Map(),
    settings: {},
    countsAttempts: false,
    prioritiesMax: 0,
    singleActive: false,
  }
}

/** Null after so many turns of the event loop. */
async function ticks(count: number): Promise<null> {
  for (let at = 0; at < count; at++) await new Promise((resolve) => setImmediate(resolve))
  return null
}
