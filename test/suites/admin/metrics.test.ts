import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { connect, type GetMessage } from 'amqplib'
import type { RunningBroker } from '../../../src/server/index.ts'
import { ManagementClient, startManaged } from '../../support/management-client.ts'

const DASHBOARD = path.join(import.meta.dirname, '../../../operations/grafana/waystation.json')
const GUEST = `Basic ${Buffer.from('guest:guest').toString('base64')}`

/** Values by series, as `name{label="value"}`. */
async function scrape(broker: RunningBroker, where = '/metrics'): Promise<Map<string, number>> {
  const response = await fetch(broker.url('http') + where, { headers: { authorization: GUEST } })
  assert.equal(response.status, 200)
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
  const series = new Map<string, number>()
  for (const line of (await response.text()).split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const [, name, value] = /^(\S+(?:\{.*\})?) (\S+)$/.exec(line)!
    series.set(name!, Number(value))
  }
  return series
}

/** Those of `wanted`, once they are so; 30 s at most. */
async function until(broker: RunningBroker, wanted: Record<string, number>): Promise<void> {
  const end = performance.now() + 30_000
  for (;;) {
    const series = await scrape(broker)
    const seen = Object.fromEntries(Object.keys(wanted).map((name) => [name, series.get(name)]))
    if (performance.now() > end || JSON.stringify(seen) === JSON.stringify(wanted)) {
      assert.deepEqual(seen, wanted)
      return
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('what clients do is counted, and no counter goes back when they and their queues are gone', async () => {
  await using broker = await startManaged()
  const connection = await connect(broker.url('amqp'))
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('dead')
  const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await channel.assertQueue('work', { arguments: args })
  for (let count = 0; count < 5; count++) channel.sendToQueue('work', Buffer.from('four'))
  channel.publish('amq.fanout', 'nowhere', Buffer.from('x'))
  await channel.waitForConfirms()
  const take = async (): Promise<GetMessage> => {
    const message = await channel.get('work')
    if (typeof message === 'boolean') throw new Error('a message is missing')
    return message
  }
  channel.ack(await take())
  channel.nack(await take(), false, true)
  await take()
  channel.nack(await take(), false, false)
  const own = 'protocol="AMQP 0-9-1",vhost="/"'
  const counters = {
    [`waystation_messages_published_total{${own}}`]: 6,
    [`waystation_messages_delivered_total{${own}}`]: 4,
    'waystation_messages_enqueued_total{vhost="/"}': 6,
    'waystation_messages_given_out_total{vhost="/"}': 4,
    'waystation_messages_acked_total{vhost="/"}': 2,
    'waystation_messages_unroutable_total{vhost="/"}': 1,
    'waystation_dead_letters_total{vhost="/",reason="rejected"}': 1,
    [`waystation_connections_opened_total{${own}}`]: 1,
  }
  await until(broker, {
    ...counters,
    [`waystation_connections{${own}}`]: 1,
    'waystation_channels{protocol="AMQP 0-9-1"}': 1,
    'waystation_messages_ready{vhost="/",profile="queue"}': 3,
    'waystation_messages_unacked{vhost="/",profile="queue"}': 1,
    'waystation_ready_bytes{vhost="/",profile="queue"}': 12,
  })
  await connection.close()
  const client = new ManagementClient(broker.port('http'))
  for (const name of ['work', 'dead']) await client.ask('DELETE', `/queues/%2F/${name}`)
  await until(broker, {
    ...counters,
    [`waystation_connections{${own}}`]: 0,
    [`waystation_connections_closed_total{${own}}`]: 1,
    'waystation_destinations{vhost="/",profile="queue"}': 0,
    'waystation_messages_ready{vhost="/",profile="queue"}': 0,
  })
})

test('single queues are shown on request, a page at a time', async () => {
  await using broker = await startManaged()
  const client = new ManagementClient(broker.port('http'))
  for (const name of ['a"1', 'b\\2', 'c3']) {
    const { status } = await client.ask('PUT', `/queues/%2F/${encodeURIComponent(name)}`, {})
    assert.equal(status, 201)
  }
  const ready = 'waystation_destination_messages_ready'
  const shown = async (query: string): Promise<string[]> => {
    const series = await scrape(broker, `/metrics/per-object${query}`)
    return [...series.keys()].filter((name) => name.startsWith(ready))
  }
  const series = (name: string): string => {
    return `${ready}{vhost="/",destination="${name}",profile="queue"}`
  }
  assert.deepEqual(await shown(''), [
    series(String.raw`a\"1`),
    series(String.raw`b\\2`),
    series('c3'),
  ])
  assert.deepEqual(await shown('?limit=2&page=2'), [series('c3')])
  assert.deepEqual(await shown('?name=c'), [series('c3')])
  assert.deepEqual(
    [...(await scrape(broker)).keys()].filter((name) => name.includes('c3')),
    [],
  )
  const ask = async (query: string): Promise<number> => {
    const url = `${broker.url('http')}/metrics/per-object${query}`
    return (await fetch(url, { headers: { authorization: GUEST } })).status
  }
  assert.equal(await ask('?limit=10001'), 400)
  assert.equal(await ask('?vhost=none'), 404)
})

test('metrics are for those who may monitor', async () => {
  await using broker = await startManaged()
  const client = new ManagementClient(broker.port('http'))
  const ask = async (user: string | null): Promise<number> => {
    const value = Buffer.from(`${user}:secret`).toString('base64')
    const headers = user === null ? {} : { authorization: `Basic ${value}` }
    return (await fetch(`${broker.url('http')}/metrics`, { headers })).status
  }
  await client.ask('PUT', '/users/seer', { password: 'secret', tags: 'monitoring' })
  await client.ask('PUT', '/users/other', { password: 'secret', tags: 'management' })
  assert.equal(await ask(null), 401)
  assert.equal(await ask('seer'), 200)
  assert.equal(await ask('other'), 403)
})

test('the Grafana dashboard asks only for what is served', async () => {
  await using broker = await startManaged()
  const connection = await connect(broker.url('amqp'))
  await connection.createChannel()
  // The engine tells of collections when it has made some.
  const end = performance.now() + 30_000
  let served = new Set<string>()
  while (!served.has('nodejs_gc_duration_seconds_sum') && performance.now() < end) {
    Array.from({ length: 200_000 }, (_, index) => ({ index }))
    await new Promise((resolve) => setTimeout(resolve, 10))
    served = new Set([...(await scrape(broker)).keys()].map((name) => name.replace(/\{.*/, '')))
  }
  const text = readFileSync(DASHBOARD, 'utf8')
  const asked = new Set(text.match(/\b(?:waystation|process|nodejs)_\w+/g))
  assert.ok(asked.size > 30, `only ${asked.size} metrics in the dashboard`)
  assert.deepEqual(
    [...asked].filter((name) => !served.has(name)),
    [],
  )
  await connection.close()
})
