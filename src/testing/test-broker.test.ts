import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChannelModel, connect } from 'amqplib'
import { startTestBroker, type TestBroker } from './index.ts'

async function client(broker: TestBroker): Promise<ChannelModel> {
  const connection = await connect(broker.url('amqp'))
  // A crash of the broker is what these tests are about.
  connection.on('error', () => {})
  return connection
}

test('time is the test’s: expiry, delay and unused queues follow it', async () => {
  await using broker = await startTestBroker()
  const connection = await client(broker)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('dead')
  await channel.assertQueue('work', {
    messageTtl: 60_000,
    deadLetterExchange: '',
    deadLetterRoutingKey: 'dead',
  })
  await channel.assertQueue('unused', { expires: 3_600_000 })
  channel.sendToQueue('work', Buffer.from('late'), { headers: { tenant: 'a' }, priority: 3 })
  await channel.waitForConfirms()
  const [work, dead] = [broker.destination('work'), broker.destination('dead')]
  await broker.clock.advance('59s')
  assert.deepEqual([work.ready, dead.ready], [1, 0])
  await broker.clock.advance('1s')
  assert.deepEqual([work.ready, dead.ready], [0, 1])
  const [message] = await dead.messages()
  assert.equal(message?.text, 'late')
  assert.equal(message.routingKey, 'dead')
  assert.equal(message.headers.get('tenant'), 'a')
  assert.equal(message.priority, 3)
  assert.deepEqual(message.deaths, [{ queue: 'work', reason: 'expired', count: 1 }])
  assert.deepEqual(broker.destinations(), ['dead', 'unused', 'work'])
  await broker.clock.advance('1h')
  assert.deepEqual(broker.destinations(), ['dead', 'work'])
  await connection.close()
})

test('a consumer that answers at once is waited for, at every step of the way', async () => {
  await using broker = await startTestBroker()
  const connection = await client(broker)
  const channel = await connection.createChannel()
  // Each failure waits ten minutes and comes back.
  await channel.assertQueue('wait', {
    messageTtl: 600_000,
    deadLetterExchange: '',
    deadLetterRoutingKey: 'work',
  })
  await channel.assertQueue('work', { deadLetterExchange: '', deadLetterRoutingKey: 'wait' })
  const times: number[] = []
  await channel.consume('work', (message) => {
    times.push((broker.clock.now() - Date.UTC(2026, 0, 1)) / 60_000)
    if (times.length < 4) channel.nack(message!, false, false)
    else channel.ack(message!)
  })
  channel.sendToQueue('work', Buffer.from('x'))
  await broker.destination('wait').waitFor({ ready: 1 })
  await broker.clock.advance('30m')
  assert.deepEqual(times, [0, 10, 20, 30])
  assert.deepEqual(await broker.destination('work').messages(), [])
  await connection.close()
})

test('what was confirmed is there after a kill and after a power cut', async () => {
  await using broker = await startTestBroker({ seed: 7 })
  const port = broker.port()
  const queue = broker.destination('q')
  for (const how of ['kill', 'power-cut', 'power-cut'] as const) {
    const connection = await client(broker)
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('q')
    for (let count = 0; count < 50; count++)
      channel.sendToQueue('q', Buffer.from(how), { persistent: true })
    await channel.waitForConfirms()
    await channel.prefetch(1)
    await channel.consume('q', () => {})
    await queue.waitFor({ unsettled: 1 })
    const confirmed = queue.ready + queue.unsettled
    const lost = new Promise((resolve) => connection.once('close', resolve))
    await broker.crash(how)
    await lost
    assert.equal(broker.port(), port)
    assert.deepEqual([queue.ready, queue.unsettled], [confirmed, 0])
  }
  assert.equal((await queue.messages()).length, 150)
})

test('a full disk keeps confirms back until there is room', async () => {
  await using broker = await startTestBroker()
  const connection = await client(broker)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q')
  broker.disk.fill()
  let confirmed = false
  channel.sendToQueue('q', Buffer.alloc(100), { persistent: true }, () => {
    confirmed = true
  })
  await broker.destination('q').waitFor({ ready: 1 })
  await broker.settle()
  assert.equal(confirmed, false)
  broker.disk.free()
  await broker.clock.advance('2s')
  await broker.waitFor(() => confirmed)
  await connection.close()
})

test('connections are cut, and a restart keeps data and ports, on a real disk too', async () => {
  await using broker = await startTestBroker({ data: 'disk' })
  const connection = await client(broker)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q')
  channel.sendToQueue('q', Buffer.from('kept'), { persistent: true })
  await channel.waitForConfirms()
  const lost = new Promise((resolve) => connection.once('close', resolve))
  broker.cutConnections()
  await lost
  const url = broker.url()
  await broker.restart()
  assert.equal(broker.url(), url)
  const [message] = await broker.destination('q').messages()
  assert.equal(message?.text, 'kept')
  assert.throws(() => broker.disk, /start with data: 'memory'/)
  await assert.rejects(broker.crash(), /start with data: 'memory'/)
})

test('a wait that is in vain says what was there instead', async () => {
  await using broker = await startTestBroker()
  const waiting = broker.destination('q').waitFor({ ready: 2, consumers: 1 }, 20)
  await assert.rejects(waiting, /20 ms for 'q' to have ready 2, consumers 1, found no such/)
  await assert.rejects(broker.destination('q').messages(), /there is no queue 'q'/)
  await assert.rejects(broker.clock.advance('soon'), /'soon' is no span of time/)
})
