/** Records of Kafka under trace, as the command line tells of them. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { CommandFolder } from '../../support/command.ts'
import type { TraceView } from '../../../src/broker/tracing/tracer.ts'

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

test('records of Kafka that are fetched and committed, and read by AMQP', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const run = async (...args: readonly string[]): Promise<string> => {
    const outcome = await folder.run([...args, '--data', data])
    assert.equal(outcome.code, 0, outcome.stderr)
    return outcome.stdout
  }
  const messagesOf = async (id: string): Promise<TraceView[]> => {
    return JSON.parse(await run('trace', 'show', id, '--json')) as TraceView[]
  }
  const kafka = new Kafka({
    clientId: 'billing',
    brokers: [listeners['kafka']!],
    logLevel: logLevel.NOTHING,
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 2 }] })
  await admin.disconnect()
  assert.equal(await run('trace', 'start', '--header', 'tenant=acme'), 'trace 1 runs\n')
  const producer = kafka.producer()
  await producer.connect()
  const record = (id: string, tenant: string): object => ({
    key: 'k',
    partition: 1,
    value: 'x',
    headers: { 'amqp-message-id': id, tenant, traceparent: PARENT },
  })
  const messages = [record('r-0', 'other'), record('r-1', 'acme'), record('r-2', 'acme')]
  await producer.send({ topic: 'orders', messages: messages as { value: string }[] })
  await producer.disconnect()

  const consumer = kafka.consumer({ groupId: 'readers' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'orders', fromBeginning: true })
  let count = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  await consumer.run({
    eachMessage: async () => {
      if (++count === 3) resolve()
    },
  })
  await promise
  await consumer.stop()
  await consumer.disconnect()
  const read = Promise.withResolvers<void>()
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createChannel()
  await channel.prefetch(10)
  await channel.consume('orders', () => read.resolve(), {
    arguments: { 'x-stream-offset': 'first' },
  })
  await read.promise
  await connection.close()

  assert.deepEqual(await messagesOf('r-0'), [])
  const [found] = await messagesOf('r-1')
  const told = found!.steps.map(({ step, at, partition, offset, by }) =>
    [step, at, partition, offset, by?.clientId ?? '-'].join(' '),
  )
  assert.deepEqual(
    [...new Set(told)],
    [
      'published orders -1 -1 billing',
      'stored orders 1 1 -',
      'on-disk  1 1 -',
      'fetched orders 1 1 billing',
      'committed orders 1 1 -',
      'delivered orders 1 1 -',
    ],
  )
  assert.match(found!.steps.at(-2)!.detail, /by 'readers'/)
  assert.equal(found!.traceparent, PARENT)
  assert.deepEqual(
    (await messagesOf('orders/1/2')).map(({ messageId }) => messageId),
    ['r-2'],
  )

  const shown = await run('trace', 'show', 'r-1')
  assert.match(shown, /^#1 in vhost \/, message id r-1, traceparent 00-0af/)
  assert.match(shown, /published +orders .*Kafka billing/)
  assert.match(await run('trace', 'list'), /acme[\s\S]*2 messages remembered/)
  assert.match(
    await run('why', 'readers'),
    /subscription readers\n  nobody reads by it now\n  it has read all/,
  )
  const place = await run('where', 'r-0', '--queue', 'orders')
  assert.match(place, /^orders\/1\/0: in the topic; stored 20.*; readers is past it\n$/)
  assert.equal(await run('trace', 'stop', '1'), 'trace 1 is stopped\n')
  assert.equal((await folder.run(['trace', 'show', 'r-9', '--data', data])).code, 1)
})
