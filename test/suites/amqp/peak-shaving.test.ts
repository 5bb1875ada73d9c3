/** Limits and rates as AMQP clients meet them, in the broker's own time. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { type ChannelModel, connect } from 'amqplib'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

interface World {
  readonly broker: TestBroker
  readonly open: () => Promise<ChannelModel>
}

async function openWorld(t: TestContext): Promise<World> {
  const broker = await startTestBroker({ listen: { amqp: 0 } })
  const connections: ChannelModel[] = []
  t.after(async () => {
    for (const connection of connections) await connection.close()
    await broker[Symbol.asyncDispose]()
  })
  const open = async (): Promise<ChannelModel> => {
    const connection = await connect(broker.url('amqp'))
    connections.push(connection)
    return connection
  }
  return { broker, open }
}

test('a publisher that is too fast is told so, waits, and goes on in order', async (t) => {
  const { broker, open } = await openWorld(t)
  const connection = await open()
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q', { arguments: { 'x-publish-rate': 100 } })
  const blocked = once(connection, 'blocked')
  for (let n = 0; n < 60; n++) channel.sendToQueue('q', Buffer.from(`${n}`))
  const [reason] = (await blocked) as [string]
  const [, waitMs] = /^publish rate of queue 'q' is 100\/s, again in (\d+) ms$/.exec(reason)!
  const taken = broker.destination('q').ready
  assert.equal(Number(waitMs), 10 * taken, 'what was read ahead of the rate is made up for')
  for (let n = 60; n < 70; n++) channel.sendToQueue('q', Buffer.from(`${n}`))
  await broker.clock.advance(Number(waitMs) - 1)
  assert.equal(broker.destination('q').ready, taken, 'what comes now waits in the socket')
  const unblocked = once(connection, 'unblocked')
  const confirmed = channel.waitForConfirms()
  await broker.clock.advance(1)
  await unblocked
  await broker.clock.advance('10s')
  await confirmed
  const bodies = (await broker.destination('q').messages()).map(({ text }) => text)
  assert.deepEqual(
    bodies,
    Array.from({ length: 70 }, (_, n) => `${n}`),
  )
})

test('a queue that refuses what is too fast answers with a nack', async (t) => {
  const { broker, open } = await openWorld(t)
  const channel = await (await open()).createConfirmChannel()
  await channel.assertQueue('q', {
    arguments: { 'x-publish-rate': 20, 'x-overflow': 'reject-publish' },
  })
  const answers: string[] = []
  const send = (): void => {
    channel.sendToQueue('q', Buffer.from('x'), {}, (error) => {
      answers.push(error === null ? 'ack' : 'nack')
    })
  }
  for (let n = 0; n < 4; n++) send()
  await broker.waitFor(() => answers.length === 4)
  assert.deepEqual(answers.toSorted(), ['ack', 'ack', 'nack', 'nack'])
  await broker.clock.advance(50)
  send()
  await channel.waitForConfirms()
  assert.equal(broker.destination('q').ready, 3)
})

test('a queue that blocks holds publishers until a consumer made room', async (t) => {
  const { broker, open } = await openWorld(t)
  const publisher = await open()
  const channel = await publisher.createConfirmChannel()
  await channel.assertQueue('q', { maxLength: 5, arguments: { 'x-overflow': 'block' } })
  const blocked = once(publisher, 'blocked')
  for (let n = 0; n < 10; n++) channel.sendToQueue('q', Buffer.from(`${n}`))
  const [reason] = (await blocked) as [string]
  assert.equal(reason, "queue 'q' is full, it may hold 5 messages, again when there is room")
  await channel.waitForConfirms()
  const consumer = await (await open()).createChannel()
  const got: string[] = []
  await consumer.consume('q', (message) => got.push(message!.content.toString()), { noAck: true })
  await broker.waitFor(() => got.length === 10)
  const unblocked = once(publisher, 'unblocked')
  await broker.clock.advance(100)
  await unblocked
  channel.sendToQueue('q', Buffer.from('last'))
  await channel.waitForConfirms()
  await broker.waitFor(() => got.length === 11)
})

test('a connection that consumes from the full queue is refused and goes on', async (t) => {
  const { broker, open } = await openWorld(t)
  const channel = await (await open()).createConfirmChannel()
  await channel.assertQueue('q', { maxLength: 2, arguments: { 'x-overflow': 'block' } })
  await channel.prefetch(1)
  const done: string[] = []
  await channel.consume('q', (message) => {
    done.push(message!.content.toString())
    channel.ack(message!)
  })
  let refused = 0
  for (let n = 0; n < 10; n++) {
    channel.sendToQueue(
      'q',
      Buffer.from(`${n}`),
      {},
      (error) => (refused += error === null ? 0 : 1),
    )
  }
  await channel.waitForConfirms().catch(() => undefined)
  await broker.waitFor(() => done.length + refused === 10)
  assert.ok(refused > 0)
})

test('a slow consumer is given what its queue, or its own rate, allows', async (t) => {
  const { broker, open } = await openWorld(t)
  const channel = await (await open()).createConfirmChannel()
  await channel.assertQueue('slow', { arguments: { 'x-consume-rate': 10, 'x-rate-burst': 100 } })
  await channel.assertQueue('free')
  for (let n = 0; n < 50; n++) {
    channel.sendToQueue('slow', Buffer.from(`${n}`))
    channel.sendToQueue('free', Buffer.from(`${n}`))
  }
  await channel.waitForConfirms()
  const got = { slow: [] as string[], free: [] as string[] }
  await channel.consume('slow', (message) => got.slow.push(message!.content.toString()), {
    noAck: true,
  })
  await channel.consume('free', (message) => got.free.push(message!.content.toString()), {
    noAck: true,
    arguments: { 'x-consume-rate': 20 },
  })
  await broker.clock.advance('1s')
  await broker.waitFor(() => got.slow.length >= 11 && got.free.length >= 20)
  assert.deepEqual([got.slow.length, got.free.length], [11, 20])
  await broker.clock.advance('1m')
  await broker.waitFor(() => got.slow.length === 50 && got.free.length === 50)
  assert.deepEqual(
    got.slow,
    Array.from({ length: 50 }, (_, n) => `${n}`),
  )
})

test('basic.get waits for its turn too, and a stream paces each reader', async (t) => {
  const { broker, open } = await openWorld(t)
  const channel = await (await open()).createConfirmChannel()
  await channel.assertQueue('q', { arguments: { 'x-consume-rate': 10 } })
  await channel.assertQueue('s', {
    arguments: { 'x-queue-type': 'stream', 'x-consume-rate': 10 },
  })
  for (let n = 0; n < 30; n++) {
    channel.sendToQueue('q', Buffer.from(`${n}`))
    channel.sendToQueue('s', Buffer.from(`${n}`))
  }
  await channel.waitForConfirms()
  assert.notEqual(await channel.get('q', { noAck: true }), false)
  let isThere = false
  const next = channel.get('q', { noAck: true }).then(() => (isThere = true))
  await broker.clock.advance(90)
  assert.equal(isThere, false)
  await broker.clock.advance(10)
  await next
  const counts = [0, 0]
  for (const reader of counts.keys()) {
    const own = await (await open()).createChannel()
    await own.prefetch(100)
    await own.consume(
      's',
      (message) => {
        counts[reader]!++
        own.ack(message!)
      },
      { arguments: { 'x-stream-offset': 'first' } },
    )
  }
  await broker.clock.advance('1s')
  await broker.waitFor(() => counts.every((count) => count >= 10))
  assert.deepEqual(counts, [10, 10])
})

test('a sample of what is too much is kept, and every publish is confirmed', async (t) => {
  const { broker, open } = await openWorld(t)
  const channel = await (await open()).createConfirmChannel()
  await channel.assertQueue('q', { maxLength: 32, arguments: { 'x-overflow': 'sample' } })
  for (let n = 0; n < 5000; n++) channel.sendToQueue('q', Buffer.from(`${n}`))
  await channel.waitForConfirms()
  const kept = (await broker.destination('q').messages()).map(({ text }) => Number(text))
  assert.deepEqual(kept.slice(0, 19), [...Array(16).keys(), 17, 19, 23])
  assert.ok(kept.length <= 32)
  assert.ok(kept.at(-1)! > 500, 'what is kept comes from all of the flood')
})
