/** The audit log: who changed or was refused what, through whatever protocol. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { waitFor } from '../../../src/testing/wait-for.ts'
import { ADMIN, change, put, securedBroker } from './secured-broker.ts'

type Line = Readonly<Record<string, string | number | null>>

test('changes and refusals of every protocol are in the audit file, and no secret', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-audit-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = path.join(folder, 'audit.log')
  const { broker, clients } = await securedBroker(t, { audit: { file } })
  const admin = { user: ADMIN.name, password: ADMIN.password }
  const clerk = { user: 'clerk', password: 'clerk-password-2' }
  await put(broker, 'users/clerk', { password: clerk.password })
  await put(broker, 'permissions/%2F/clerk', { configure: '', write: '', read: '' })

  const channel = await (await clients.amqp('amqp', admin)).createChannel()
  await channel.assertExchange('news', 'fanout')
  await channel.assertQueue('bills')
  await channel.assertQueue('bills')
  await channel.assertQueue('own', { exclusive: true })
  await channel.bindQueue('bills', 'news', 'k')
  await channel.bindQueue('bills', 'news', 'another')
  const payload = 'a-body-that-is-secret'
  const ours = { exchange: 'news', routingKey: 'k', body: payload }
  await change(broker, { method: 'POST', path: '/v1/publish/%2F', body: ours })
  const theirs = { routing_key: 'k', properties: {}, payload, payload_encoding: 'string' }
  const publish = '/api/exchanges/%2F/news/publish'
  await change(broker, { method: 'POST', path: publish, body: theirs })
  await channel.purgeQueue('bills')
  await channel.deleteQueue('bills')
  const refused = await (await clients.amqp('amqp', clerk)).createChannel()
  refused.on('error', () => undefined)
  await assert.rejects(refused.assertQueue('theirs'))

  const mqtt = await clients.mqtt('mqtt', clerk)
  await assert.rejects(mqtt.subscribeAsync('a/b'))

  const kafka = clients.kafka('kafka', admin).admin()
  t.after(async () => kafka.disconnect())
  await kafka.connect()
  await kafka.createTopics({ topics: [{ topic: 'clicks' }] })
  await kafka.deleteTopics({ topics: ['clicks'] })
  const weak = clients.kafka('kafka', clerk).admin()
  t.after(async () => weak.disconnect())
  await weak.connect()
  await assert.rejects(weak.createTopics({ topics: [{ topic: 'theirs' }] }))

  await assert.rejects(clients.http('http', clerk))
  for (const listener of ['amqp', 'mqtt-ws', 'kafka', 'http'] as const) {
    const login = { user: `stranger-${listener}`, password: 'guessed-password-3' }
    await assert.rejects(clients.logIn(listener, login))
  }

  let lines: Line[] = []
  const expected: readonly Line[] = [
    { event: 'changed', user: 'root', protocol: 'HTTP', action: 'PUT /v1/users/clerk' },
    { event: 'changed', user: 'root', protocol: 'HTTP', action: 'PUT /v1/permissions/%2F/clerk' },
    changed('exchange.declare', "exchange 'news'"),
    changed('queue.declare', "queue 'bills'"),
    changed('queue.bind', "exchange 'news' to queue 'bills'"),
    changed('POST /v1/publish/%2F', "exchange 'news' by key 'k'"),
    { event: 'changed', user: 'root', protocol: 'HTTP', action: `POST ${publish}` },
    changed('queue.purge', "queue 'bills'"),
    changed('queue.delete', "queue 'bills'"),
    { event: 'refused', user: 'clerk', action: 'configure', object: "queue 'theirs'" },
    { event: 'refused', user: 'clerk', action: 'read', object: "exchange 'amq.topic'" },
    { ...changed('CreateTopics', "topic 'clicks'"), protocol: 'Kafka' },
    { ...changed('DeleteTopics', "topic 'clicks'"), protocol: 'Kafka' },
    { event: 'refused', user: 'clerk', protocol: 'Kafka', object: "'theirs'" },
    { event: 'refused', user: 'clerk', protocol: 'HTTP', action: 'GET /v1/status' },
    ...['amqp', 'mqtt-ws', 'kafka', 'http'].map((listener) => ({
      ...{ event: 'login refused', user: `stranger-${listener}`, peer: '127.0.0.1' },
      ...{ action: 'login by PLAIN' },
    })),
  ]
  await waitFor(
    () => {
      const text = readFileSync(file, 'utf8').trim()
      lines = text.split('\n').map((line) => JSON.parse(line) as Line)
      return lines.length >= expected.length
    },
    { timeoutMs: 30_000, expected: () => 'all lines', found: () => JSON.stringify(lines) },
  )
  for (const wanted of expected) {
    const found = lines.filter((line) => {
      return Object.entries(wanted).every(([key, value]) => line[key] === value)
    })
    assert.equal(found.length, 1, `${JSON.stringify(wanted)} in ${JSON.stringify(lines)}`)
  }
  assert.ok(!lines.some(({ object }) => object === "queue 'own'"))
  const text = readFileSync(file, 'utf8')
  for (const secret of [clerk.password, ADMIN.password, 'guessed-password-3', payload]) {
    assert.ok(!text.includes(secret))
  }
})

test('without a file the log has it, under its own name', async (t) => {
  const { clients, lines } = await securedBroker(t)
  await assert.rejects(clients.amqp('amqp', { user: 'stranger', password: 'x' }))
  const told = lines.find((line) => line.startsWith('audit '))
  assert.match(told ?? '', /"event":"login refused","user":"stranger"/)
})

function changed(action: string, object: string): Line {
  return { event: 'changed', user: 'root', action, object }
}
