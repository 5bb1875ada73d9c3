import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AdminWorld, openAdminWorld } from '../../../test/support/admin-world.ts'
import { ManualClock } from '../../lib/clock.ts'
import {
  CALL_WINDOW,
  type CallHead,
  CLOSED_REQUEST,
  type ReplySink,
  type RequestSink,
} from '../../rpc/call.ts'
import { hopDetail } from '../../rpc/hop.ts'
import { Metadata } from '../../rpc/metadata.ts'
import { OK_STATUS, statusOf } from '../../rpc/status.ts'
import type { CallEvent, ServiceDetails } from '../../model/shapes/services.ts'
import { CALL_REPLIES_MAX, CALLS_BY_HAND_MAX } from './limits.ts'

const ROOT = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` }
const CONTRACT = JSON.stringify({
  'shop.Orders': {
    place: {
      ...{ kind: 'unary', idempotency: 'none', deadlineMs: null },
      ...{ in: { type: 'object' }, out: null, errors: {} },
    },
  },
})

type Handle = (head: CallHead, reply: ReplySink, message: string) => void

interface Shop extends AsyncDisposable {
  readonly world: AdminWorld
  readonly clock: ManualClock
  /** What the provider heard, a line each. */
  readonly heard: string[]
  call(method: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
}

/** `handle` is asked at the first message. */
async function open(handle: Handle, contract = CONTRACT): Promise<Shop> {
  const clock = new ManualClock()
  const world = await openAdminWorld({ clock, token: 'token-of-the-test' })
  const heard: string[] = []
  const callee = {
    open: (head: CallHead, reply: ReplySink): RequestSink => {
      let count = 0
      return {
        message: (bytes, isLast) => {
          heard.push(`${String(Buffer.from(bytes))}${isLast ? ' last' : ''}`)
          if (++count === 1) handle(head, reply, String(Buffer.from(bytes)))
        },
        halfClose: () => heard.push('half-close'),
        cancel: (reason) => heard.push(`cancel: ${reason}`),
        creditReplies: (cost) => heard.push(`credit ${cost}`),
      }
    },
  }
  const info = { instanceId: 'one', version: '1.4', labels: { zone: 'eu' }, weight: 1, user: 'me' }
  const services = ['shop.Orders']
  world.rpcCore.host('/').registry.attach({ ...info, services, contract }, callee, 100)
  return {
    ...{ world, clock, heard },
    call: async (method, body = {}, headers = ROOT) => {
      return world.ask('POST', `/v1/services/%2F/shop.Orders/${method}`, { body, headers })
    },
    [Symbol.asyncDispose]: async () => world[Symbol.asyncDispose](),
  }
}

async function events(response: Response): Promise<CallEvent[]> {
  assert.equal(response.status, 200, await response.clone().text())
  const lines = (await response.text()).trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as CallEvent)
}

const echo: Handle = (_head, reply, message) => {
  reply.reply(Buffer.from(message))
  reply.status(OK_STATUS, Metadata.EMPTY)
}

test('a call is made with what is said, and answered with all that came of it', async () => {
  await using shop = await open((head, reply, message) => {
    shop.heard.push(`${head.path} ${head.contentType} ${[...head.metadata].join(' ')}`)
    reply.head(Metadata.from([['seen', 'yes']]))
    reply.reply(Buffer.from(message))
    shop.clock.advance(12)
    reply.status(OK_STATUS, Metadata.from([['sum-bin', Buffer.from([1, 2])]]))
  })
  const asked = { messages: [{ sku: 'tea' }], metadata: { tenant: 'acme' } }
  const answer = await events(await shop.call('place', asked))
  assert.deepEqual(answer, [
    { kind: 'head', metadata: [['seen', 'yes']] },
    { kind: 'message', value: { sku: 'tea' } },
    {
      ...{ kind: 'status', code: 'OK', message: '', details: [] },
      ...{ trailers: [['sum-bin', 'AQI=']], tookMs: 12 },
    },
  ])
  assert.deepEqual(shop.heard.slice(0, 2), [
    '{"sku":"tea"} last',
    '/shop.Orders/place json tenant,acme',
  ])
  const details = await shop.world.ask('GET', '/v1/services/%2F/shop.Orders', { headers: ROOT })
  const { instanceList, methods, calls, failed } = (await details.json()) as ServiceDetails
  assert.deepEqual([calls, failed], [1, 0])
  assert.deepEqual(instanceList[0]?.labels, { zone: 'eu' })
  assert.ok((instanceList[0]?.p50Ms ?? 0) >= 12)
  assert.deepEqual(methods?.['place']?.in, { type: 'object' })
})

test('a failure comes with its details as they can be read', async () => {
  await using shop = await open((_head, reply) => {
    const details = [
      { type: 'json/shop.Orders.OutOfStock', value: Buffer.from('{"left":5}') },
      hopDetail({ stage: 'started', provider: 'one', waitedMs: 3 }),
      { type: 'type.googleapis.com/x.Y', value: Uint8Array.of(1) },
    ]
    reply.status(statusOf('FAILED_PRECONDITION', 'no tea', details), Metadata.EMPTY)
  })
  const [end] = await events(await shop.call('place'))
  assert.deepEqual(end?.kind === 'status' && [end.code, end.message, end.details], [
    'FAILED_PRECONDITION',
    'no tea',
    [
      { type: 'json/shop.Orders.OutOfStock', value: { left: 5 } },
      {
        type: 'type.googleapis.com/waystation.rpc.v1.Hop',
        value: { stage: 'started', provider: 'one', waitedMs: 3 },
      },
      { type: 'type.googleapis.com/x.Y', base64: 'AQ==' },
    ],
  ])
  const page = await shop.world.ask('GET', '/v1/pages/services', { headers: ROOT })
  const { rows } = (await page.json()) as { rows: { failed: number }[] }
  assert.deepEqual(
    rows.map(({ failed }) => failed),
    [1],
  )
})

test('several messages are a stream, none is one too, and a deadline ends it', async () => {
  await using shop = await open(() => {})
  const streaming = await shop.call('watch', { messages: [1, 2], deadlineMs: 50 })
  assert.deepEqual(shop.heard, ['1', '2 last'])
  shop.clock.advance(100)
  const [end] = await events(streaming)
  assert.equal(end?.kind === 'status' && end.code, 'DEADLINE_EXCEEDED')
  await shop.call('watch', { messages: [] })
  assert.equal(shop.heard.at(-1), 'half-close')
})

test('who stops reading holds the provider up, and who leaves cancels the call', async () => {
  const block = Buffer.from(JSON.stringify('x'.repeat(CALL_WINDOW * 0.6)))
  await using shop = await open((_head, reply) => {
    for (let at = 0; at < 2; at++) reply.reply(block)
  })
  const response = await shop.call('watch')
  const credits = (): string[] => shop.heard.filter((line) => line.startsWith('credit'))
  assert.equal(credits().length, 1, 'room for one was given back, the second waits to be read')
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  await reader.read()
  await reader.read()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(credits().length, 2)
  await reader.cancel()
  assert.match(shop.heard.at(-1) ?? '', /^cancel: whoever made the call has left/)
})

test('an answer without end is cut, and the provider told', async () => {
  await using shop = await open((_head, reply) => {
    for (let at = 0; at < CALL_REPLIES_MAX + 9; at++) reply.reply(Buffer.from('1'))
  })
  const answer = await events(await shop.call('watch'))
  assert.equal(answer.length, CALL_REPLIES_MAX + 1)
  const end = answer.at(-1)
  assert.equal(end?.kind === 'status' && end.code, 'CANCELLED')
  assert.match(shop.heard.at(-1) ?? '', /^cancel: /)
})

test('nobody calls here what he may not call as a client, and both stand in the audit', async () => {
  await using shop = await open(echo)
  const { users, logged } = shop.world
  await users.add('clerk', 'secret', ['administrator'])
  await users.setPermissions('clerk', '/', { configure: '', write: '^rpc\\.stock\\.', read: '' })
  const clerk = { authorization: `Basic ${Buffer.from('clerk:secret').toString('base64')}` }
  const refused = await shop.call('place', {}, clerk)
  assert.equal(refused.status, 403)
  assert.match(await refused.text(), /write access to queue 'rpc.shop.Orders'/)
  assert.deepEqual(shop.heard, [])
  await users.setPermissions('clerk', '/', { configure: '', write: '^rpc\\.', read: '' })
  assert.equal((await events(await shop.call('place', {}, clerk))).length, 2)
  const changed = logged.find(({ text }) => text === 'changed over HTTP')
  assert.deepEqual(changed?.fields, {
    ...{ user: 'clerk', method: 'POST', path: '/v1/services/%2F/shop.Orders/place' },
  })
  const local = { authorization: 'Bearer token-of-the-test' }
  assert.equal((await events(await shop.call('place', {}, local))).length, 2)
})

test('bad requests are refused before anybody is called', async () => {
  await using shop = await open(echo)
  for (const body of [
    { messages: 'x' },
    { deadlineMs: 0 },
    { deadlineMs: 300_001 },
    { metadata: { 'a b': 'x' } },
    { messages: Array.from({ length: 101 }, () => 1) },
  ]) {
    assert.equal((await shop.call('place', body)).status, 400, JSON.stringify(body))
  }
  const { ask } = shop.world
  const other = await ask('POST', '/v1/services/other/shop.Orders/place', {
    ...{ body: {}, headers: ROOT },
  })
  assert.equal(other.status, 404)
  const nobody = await ask('POST', '/v1/services/%2F/a.B/c', { body: {}, headers: ROOT })
  const [end] = await events(nobody)
  assert.equal(end?.kind === 'status' && end.code, 'UNAVAILABLE')
  assert.deepEqual(shop.heard, [])
})

test('there is an end to calls by hand, and room again after each', async () => {
  await using shop = await open(() => {})
  const calls: Response[] = []
  for (let at = 0; at < CALLS_BY_HAND_MAX; at++) calls.push(await shop.call('watch'))
  assert.equal((await shop.call('watch')).status, 503)
  await calls[0]?.body?.cancel()
  assert.equal((await shop.call('watch')).status, 200)
})

test('services come in pages, and a contract that is none is as good as none', async () => {
  await using shop = await open(echo, '{"shop.Orders": 7}')
  const { registry } = shop.world.rpcCore.host('/')
  for (let at = 0; at < 120; at++) {
    const info = { instanceId: `${at}`, version: '', labels: {}, weight: 1, user: '' }
    const services = [`bulk.S${String(at).padStart(3, '0')}`]
    registry.attach({ ...info, services }, { open: () => CLOSED_REQUEST }, 1)
  }
  const get = async <T>(path: string): Promise<T> => {
    return (await (await shop.world.ask('GET', path, { headers: ROOT })).json()) as T
  }
  const page = await get<{ total: number; rows: { service: string }[] }>(
    '/v1/pages/services?search=BULK&offset=100&limit=15',
  )
  assert.equal(page.total, 120)
  assert.deepEqual(
    page.rows.map(({ service }) => service),
    Array.from({ length: 15 }, (_, at) => `bulk.S${100 + at}`),
  )
  await shop.call('place').then(events)
  const busiest = await get<{ rows: { service: string }[] }>(
    '/v1/pages/services?sort=calls&descending=true&limit=2',
  )
  assert.deepEqual(
    busiest.rows.map(({ service }) => service),
    ['shop.Orders', 'bulk.S000'],
  )
  const details = await get<ServiceDetails>('/v1/services/%2F/shop.Orders')
  assert.equal(details.methods, null)
  const answer = await shop.world.ask('GET', '/v1/services/%2F/no.Such', { headers: ROOT })
  assert.equal(answer.status, 404)
})
