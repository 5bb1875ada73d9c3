/** How much of one user may be stored, as clients of AMQP and MQTT meet it; in the broker's time. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { connect } from 'amqplib'
import { connectAsync } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

const AUTHORIZATION = `Basic ${Buffer.from('guest:guest').toString('base64')}`

async function ask(
  broker: TestBroker,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${broker.port('http')}/v1/${path}`, {
    method,
    headers: { authorization: AUTHORIZATION, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  assert.ok(answer.ok, text)
  return text === '' ? null : JSON.parse(text)
}

async function stored(broker: TestBroker): Promise<unknown> {
  const users = (await ask(broker, 'GET', 'users')) as { name: string; stored?: unknown }[]
  return users.find(({ name }) => name === 'guest')!.stored
}

test('a user that has as much stored as it may waits, or is refused, and is told why', async () => {
  await using broker = await startTestBroker({ listen: { amqp: 0, mqtt: 0, http: 0 } })
  await ask(broker, 'PUT', 'users/guest/limits', { 'max-length': 5 })
  const amqp = await connect(broker.url('amqp'))
  const channel = await amqp.createConfirmChannel()
  await channel.assertQueue('q')
  await channel.bindQueue('q', 'amq.topic', 't')
  for (let n = 0; n < 5; n++) channel.sendToQueue('q', Buffer.from(`${n}`), { persistent: true })
  await channel.waitForConfirms()
  assert.deepEqual(await stored(broker), { messages: 5, bytes: 5 })

  // Whoever consumes too must be read, and so is refused.
  const url = `mqtt://127.0.0.1:${broker.port('mqtt')}`
  const login = {
    username: 'guest',
    password: 'guest',
    protocolVersion: 5,
    reconnectPeriod: 0,
  } as const
  const both = await connectAsync(url, login)
  await both.subscribeAsync('other', { qos: 1 })
  const reasons: unknown[] = []
  both.on('packetreceive', (packet) => {
    if (packet.cmd === 'puback') reasons.push([packet.reasonCode, packet.properties?.reasonString])
  })
  await assert.rejects(both.publishAsync('t', 'x', { qos: 1 }), /Quota exceeded/)
  const reason = "user 'guest' has as much stored as it may, 5 messages"
  assert.deepEqual(reasons, [[0x97, reason]])
  await both.endAsync(true)

  const blocked = once(amqp, 'blocked')
  channel.sendToQueue('q', Buffer.from('late'), { persistent: true })
  assert.deepEqual(await blocked, [`${reason}, again when there is room`])
  await channel.waitForConfirms()
  assert.equal(broker.destination('q').ready, 6, 'what a read brings is taken')
  amqp.on('error', () => undefined)
  channel.on('error', () => undefined)

  // What is counted outlives a crash; one that only publishes gets its PUBACK when there is room.
  await broker.crash('kill')
  assert.deepEqual(await stored(broker), { messages: 6, bytes: 9 })
  const publisher = await connectAsync(url, login)
  let isAnswered = false
  await publisher.publishAsync('t', 'first', { qos: 1 })
  const waits = publisher.publishAsync('t', 'second', { qos: 1 }).then(() => (isAnswered = true))
  await broker.clock.advance(1000)
  assert.equal(isAnswered, false)
  const again = await connect(broker.url('amqp'))
  const reader = await again.createChannel()
  for (let left = 3; left > 0; left--) await reader.get('q', { noAck: true })
  await broker.clock.advance(40)
  await waits
  assert.equal(broker.destination('q').ready, 5)
  assert.deepEqual(await stored(broker), { messages: 5, bytes: 17 })
  await ask(broker, 'DELETE', 'users/guest/limits')
  await publisher.publishAsync('t', 'third', { qos: 1 })
  assert.deepEqual(
    await stored(broker),
    { messages: 5, bytes: 17 },
    'without a limit none is counted',
  )
  await reader.purgeQueue('q')
  assert.deepEqual(await stored(broker), { messages: 0, bytes: 0 })
  await publisher.endAsync(true)
  await again.close()
})
