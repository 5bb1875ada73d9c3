/** kafkajs, the most used Kafka client of Node. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import kafkajs, {
  CompressionTypes,
  type ConsumerConfig,
  Kafka,
  type KafkaConfig,
  type KafkaMessage,
  type Message,
  type ProducerConfig,
  type SASLOptions,
  logLevel,
} from 'kafkajs'

import { closeKafka, openKafka } from '../support/kafka-target.ts'

const WITHIN_MS = 30_000

after(closeKafka)

/** What a test works with; what it opened is closed behind it. */
class Bench implements AsyncDisposable {
  readonly kafka: Kafka
  readonly admin: ReturnType<Kafka['admin']>
  readonly #ends: (() => Promise<unknown>)[] = []

  constructor(kafka: Kafka) {
    this.kafka = kafka
    this.admin = kafka.admin()
  }

  static async open(config: Partial<KafkaConfig> = {}): Promise<Bench> {
    const { plain } = await openKafka()
    const bench = new Bench(
      new Kafka({ brokers: [plain], logLevel: logLevel.NOTHING, retry: { retries: 3 }, ...config }),
    )
    bench.atEnd(async () => bench.admin.disconnect())
    await bench.admin.connect()
    return bench
  }

  atEnd(end: () => Promise<unknown>): void {
    this.#ends.push(end)
  }

  async topic(numPartitions = 1): Promise<string> {
    const topic = newName()
    // The tests write times long past, which retention would take away.
    const configEntries = [{ name: 'retention.ms', value: '-1' }]
    const topics = [{ topic, numPartitions, configEntries }]
    await this.admin.createTopics({ topics, waitForLeaders: true })
    this.atEnd(async () => this.admin.deleteTopics({ topics: [topic] }))
    return topic
  }

  async producer(config: ProducerConfig = {}): Promise<ReturnType<Kafka['producer']>> {
    const producer = this.kafka.producer(config)
    this.atEnd(async () => producer.disconnect())
    await producer.connect()
    return producer
  }

  async send(topic: string, ...values: readonly string[]): Promise<void> {
    const producer = await this.producer()
    const messages = values.map((value) => ({ value, partition: 0 }))
    await producer.send({ topic, messages })
  }

  async member(config: Partial<ConsumerConfig> = {}): Promise<Member> {
    const consumer = this.kafka.consumer({
      groupId: newName(),
      heartbeatInterval: 200,
      maxWaitTimeInMs: 100,
      ...config,
    })
    const member = new Member(consumer)
    this.atEnd(async () => consumer.disconnect())
    await consumer.connect()
    return member
  }

  async read(topic: string, count: number, config?: Partial<ConsumerConfig>): Promise<Seen[]> {
    const member = await this.member(config)
    await member.run(topic)
    return member.take(count)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.toReversed()) await end()
  }
}

interface Seen {
  readonly partition: number
  readonly message: KafkaMessage
}

class Member {
  readonly consumer: ReturnType<Kafka['consumer']>
  readonly seen: Seen[] = []
  partitionCount = 0

  constructor(consumer: ReturnType<Kafka['consumer']>) {
    this.consumer = consumer
    consumer.on('consumer.group_join', ({ payload }) => {
      this.partitionCount = Object.values(payload.memberAssignment).flat().length
    })
  }

  async run(topic: string): Promise<void> {
    await this.consumer.subscribe({ topic, fromBeginning: true })
    await this.consumer.run({
      eachMessage: async ({ partition, message }) => {
        this.seen.push({ partition, message })
        return Promise.resolve()
      },
    })
  }

  async take(count: number): Promise<Seen[]> {
    await until(() => this.seen.length >= count, `${count} messages`)
    return this.seen
  }
}

function newName(): string {
  return `ws-kafkajs-${randomBytes(6).toString('hex')}`
}

function bodies(seen: readonly Seen[]): (string | undefined)[] {
  return seen.map(({ message }) => message.value?.toString())
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + WITHIN_MS
  while (!(await condition())) {
    assert.ok(performance.now() < deadlineMs, `never came: ${what}`)
    await sleep(5)
  }
}

test('kafkajs: keys, headers, timestamps and nulls', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic(2)
  const producer = await bench.producer()
  const message: Message = {
    key: 'key',
    value: 'välue ✓',
    partition: 1,
    headers: { one: 'first', list: ['a', 'b'] },
    timestamp: '1700000000000',
  }
  const messages = [message, { value: null, key: 'gone', partition: 1 }]
  const [stored] = await producer.send({ topic, messages, acks: -1 })
  assert.deepEqual([stored?.partition, stored?.baseOffset], [1, '0'])
  const [first, second] = await bench.read(topic, 2)
  assert.equal(first?.message.key?.toString(), 'key')
  assert.equal(first.message.value?.toString(), 'välue ✓')
  assert.equal(first.message.timestamp, '1700000000000')
  assert.equal(first.message.headers?.['one']?.toString(), 'first')
  assert.deepEqual(first.message.headers?.['list']?.toString(), 'a,b')
  assert.deepEqual([second?.message.value, second?.message.offset], [null, '1'])
})

test('kafkajs: gzip and no compression, and acknowledgement by nobody', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic()
  const producer = await bench.producer()
  const value = 'x'.repeat(500)
  await producer.send({ topic, messages: [{ value }], compression: CompressionTypes.GZIP })
  await producer.send({ topic, messages: [{ value }], acks: 0 })
  await producer.send({ topic, messages: [{ value }], acks: 1 })
  assert.deepEqual(bodies(await bench.read(topic, 3)), [value, value, value])
})

test('kafkajs: an idempotent producer', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic()
  const producer = await bench.producer({ idempotent: true })
  const sent = Array.from({ length: 20 }, (_value, index) => String(index))
  for (const value of sent) await producer.send({ topic, messages: [{ value }] })
  assert.deepEqual(bodies(await bench.read(topic, 20)), sent)
})

test('kafkajs: a group shares partitions, loses a member and goes on', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic(4)
  const groupId = newName()
  const members = [await bench.member({ groupId }), await bench.member({ groupId })]
  for (const member of members) await member.run(topic)
  const shares = (): number[] => members.map(({ partitionCount }) => partitionCount)
  await until(() => shares().join() === '2,2', 'two partitions each')
  const producer = await bench.producer()
  const messages = Array.from({ length: 20 }, (_value, index) => ({
    value: String(index),
    partition: index % 4,
  }))
  await producer.send({ topic, messages })
  const all = (): (string | undefined)[] => bodies(members.flatMap(({ seen }) => seen))
  await until(() => all().length >= 20, 'twenty messages')
  const { groups } = await bench.admin.describeGroups([groupId])
  assert.deepEqual([groups[0]?.state, groups[0]?.members.length], ['Stable', 2])
  await members[0]?.consumer.disconnect()
  await until(() => members[1]?.partitionCount === 4, 'all partitions for the other')
  await producer.send({ topic, messages: [{ value: 'last', partition: 2 }] })
  await until(() => all().length >= 21, 'the last message')
  assert.equal(new Set(all()).size, 21)
})

test('kafkajs: seek, and offsets by time', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic()
  const producer = await bench.producer()
  const messages = Array.from({ length: 10 }, (_value, index) => ({
    value: String(index),
    timestamp: String(1_000 * (index + 1)),
  }))
  await producer.send({ topic, messages })
  const member = await bench.member()
  await member.run(topic)
  await member.take(10)
  member.consumer.seek({ topic, partition: 0, offset: '8' })
  assert.deepEqual(bodies(await member.take(12)).slice(10), ['8', '9'])
  const offsets = await bench.admin.fetchTopicOffsetsByTimestamp(topic, 4_500)
  assert.deepEqual(offsets, [{ partition: 0, offset: '4' }])
  const ends = await bench.admin.fetchTopicOffsets(topic)
  assert.deepEqual(ends, [{ partition: 0, offset: '10', high: '10', low: '0' }])
})

test('kafkajs: transactions, and offsets within them', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic()
  const groupId = newName()
  const producer = await bench.producer({ transactionalId: newName(), maxInFlightRequests: 1 })
  for (const value of ['kept', 'dropped', 'last']) {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value }] })
    const offset = value === 'dropped' ? '9' : '1'
    const topics = [{ topic, partitions: [{ partition: 0, offset }] }]
    await transaction.sendOffsets({ consumerGroupId: groupId, topics })
    await (value === 'dropped' ? transaction.abort() : transaction.commit())
  }
  assert.deepEqual(bodies(await bench.read(topic, 2)), ['kept', 'last'])
  const uncommitted = await bench.read(topic, 3, { readUncommitted: true })
  assert.deepEqual(bodies(uncommitted), ['kept', 'dropped', 'last'])
  const [offsets] = await bench.admin.fetchOffsets({ groupId, topics: [topic] })
  assert.equal(offsets?.partitions[0]?.offset, '1')
})

test('kafkajs: administration', async () => {
  await using bench = await Bench.open()
  const { admin } = bench
  const topic = await bench.topic()
  assert.equal(await admin.createTopics({ topics: [{ topic }] }), false)
  assert.ok((await admin.listTopics()).includes(topic))
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  await until(async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    return topics[0]?.partitions.length === 3
  }, 'three partitions')
  const { brokers, controller } = await admin.describeCluster()
  assert.deepEqual([brokers.length, brokers[0]?.nodeId], [1, controller])

  const type = kafkajs.ConfigResourceTypes.TOPIC
  const configEntries = [{ name: 'retention.ms', value: '123456789' }]
  const altered = [{ type, name: topic, configEntries }]
  await admin.alterConfigs({ validateOnly: false, resources: altered })
  await until(async () => {
    const resources = [{ type, name: topic, configNames: ['retention.ms'] }]
    const described = await admin.describeConfigs({ resources, includeSynonyms: false })
    return described.resources[0]?.configEntries[0]?.configValue === '123456789'
  }, 'the altered setting')

  await bench.send(topic, 'a', 'b', 'c')
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] })
  const offsets = await admin.fetchTopicOffsets(topic)
  const first = offsets.find(({ partition }) => partition === 0)
  assert.deepEqual([first?.low, first?.high], ['2', '3'])

  const groupId = newName()
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '3' }] })
  const [fetched] = await admin.fetchOffsets({ groupId, topics: [topic] })
  assert.equal(fetched?.partitions.find(({ partition }) => partition === 0)?.offset, '3')
  assert.ok((await admin.listGroups()).groups.some((group) => group.groupId === groupId))
  await admin.deleteGroups([groupId])
  await assert.rejects(admin.deleteGroups([groupId]))
})

test('kafkajs: SASL and TLS', async () => {
  const { sasl, tls, caFile, user: username, password } = await openKafka()
  const plain: SASLOptions = { mechanism: 'plain', username, password }
  const logins: SASLOptions[] = [
    plain,
    { mechanism: 'scram-sha-256', username, password },
    { mechanism: 'scram-sha-512', username, password },
  ]
  for (const login of logins) {
    await using bench = await Bench.open({ brokers: [sasl], sasl: login })
    const topic = await bench.topic()
    await bench.send(topic, login.mechanism)
    assert.deepEqual(bodies(await bench.read(topic, 1)), [login.mechanism])
  }
  const wrong: SASLOptions = { mechanism: 'plain', username, password: 'wrong' }
  await assert.rejects(Bench.open({ brokers: [sasl], sasl: wrong, retry: { retries: 0 } }), {
    name: 'KafkaJSSASLAuthenticationError',
  })
  const ssl = { ca: [readFileSync(caFile, 'utf8')] }
  await using bench = await Bench.open({ brokers: [tls], ssl, sasl: plain })
  assert.equal((await bench.admin.describeCluster()).brokers.length, 1)
})
