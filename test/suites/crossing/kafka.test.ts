/** Kafka's records and AMQP's messages in each other's clients, as docs/crossing.md says. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Channel, type ChannelModel, connect, type ConsumeMessage } from 'amqplib'
import { CompressionTypes, type IHeaders, Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import { BrokerProcess } from '../../support/broker-process.ts'

const TIMESTAMP_MS = Date.now() - 1234

const broker = new BrokerProcess()
let connection: ChannelModel
let channel: Channel
let kafka: Kafka

before(async () => {
  await broker.start()
  connection = await connect(`amqp://guest:guest@127.0.0.1:${broker.port}`)
  channel = await connection.createChannel()
  const brokers = [`127.0.0.1:${broker.kafkaPort}`]
  kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, clientId: 'crossing' })
  const admin = kafka.admin()
  await admin.connect()
  const topics = [{ topic: 'in', numPartitions: 3 }, { topic: 'out' }]
  const others = [{ topic: 'jobs' }, { topic: 'graves' }]
  await admin.createTopics({ topics: [...topics, ...others] })
  await admin.disconnect()
})

after(async () => {
  await connection.close()
  await broker[Symbol.asyncDispose]()
})

/** The next messages of a queue that is bound to an exchange. */
async function bound(exchange: string): Promise<() => Promise<ConsumeMessage>> {
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await channel.bindQueue(queue, exchange, '#')
  const kept: ConsumeMessage[] = []
  let wake: (() => void) | null = null
  const take = (message: ConsumeMessage | null): void => {
    kept.push(message!)
    wake?.()
  }
  await channel.consume(queue, take, { noAck: true })
  return async () => {
    while (kept.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return kept.shift()!
  }
}

for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
  test(`records of codec ${compression} reach an AMQP queue one by one`, async () => {
    const next = await bound('out')
    const producer = kafka.producer()
    await producer.connect()
    const timestamp = String(TIMESTAMP_MS)
    await producer.send({
      topic: 'out',
      compression,
      messages: [
        {
          timestamp,
          key: 'eu.new',
          value: 'one',
          headers: {
            'content-type': 'text/plain',
            'correlation-id': '7',
            'reply-to': 'answers',
            list: ['x', 'y'],
            octets: Buffer.of(255),
          },
        },
        { timestamp, key: null, value: 'two' },
        { timestamp, key: Buffer.of(255), value: null },
      ],
    })
    await producer.disconnect()
    const first = await next()
    assert.equal(first.content.toString(), 'one')
    assert.deepEqual([first.fields.exchange, first.fields.routingKey], ['out', 'eu.new'])
    const { properties } = first
    assert.equal(properties.contentType, 'text/plain')
    assert.equal(properties.correlationId, '7')
    assert.equal(properties.replyTo, 'answers')
    assert.equal(properties.deliveryMode, 2)
    assert.equal(properties.timestamp, Math.floor(TIMESTAMP_MS / 1000))
    assert.deepEqual(properties.headers, {
      list: ['x', 'y'],
      octets: Buffer.of(255),
      timestamp_in_ms: TIMESTAMP_MS,
    })
    const second = await next()
    assert.equal(second.content.toString(), 'two')
    assert.equal(second.fields.routingKey, '')
    const third = await next()
    assert.equal(third.content.length, 0)
    const headers = third.properties.headers as Record<string, unknown>
    assert.deepEqual(headers['x-kafka-key'], Buffer.of(255))
    assert.equal(headers['x-kafka-tombstone'], true)
  })
}

test('records fail in a key-shared queue, in the order of their keys, and are dead letters of Kafka', async () => {
  const { queue } = await channel.assertQueue('', {
    exclusive: true,
    arguments: {
      'x-key-shared': true,
      'x-retry-delay': 50,
      'x-retry-limit': 1,
      'x-dead-letter-exchange': 'graves',
    },
  })
  await channel.bindQueue(queue, 'jobs', '#')
  const seen: string[] = []
  for (let member = 0; member < 2; member++) {
    const worker = await connection.createChannel()
    await worker.prefetch(1)
    await worker.consume(queue, (message) => {
      const body = String(message!.content)
      seen.push(body)
      if (body === 'bad1') worker.nack(message!, false, true)
      else worker.ack(message!)
    })
  }
  const producer = kafka.producer()
  await producer.connect()
  // A key that is no text is a key all the same.
  const bad = Buffer.of(255)
  await producer.send({
    topic: 'jobs',
    compression: CompressionTypes.GZIP,
    messages: [
      { key: bad, value: 'bad1' },
      { key: bad, value: 'bad2' },
      { key: 'good', value: 'good1' },
      { key: 'good', value: 'good2' },
    ],
  })
  await producer.disconnect()
  const [dead] = await consume('graves', 1)
  assert.equal(String(dead!.message.value), 'bad1')
  assert.deepEqual(dead!.message.key, bad)
  const headers = texts(dead!.message.headers ?? {})
  assert.equal(headers['x-first-death-reason'], 'delivery_limit')
  assert.equal(headers['x-first-death-exchange'], 'jobs')
  assert.equal(headers['x-last-death-attempts'], '2')
  while (seen.length < 5) await sleep(10)
  assert.deepEqual(
    seen.filter((body) => body.startsWith('bad')),
    ['bad1', 'bad1', 'bad2'],
  )
  assert.ok(seen.lastIndexOf('bad1') > seen.indexOf('good2'), seen.join())
})

test('what AMQP publishes to the exchange of a topic is read by Kafka consumers', async () => {
  const publish = (key: string, body: string, options = {}): void => {
    channel.publish('in', key, Buffer.from(body), options)
  }
  publish('eu.new', 'one', {
    contentType: 'text/plain',
    correlationId: '7',
    priority: 3,
    timestamp: Math.floor(TIMESTAMP_MS / 1000),
    headers: { n: 5, list: ['x', 'y'], table: { a: 1 }, octets: Buffer.of(255) },
  })
  publish('eu.new', 'two', { headers: { timestamp_in_ms: TIMESTAMP_MS } })
  publish('', 'three')
  const messages = await consume('in', 3)
  const [one, two, three] = ['one', 'two', 'three'].map((body) =>
    messages.find(({ message }) => message.value?.toString() === body),
  )
  assert.ok(one !== undefined && two !== undefined && three !== undefined)
  assert.equal(one.message.key?.toString(), 'eu.new')
  assert.equal(one.message.timestamp, String(Math.floor(TIMESTAMP_MS / 1000) * 1000))
  assert.deepEqual(texts(one.message.headers ?? {}), {
    'content-type': 'text/plain',
    'correlation-id': '7',
    'amqp-priority': '3',
    n: '5',
    list: ['x', 'y'],
    'table;json': '{"a":1}',
    octets: '\u00ff',
  })
  // Equal keys meet in one partition, and there in their order.
  assert.equal(two.partition, one.partition)
  assert.ok(BigInt(two.message.offset) > BigInt(one.message.offset))
  assert.equal(three.message.key, null)
  assert.deepEqual(three.message.headers, {})
})

interface Consumed {
  readonly partition: number
  readonly message: KafkaMessage
}

async function consume(topic: string, count: number): Promise<Consumed[]> {
  const consumer = kafka.consumer({ groupId: `crossing-${topic}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const messages: Consumed[] = []
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({ partition, message }: Consumed): Promise<void> => {
      messages.push({ partition, message })
      if (messages.length === count) resolve()
      return Promise.resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  return messages
}

function texts(headers: IHeaders): Record<string, unknown> {
  const text = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(text) : Buffer.from(value as Buffer).toString('latin1')
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, text(value)]))
}
