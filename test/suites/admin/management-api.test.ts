import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'amqplib'
import { ManagementClient, startManaged } from '../../support/management-client.ts'

const NOT_FOUND = '{"error":"Object Not Found","reason":"Not Found"}'
const REFUSED = '{"error":"not_authorised","reason":"Access refused."}'

type Step = readonly [
  method: string,
  path: string,
  body: unknown,
  status: number,
  answer?: string | RegExp,
]

/** Requests with what a RabbitMQ 4.0.5 answered to them, byte for byte where it is text. */
const STEPS: readonly Step[] = [
  ['PUT', '/vhosts/pv', { description: 'd', tags: 'a,b' }, 201],
  ['PUT', '/vhosts/pv', undefined, 204],
  ['GET', '/vhosts/pv', undefined, 200, /"default_queue_type":"classic"/],
  ['GET', '/vhosts/nope', undefined, 404, NOT_FOUND],
  ['PUT', '/users/pu', { password: 'x', tags: 'monitoring' }, 201],
  ['PUT', '/users/pu', { password: 'x', tags: ['monitoring'] }, 204],
  ['PUT', '/users/pu2', { password: 'x' }, 400, bad('tags_not_present')],
  ['PUT', '/permissions/pv/pu', { configure: '.*', write: '.*', read: '.*' }, 201],
  ['PUT', '/permissions/pv/pu', { configure: '', write: '', read: '' }, 204],
  [
    'PUT',
    '/permissions/pv/pu',
    { configure: '' },
    400,
    bad('[{key_missing,write},{key_missing,read}]'),
  ],
  [
    'PUT',
    '/permissions/pv/nobody',
    { configure: '', write: '', read: '' },
    400,
    bad('vhost_or_user_not_found'),
  ],
  ['GET', '/permissions/pv/nobody', undefined, 404, NOT_FOUND],
  ['PUT', '/topic-permissions/pv/pu', { exchange: 'amq.topic', write: '', read: '' }, 201],
  ['DELETE', '/topic-permissions/pv/pu', undefined, 204],
  ['PUT', '/exchanges/%2F/pe', { type: 'topic', durable: true }, 201],
  [
    'PUT',
    '/exchanges/%2F/pe',
    { type: 'fanout', durable: true },
    400,
    bad(
      "inequivalent arg 'type' for exchange 'pe' in vhost '/': received 'fanout' but current is 'topic'",
    ),
  ],
  ['PUT', '/exchanges/%2F/px', { type: 'nonsense' }, 400, bad("unknown exchange type 'nonsense'")],
  ['PUT', '/exchanges/%2F/amq.foo', { type: 'topic' }, 401, REFUSED],
  ['PUT', '/exchanges/%2F/px', 'not json', 400, bad('not_json')],
  ['GET', '/exchanges/%2F/nope', undefined, 404, NOT_FOUND],
  ['GET', '/exchanges/nope', undefined, 404, NOT_FOUND],
  // As rabbitmqadmin writes it: everything is text.
  [
    'PUT',
    '/queues/%2F/pq',
    { durable: 'true', auto_delete: 'false', arguments: { 'x-max-length': 10 } },
    201,
  ],
  ['PUT', '/queues/%2F/pq', { durable: true, arguments: { 'x-max-length': 10 } }, 204],
  [
    'PUT',
    '/queues/%2F/pq',
    { durable: false },
    400,
    bad(
      "inequivalent arg 'durable' for queue 'pq' in vhost '/': received 'false' but current is 'true'",
    ),
  ],
  ['POST', '/bindings/%2F/e/pe/q/pq', { routing_key: 'a.b', arguments: { k: 'v' } }, 201],
  ['POST', '/bindings/%2F/e/pe/q/pq', { routing_key: 'x/y z' }, 201],
  ['POST', '/bindings/%2F/e/pe/q/pq', undefined, 201],
  ['POST', '/bindings/%2F/e/pe/e/amq.fanout', { routing_key: 'e' }, 201],
  [
    'POST',
    '/bindings/%2F/e/pe/q/nope',
    {},
    404,
    '{"error":"not_found","reason":"no queue \'nope\' in vhost \'/\'"}',
  ],
  ['GET', '/bindings/%2F/e/pe/q/pq/~', undefined, 200, /"properties_key":"~"/],
  ['GET', '/bindings/%2F/e/pe/q/pq/x%252Fy%2Bz', undefined, 200, /"routing_key":"x\/y z"/],
  ['GET', '/bindings/%2F/e/pe/q/pq/nope', undefined, 404, NOT_FOUND],
  ['DELETE', '/bindings/%2F/e/pe/q/pq/~', undefined, 204],
  ['DELETE', '/bindings/%2F/e/pe/q/pq/~', undefined, 404, NOT_FOUND],
  [
    'DELETE',
    '/exchanges/%2F/pe?if-unused=true',
    undefined,
    400,
    bad("exchange 'pe' in vhost '/' in use"),
  ],
  ['DELETE', '/exchanges/%2F/pe', undefined, 204],
  ['DELETE', '/exchanges/%2F/amq.topic', undefined, 401, REFUSED],
  ['DELETE', '/queues/%2F/pq?if-empty=true', undefined, 204],
  ['DELETE', '/queues/%2F/pq', undefined, 404, NOT_FOUND],
  ['DELETE', '/queues/%2F/pq/contents', undefined, 404, NOT_FOUND],
  [
    'PUT',
    '/policies/%2F/p',
    { pattern: '^a', definition: { 'max-length': 5 }, priority: '1' },
    201,
  ],
  [
    'PUT',
    '/policies/%2F/p',
    { pattern: 'a', definition: { nonsense: 6 } },
    400,
    /Validation failed/,
  ],
  ['PUT', '/policies/%2F/p', { definition: {} }, 400, bad('[{key_missing,pattern}]')],
  ['DELETE', '/policies/%2F/p', undefined, 204],
  ['DELETE', '/policies/%2F/p', undefined, 404, NOT_FOUND],
  ['GET', '/operator-policies', undefined, 200, '[]'],
  ['GET', '/parameters', undefined, 200, '[]'],
  [
    'PUT',
    '/parameters/shovel/%2F/x',
    { value: {} },
    400,
    bad('Validation failed\\n\\ncomponent shovel not found\\n'),
  ],
  ['PUT', '/global-parameters/gp', { value: { a: 1 } }, 201],
  ['GET', '/global-parameters/gp', undefined, 200, '{"name":"gp","value":{"a":1}}'],
  ['DELETE', '/global-parameters/gp', undefined, 204],
  ['GET', '/global-parameters/gp', undefined, 404, NOT_FOUND],
  ['PUT', '/vhost-limits/pv/max-queues', { value: 5 }, 204],
  ['GET', '/vhost-limits', undefined, 200, '[{"vhost":"pv","value":{"max-queues":5}}]'],
  ['DELETE', '/vhost-limits/pv/max-queues', undefined, 204],
  ['PUT', '/user-limits/pu/max-channels', { value: '5' }, 204],
  ['GET', '/user-limits/pu', undefined, 200, '[{"user":"pu","value":{"max-channels":5}}]'],
  [
    'GET',
    '/whoami',
    undefined,
    200,
    '{"name":"guest","tags":["administrator"],"is_internal_user":true}',
  ],
  ['PUT', '/cluster-name', { name: 'x1' }, 204],
  ['GET', '/cluster-name', undefined, 200, '{"name":"x1"}'],
  ['GET', '/aliveness-test/%2F', undefined, 200, '{"status":"ok"}'],
  ['GET', '/health/checks/alarms', undefined, 200, '{"status":"ok"}'],
  ['GET', '/health/checks/local-alarms', undefined, 200, '{"status":"ok"}'],
  ['GET', '/health/checks/virtual-hosts', undefined, 200, '{"status":"ok"}'],
  [
    'GET',
    '/health/checks/node-is-quorum-critical',
    undefined,
    200,
    '{"status":"ok","reason":"single node cluster"}',
  ],
  ['GET', '/health/checks/port-listener/1', undefined, 503, /"missing":1,"ports":\[/],
  ['GET', '/health/checks/port-listener/abc', undefined, 400, bad('Invalid port')],
  [
    'GET',
    '/health/checks/protocol-listener/amqp091',
    undefined,
    200,
    '{"status":"ok","protocol":"amqp"}',
  ],
  ['GET', '/health/checks/protocol-listener/bla', undefined, 503, /"missing":"bla"/],
  ['GET', '/feature-flags', undefined, 200, /"state":"enabled"/],
  ['GET', '/nope', undefined, 404, NOT_FOUND],
  ['GET', '/connections/nope', undefined, 404, NOT_FOUND],
  ['POST', '/overview', undefined, 405, ''],
  ['PUT', '/queues', undefined, 405, ''],
  ['GET', '/exchanges?page=99&page_size=2', undefined, 400, /"error":"page_out_of_range"/],
  [
    'GET',
    '/exchanges?page=0',
    undefined,
    400,
    '{"error":"invalid_pagination_parameters","reason":"Invalid pagination parameters: page number 0, page size undefined"}',
  ],
  [
    'GET',
    '/exchanges?page=1&use_regex=true&name=(',
    undefined,
    400,
    bad('Pagination parameters are invalid'),
  ],
  ['GET', '/definitions/nope', undefined, 400, bad('vhost_not_found')],
  ['POST', '/users/bulk-delete', { users: ['pu'] }, 204],
  ['DELETE', '/users/pu', undefined, 404, NOT_FOUND],
  ['DELETE', '/vhosts/pv', undefined, 204],
  ['DELETE', '/vhosts/pv', undefined, 404, NOT_FOUND],
]

function bad(reason: string): string {
  return `{"error":"bad_request","reason":"${reason}"}`
}

test('requests are answered with what RabbitMQ answers', async () => {
  await using broker = await startManaged()
  const client = new ManagementClient(broker.port('http'))
  for (const [method, path, body, status, answer] of STEPS) {
    const { status: given, text } = await client.ask(method, path, body)
    const what = `${method} ${path}: ${text}`
    assert.equal(given, status, what)
    if (typeof answer === 'string') assert.equal(text, answer, what)
    else if (answer !== undefined) assert.match(text, answer, what)
  }
})

test('messages are published and taken with all their properties', async () => {
  await using broker = await startManaged()
  const client = new ManagementClient(broker.port('http'))
  const limits = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  for (const [name, args] of [
    ['q', limits],
    ['dead', {}],
  ] as const) {
    const asked = { durable: true, arguments: args }
    assert.equal((await client.ask('PUT', `/queues/%2F/${name}`, asked)).status, 201)
  }
  const properties = {
    ...{ app_id: 'a', user_id: 'guest', type: 't', timestamp: 5, message_id: 'm' },
    ...{ expiration: '60000', reply_to: 'r', correlation_id: 'c', priority: 3, delivery_mode: 2 },
    headers: { a: 1, b: 'x', c: true, d: [1], e: { f: 1 } },
    content_type: 'text/plain',
  }
  const message = { properties, routing_key: 'q', payload: '/w==', payload_encoding: 'base64' }
  const publish = async (given: unknown): Promise<unknown> => {
    return (await client.ask('POST', '/exchanges/%2F/amq.default/publish', given)).json
  }
  assert.deepEqual(await publish(message), { routed: true })
  const text = { properties: {}, routing_key: 'q', payload: 'grüße', payload_encoding: 'string' }
  assert.deepEqual(await publish(text), { routed: true })
  assert.deepEqual(await publish({ ...text, routing_key: 'none' }), { routed: false })
  const other = { ...text, properties: { user_id: 'other' } }
  assert.match(JSON.stringify(await publish(other)), /user_id property set to 'other'/)

  const get = async (queue: string, ackmode: string): Promise<Record<string, unknown>[]> => {
    const asked = { count: 5, ackmode, encoding: 'auto' }
    const { json } = await client.ask('POST', `/queues/%2F/${queue}/get`, asked)
    return json as Record<string, unknown>[]
  }
  const [first, second] = await get('q', 'ack_requeue_true')
  assert.deepEqual(first, {
    ...{ payload_bytes: 1, payload: '/w==', payload_encoding: 'base64' },
    ...{ exchange: '', routing_key: 'q', redelivered: false, message_count: 1, properties },
  })
  assert.equal(second?.['payload'], 'grüße')
  assert.deepEqual(second['properties'], [])
  const again = await get('q', 'reject_requeue_false')
  assert.deepEqual(
    again.map(({ redelivered }) => redelivered),
    [true, true],
  )
  assert.deepEqual(await get('q', 'ack_requeue_false'), [])
  const [died] = await get('dead', 'ack_requeue_false')
  const { headers } = died!['properties'] as { headers: Record<string, unknown> }
  assert.equal(headers['x-first-death-reason'], 'rejected')
  assert.equal(headers['x-first-death-queue'], 'q')
})

test('clients are listed with their channels and consumers, and sent away', async () => {
  await using broker = await startManaged()
  const client = new ManagementClient(broker.port('http'))
  const connection = await connect(`amqp://127.0.0.1:${broker.port('amqp')}`, {
    clientProperties: { connection_name: 'tester' },
  })
  const closed = new Promise<Error>((resolve) => connection.once('close', resolve))
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q')
  await channel.prefetch(7)
  const { consumerTag } = await channel.consume('q', () => undefined)
  const [listed] = (await client.get('/connections')) as Record<string, unknown>[]
  const { name, user, vhost, protocol, channels, user_provided_name: given } = listed!
  assert.deepEqual(
    { user, vhost, protocol, channels, given },
    { user: 'guest', vhost: '/', protocol: 'AMQP 0-9-1', channels: 1, given: 'tester' },
  )
  assert.equal(listed!['port'], broker.port('amqp'))
  const [open] = (await client.get('/channels')) as Record<string, unknown>[]
  assert.equal(open?.['name'], `${String(name)} (1)`)
  assert.equal(open['confirm'], true)
  const path = `/channels/${encodeURIComponent(String(open['name']))}`
  assert.equal(((await client.get(path)) as { number: number }).number, 1)
  const [consumer] = (await client.get('/consumers/%2F')) as Record<string, unknown>[]
  assert.equal(consumer?.['consumer_tag'], consumerTag)
  assert.equal(consumer['prefetch_count'], 7)
  assert.deepEqual(consumer['queue'], { name: 'q', vhost: '/' })
  const details = consumer['channel_details'] as Record<string, unknown>
  assert.equal(details['name'], open['name'])
  const overview = (await client.get('/overview')) as { object_totals: Record<string, number> }
  const { connections, consumers, queues } = overview.object_totals
  assert.deepEqual({ connections, consumers, queues }, { connections: 1, consumers: 1, queues: 1 })
  const where = `/connections/${encodeURIComponent(String(name))}`
  assert.equal((await client.ask('DELETE', where)).status, 204)
  assert.match((await closed).message, /Closed via management plugin/)
})

test('lists are paged, narrowed, sorted and cut to columns', async () => {
  await using broker = await startManaged()
  const client = new ManagementClient(broker.port('http'))
  for (let index = 0; index < 25; index++) {
    const name = `q${String(index).padStart(2, '0')}`
    const asked = { durable: index % 2 === 0, arguments: { 'x-max-length': index } }
    assert.equal((await client.ask('PUT', `/queues/%2F/${name}`, asked)).status, 201)
  }
  assert.deepEqual(await client.get('/queues?page=3&page_size=10&columns=name'), {
    filtered_count: 25,
    item_count: 5,
    items: ['q20', 'q21', 'q22', 'q23', 'q24'].map((name) => ({ name })),
    page: 3,
    page_count: 3,
    page_size: 10,
    total_count: 25,
  })
  const names = async (query: string): Promise<string[]> => {
    const { items } = (await client.get(`/queues?page=1&columns=name&${query}`)) as {
      items: { name: string }[]
    }
    return items.map(({ name }) => name)
  }
  assert.deepEqual(await names('name=2&page_size=4'), ['q02', 'q12', 'q20', 'q21'])
  assert.deepEqual(await names('name=^q0[13]$&use_regex=true'), ['q01', 'q03'])
  const sorted = 'sort=arguments.x-max-length&sort_reverse=true&page_size=2'
  assert.deepEqual(await names(sorted), ['q24', 'q23'])
  const columns = '/queues/%2F/q05?columns=name,arguments.x-max-length,none'
  assert.deepEqual(await client.get(columns), { name: 'q05', arguments: { 'x-max-length': 5 } })
})

test('each tag opens what it opens in RabbitMQ', async () => {
  await using broker = await startManaged()
  const guest = new ManagementClient(broker.port('http'))
  const tags = ['', 'management', 'policymaker', 'monitoring', 'administrator']
  for (const tag of tags) {
    const asked = { password: 'secret', tags: tag }
    assert.equal((await guest.ask('PUT', `/users/u-${tag}`, asked)).status, 201)
  }
  assert.equal((await guest.ask('PUT', '/vhosts/other', {})).status, 201)
  const everything = { configure: '.*', write: '^mine', read: '.*' }
  for (const tag of tags) await guest.ask('PUT', `/permissions/%2F/u-${tag}`, everything)
  const statuses = async (method: string, path: string, body?: unknown): Promise<number[]> => {
    const given: number[] = []
    for (const tag of tags) {
      const client = new ManagementClient(broker.port('http'), `u-${tag}`, 'secret')
      given.push((await client.ask(method, path, body)).status)
    }
    return given
  }
  assert.deepEqual(await statuses('GET', '/overview'), [401, 200, 200, 200, 200])
  assert.deepEqual(await statuses('GET', '/nodes'), [401, 401, 401, 200, 200])
  assert.deepEqual(await statuses('GET', '/users'), [401, 401, 401, 401, 200])
  assert.deepEqual(await statuses('GET', '/queues/other'), [401, 401, 401, 200, 200])
  assert.deepEqual(await statuses('PUT', '/queues/other/q', {}), [401, 401, 401, 401, 401])
  const policy = { pattern: 'x', definition: { 'max-length': 1 } }
  assert.deepEqual(await statuses('PUT', '/policies/%2F/p', policy), [401, 401, 201, 401, 204])
  const message = { properties: {}, routing_key: '', payload: '', payload_encoding: 'string' }
  const path = '/exchanges/%2F/amq.fanout/publish'
  assert.deepEqual(await statuses('POST', path, message), [401, 401, 401, 401, 401])
  const refused = await guest.ask('POST', path, message)
  assert.deepEqual(refused.json, { routed: false })
  const stranger = new ManagementClient(broker.port('http'), 'guest', 'wrong')
  const { status, json } = await stranger.ask('GET', '/overview')
  assert.equal(status, 401)
  assert.deepEqual(json, { error: 'not_authorized', reason: 'Not_Authorized' })
})
