import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { connect } from 'amqplib'
import { ManagementClient, startManaged } from '../../support/management-client.ts'

type Definitions = Record<string, Record<string, unknown>[]>

/** Exported by a RabbitMQ 4.0.5 that tools/rabbitmq-definitions.sh had filled. */
const FILE = path.join(import.meta.dirname, '../../../spec/rabbitmq/definitions.json')
const exported = JSON.parse(readFileSync(FILE, 'utf8')) as Definitions

const LISTS = [
  'users',
  'vhosts',
  'permissions',
  'topic_permissions',
  'parameters',
  'global_parameters',
  'policies',
  'queues',
  'exchanges',
  'bindings',
]

/** The lists of a file in an order of their own, for they have none. */
function listsOf(definitions: Definitions): Record<string, string[]> {
  return Object.fromEntries(
    LISTS.map((name) => [name, (definitions[name] ?? []).map(plain).toSorted()]),
  )
}

function plain(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}

test('what a RabbitMQ exported is here as it was there, also after a restart', async () => {
  const data = mkdtempSync(path.join(tmpdir(), 'waystation-definitions-'))
  try {
    {
      await using broker = await startManaged(data)
      const client = new ManagementClient(broker.port('http'))
      const imported = await client.ask('POST', '/definitions', exported)
      assert.equal(imported.status, 204, imported.text)
      const here = (await client.get('/definitions')) as Definitions
      assert.deepEqual(listsOf(here), listsOf(exported))
      const again = await client.ask('POST', '/definitions', exported)
      assert.equal(again.status, 204, again.text)
    }
    await using broker = await startManaged(data)
    const client = new ManagementClient(broker.port('http'), 'ada', 'first-secret')
    // What is not durable was there for the import only.
    const durable = (definitions: Definitions): Record<string, string[]> => {
      const kept = (each: Record<string, unknown>): boolean => each['durable'] !== false
      return listsOf({
        ...definitions,
        queues: definitions['queues']!.filter(kept),
        exchanges: definitions['exchanges']!.filter(kept),
      })
    }
    const here = (await client.get('/definitions')) as Definitions
    assert.deepEqual(listsOf(here), durable(exported))
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
})

test('its users log in with the passwords they had', async () => {
  await using broker = await startManaged()
  const guest = new ManagementClient(broker.port('http'))
  assert.equal((await guest.ask('POST', '/definitions', exported)).status, 204)
  const ask = async (user: string, password: string): Promise<number> => {
    const client = new ManagementClient(broker.port('http'), user, password)
    return (await client.ask('GET', '/whoami')).status
  }
  assert.equal(await ask('ada', 'first-secret'), 200)
  assert.equal(await ask('ada', 'other'), 401)
  assert.equal(await ask('grace', 'long-secret'), 200)
  assert.equal(await ask('certified', ''), 401)
  const url = (password: string): string => {
    return `amqp://grace:${password}@127.0.0.1:${broker.port('amqp')}/shop`
  }
  const connection = await connect(url('long-secret'))
  const channel = await connection.createChannel()
  assert.equal((await channel.checkQueue('orders')).queue, 'orders')
  await connection.close()
  await assert.rejects(connect(url('wrong')), /ACCESS[-_]REFUSED/)
})

test('what is routed by it arrives where it did there', async () => {
  await using broker = await startManaged()
  const client = new ManagementClient(broker.port('http'))
  assert.equal((await client.ask('POST', '/definitions', exported)).status, 204)
  const publish = async (exchange: string, key: string, headers = {}): Promise<unknown> => {
    const body = { routing_key: key, payload: 'x', payload_encoding: 'string' }
    const asked = { ...body, properties: { headers } }
    return (await client.ask('POST', `/exchanges/shop/${exchange}/publish`, asked)).json
  }
  const ready = async (): Promise<Record<string, number>> => {
    const queues = (await client.get('/queues/shop')) as { name: string; messages: number }[]
    return Object.fromEntries(queues.map(({ name, messages }) => [name, messages]))
  }
  assert.deepEqual(await publish('events', 'eu.x.order'), { routed: true })
  assert.deepEqual(await publish('events', 'us.x'), { routed: true })
  assert.deepEqual(await publish('orders', 'new'), { routed: true })
  assert.deepEqual(await publish('by-header', '', { kind: 'bill', level: 3 }), { routed: true })
  assert.deepEqual(await publish('by-header', '', { kind: 'bill' }), { routed: false })
  const counts = await ready()
  assert.equal(counts['orders'], 2)
  assert.equal(counts['orders.quorum'], 1)
  assert.equal(counts['log'], 2)
})

test('export and import come round, over all and for one virtual host', async () => {
  await using first = await startManaged()
  await using second = await startManaged()
  const from = new ManagementClient(first.port('http'))
  const to = new ManagementClient(second.port('http'))
  assert.equal((await from.ask('POST', '/definitions', exported)).status, 204)
  const own = { password: 'own-secret', tags: 'monitoring' }
  assert.equal((await from.ask('PUT', '/users/own', own)).status, 201)
  const definitions = (await from.get('/definitions')) as Definitions
  assert.equal((await to.ask('POST', '/definitions', definitions)).status, 204)
  assert.deepEqual(await to.get('/definitions'), definitions)
  const moved = new ManagementClient(second.port('http'), 'own', 'own-secret')
  assert.equal((await moved.ask('GET', '/overview')).status, 200)

  const shop = (await from.get('/definitions/shop')) as Definitions
  assert.equal((await to.ask('PUT', '/vhosts/copy', {})).status, 201)
  assert.equal((await to.ask('POST', '/definitions/copy', shop)).status, 204)
  const copy = (await to.get('/definitions/copy')) as Definitions
  for (const name of ['queues', 'exchanges', 'bindings', 'policies', 'parameters']) {
    assert.deepEqual(copy[name], shop[name], name)
  }
})

test('a file that cannot be imported is refused with the reason', async () => {
  await using broker = await startManaged()
  const client = new ManagementClient(broker.port('http'))
  const refuse = async (definitions: unknown, reason: RegExp): Promise<void> => {
    const { status, json } = await client.ask('POST', '/definitions', definitions)
    assert.equal(status, 400)
    assert.equal((json as { error: string }).error, 'bad_request')
    assert.match((json as { reason: string }).reason, reason)
  }
  const queue = { name: 'q', durable: true, auto_delete: false, arguments: {} }
  await refuse('{', /^failed_to_parse_json$/)
  await refuse({ queues: [{ ...queue, vhost: 'none' }] }, /^Please create virtual host "none"/)
  await refuse({ queues: 5 }, /queues/)
  await refuse({ users: [{ name: 'x', password_hash: 'AAAA' }] }, /hash/)
  const binding = { source: 'amq.topic', vhost: '/', destination: 'no', destination_type: 'queue' }
  await refuse({ bindings: [{ ...binding, routing_key: '' }] }, /no queue 'no'/)
})
