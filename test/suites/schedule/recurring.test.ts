/** Messages that come again and again, over restarts and changes of the clock. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ConfirmChannel, connect } from 'amqplib'
import { connectAsync } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

async function open(t: TestContext, startMs: number): Promise<TestBroker> {
  const broker = await startTestBroker({ startMs })
  t.after(async () => broker[Symbol.asyncDispose]())
  return broker
}

async function amqp(t: TestContext, broker: TestBroker): Promise<ConfirmChannel> {
  const connection = await connect(broker.url())
  connection.on('error', () => {
    // Tests cut it.
  })
  t.after(async () => connection.close().catch(() => undefined))
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q')
  return channel
}

async function order(channel: ConfirmChannel, headers: Record<string, string>): Promise<void> {
  channel.sendToQueue('q', Buffer.from('tick'), { persistent: true, headers })
  await channel.waitForConfirms()
}

/** When each message that lies in the queue was due, and takes them. */
async function taken(channel: ConfirmChannel): Promise<string[]> {
  const times: string[] = []
  for (;;) {
    const message = await channel.get('q', { noAck: true })
    if (message === false) return times
    const headers = message.properties.headers as Record<string, unknown>
    assert.equal(message.content.toString(), 'tick')
    assert.equal(headers['x-schedule-cron'], undefined)
    times.push(new Date(Number(headers['x-schedule-time'])).toISOString())
  }
}

test('a cron expression publishes on its minute in its time zone, until it is cancelled', async (t) => {
  const broker = await open(t, Date.UTC(2026, 6, 1, 6, 59, 30))
  const channel = await amqp(t, broker)
  const daily = { 'x-schedule-cron': '0 9 * * *', 'x-schedule-zone': 'Europe/Berlin' }
  await order(channel, { 'x-schedule-id': 'daily', ...daily })
  assert.deepEqual(await taken(channel), [])
  await broker.clock.advance(29_999)
  assert.deepEqual(await taken(channel), [])
  await broker.clock.advance(1)
  assert.deepEqual(await taken(channel), ['2026-07-01T07:00:00.000Z'])
  // Under the same id another one takes its place.
  await order(channel, { 'x-schedule-id': 'daily', 'x-schedule-cron': '*/20 * * * * *' })
  await broker.clock.advance('1m')
  assert.deepEqual(await taken(channel), [
    '2026-07-01T07:00:20.000Z',
    '2026-07-01T07:00:40.000Z',
    '2026-07-01T07:01:00.000Z',
  ])
  await order(channel, { 'x-schedule-cancel': 'daily' })
  await broker.clock.advance('1m')
  assert.deepEqual(await taken(channel), [])
})

test('a time that does not exist on the day that the clocks go forward comes after the gap', async (t) => {
  const broker = await open(t, Date.UTC(2026, 2, 29, 0, 59))
  const channel = await amqp(t, broker)
  const night = { 'x-schedule-cron': '30 2 * * *', 'x-schedule-zone': 'Europe/Berlin' }
  await order(channel, { 'x-schedule-id': 'night', ...night })
  await broker.clock.advance('2m')
  assert.deepEqual(await taken(channel), ['2026-03-29T01:00:00.000Z'])
})

test('each time comes once, over kill -9, power cut and restart; missed ones are skipped', async (t) => {
  const broker = await open(t, Date.UTC(2026, 0, 1))
  const first = await amqp(t, broker)
  await order(first, { 'x-schedule-id': 'm', 'x-schedule-cron': '* * * * *' })
  for (let round = 0; round < 12; round++) {
    await broker.clock.advance('1m')
    if (round % 3 === 0) await broker.crash('kill')
    else if (round % 3 === 1) await broker.crash('power-cut')
    else await broker.restart()
  }
  const channel = await amqp(t, broker)
  const times = await taken(channel)
  assert.equal(times.length, 12)
  assert.deepEqual(times, [...new Set(times)].toSorted())
  // The clock goes on while nobody is there.
  await broker.crash('kill', { downMs: 605_000 })
  const later = await amqp(t, broker)
  assert.deepEqual(await taken(later), [])
  await broker.clock.advance('1m')
  assert.equal((await taken(later)).length, 1)
})

test('MQTT orders it by user properties and gets it as a message like any other', async (t) => {
  const broker = await open(t, Date.UTC(2026, 0, 1, 11, 59))
  const [username, password] = ['guest', 'guest']
  const client = await connectAsync(broker.url('mqtt'), { protocolVersion: 5, username, password })
  t.after(async () => client.endAsync(true))
  const heard: [string, unknown][] = []
  client.on('message', (_topic, payload, { properties }) => {
    heard.push([payload.toString(), properties?.userProperties])
  })
  await client.subscribeAsync('clock/noon', { qos: 1 })
  const publish = async (userProperties: Record<string, string>): Promise<unknown> => {
    return client.publishAsync('clock/noon', 'ding', { qos: 1, properties: { userProperties } })
  }
  const cron = { 'x-schedule-cron': '* * * * *', 'x-schedule-zone': 'UTC' }
  await publish({ 'x-schedule-id': 'noon', ...cron })
  await assert.rejects(publish(cron), /Implementation specific error/)
  const wrong = { 'x-schedule-id': 'noon', 'x-schedule-cron': 'often' }
  await assert.rejects(publish(wrong), /Implementation specific error/)
  await broker.clock.advance('1m')
  await broker.waitFor(() => heard.length === 1)
  const noon = String(Date.UTC(2026, 0, 1, 12))
  assert.deepEqual(heard[0]![0], 'ding')
  assert.deepEqual(
    { ...(heard[0]![1] as object) },
    {
      'x-schedule-id': 'noon',
      'x-schedule-time': noon,
    },
  )
  await publish({ 'x-schedule-cancel': 'noon' })
  await broker.clock.advance('2m')
  assert.equal(heard.length, 1)
})
