/** @platformatic/kafka, which speaks only the newer, flexible versions of each message. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import {
  Admin,
  type BaseOptions,
  ConfigResourceTypes,
  Consumer,
  type ConsumeOptions,
  type ConsumerOptions,
  IncrementalAlterConfigOperationTypes,
  type Message,
  type MessagesStream,
  Producer,
  type ProducerOptions,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka'

import { closeKafka, openKafka } from '../support/kafka-target.ts'

const WITHIN_MS = 30_000

after(closeKafka)

type Text = Message<string, string, string, string>
type TextConsumer = Consumer<string, string, string, string>
type TextStream = MessagesStream<string, string, string, string>

/** What a test works with; what it opened is closed behind it. */
class Bench implements AsyncDisposable {
  readonly admin: Admin
  readonly #base: BaseOptions
  readonly #ends: (() => Promise<unknown>)[] = []

  constructor(base: BaseOptions) {
    this.#base = base
    this.admin = new Admin(base)
    this.#ends.push(async () => this.admin.close())
  }

  static async open(options: Partial<BaseOptions> = {}): Promise<Bench> {
    const { plain } = await openKafka()
    return new Bench({ clientId: 'interop', bootstrapBrokers: [plain], retries: 3, ...options })
  }

  async topic(partitions = 1): Promise<string> {
    const topic = newName()
    // The tests write times long past, which retention would take away.
    const configs = [{ name: 'retention.ms', value: '-1' }]
    await this.admin.createTopics({ topics: [topic], partitions, replicas: 1, configs })
    this.#ends.push(async () => this.admin.deleteTopics({ topics: [topic] }))
    await until(async () => (await this.admin.listTopics()).includes(topic), topic)
    return topic
  }

  producer(
    options: Partial<ProducerOptions<string, string, string, string>> = {},
  ): Producer<string, string, string, string> {
    const producer = new Producer({
      ...this.#base,
      serializers: stringSerializers,
      ...options,
    })
    this.#ends.push(async () => producer.close(true))
    return producer
  }

  consumer(options: Partial<ConsumerOptions<string, string, string, string>> = {}): TextConsumer {
    const consumer: TextConsumer = new Consumer({
      ...this.#base,
      groupId: newName(),
      deserializers: stringDeserializers,
      autocommit: false,
      maxWaitTime: 200,
      ...(options.groupProtocol === 'consumer' ? {} : { heartbeatInterval: 200 }),
      ...options,
    } as ConsumerOptions<string, string, string, string>)
    this.#ends.push(async () => consumer.close(true))
    return consumer
  }

  /** Reads a topic from its begin until so many messages came. */
  async read(
    topic: string,
    count: number,
    options: Partial<ConsumeOptions<string, string, string, string>> = {},
  ): Promise<Text[]> {
    const stream = await this.consumer().consume({ topics: [topic], mode: 'earliest', ...options })
    const seen = gather(stream)
    await until(() => seen.length >= count, `${count} messages`)
    return seen
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.toReversed()) await end()
  }
}

function newName(): string {
  return `ws-platformatic-${randomBytes(6).toString('hex')}`
}

function gather(stream: TextStream): Text[] {
  const seen: Text[] = []
  stream.on('data', (message) => seen.push(message))
  stream.on('error', () => {})
  return seen
}

function fromCommitted(topic: string): ConsumeOptions<string, string, string, string> {
  return { topics: [topic], mode: 'committed', fallbackMode: 'earliest' }
}

function bodies(messages: readonly Text[]): string[] {
  return messages.map(({ value }) => value)
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + WITHIN_MS
  while (!(await condition())) {
    assert.ok(performance.now() < deadlineMs, `never came: ${what}`)
    await sleep(5)
  }
}

test('@platformatic/kafka: keys, headers and timestamps', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic(2)
  const sent = {
    topic,
    partition: 1,
    key: 'key',
    value: 'välue ✓',
    headers: { one: 'first', two: 'second' },
    timestamp: 1_700_000_000_000n,
  }
  const { offsets } = await bench.producer().send({ messages: [sent] })
  assert.deepEqual(offsets, [{ topic, partition: 1, offset: 0n }])
  const [seen] = await bench.read(topic, 1)
  assert.deepEqual(
    [seen?.key, seen?.value, seen?.timestamp],
    [sent.key, sent.value, sent.timestamp],
  )
  assert.deepEqual(Object.fromEntries(seen!.headers), sent.headers)
})

test('@platformatic/kafka: every codec', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic()
  const producer = bench.producer()
  const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
  const wanted: string[] = []
  for (const compression of codecs) {
    const values = Array.from({ length: 50 }, (_value, index) => `${'-'.repeat(99)}${index}`)
    wanted.push(...values)
    await producer.send({ messages: values.map((value) => ({ topic, value })), compression })
  }
  assert.deepEqual(bodies(await bench.read(topic, wanted.length)), wanted)
})

test('@platformatic/kafka: an idempotent producer', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic()
  const producer = bench.producer({ idempotent: true })
  const sent = Array.from({ length: 20 }, (_value, index) => String(index))
  for (const value of sent) await producer.send({ messages: [{ topic, value }], acks: -1 })
  assert.deepEqual(bodies(await bench.read(topic, 20)), sent)
})

for (const groupProtocol of ['classic', 'consumer'] as const) {
  test(`@platformatic/kafka: a group by the ${groupProtocol} protocol`, async () => {
    await using bench = await Bench.open()
    const topic = await bench.topic(4)
    const groupId = newName()
    const open = async (): Promise<[TextConsumer, Text[]]> => {
      const consumer = bench.consumer({ groupId, groupProtocol })
      return [consumer, gather(await consumer.consume(fromCommitted(topic)))]
    }
    const members = await Promise.all([open(), open()])
    const shares = (): string =>
      members
        .map(([consumer]) => consumer.assignments?.flatMap(({ partitions }) => partitions).length)
        .join()
    await until(() => shares() === '2,2', 'two partitions each')
    const producer = bench.producer()
    const messages = Array.from({ length: 20 }, (_value, index) => ({
      topic,
      value: String(index),
      partition: index % 4,
    }))
    await producer.send({ messages })
    const all = (): Text[] => members.flatMap(([, seen]) => seen)
    await until(() => all().length >= 20, 'twenty messages')
    await Promise.all(all().map(async (message) => message.commit()))
    await members[0]![0].close(true)
    await until(() => shares().endsWith(',4'), 'all partitions for the other')
    await producer.send({ messages: [{ topic, value: 'last', partition: 2 }] })
    await until(() => all().length >= 21, 'the last message')
    assert.equal(new Set(bodies(all())).size, 21)
  })
}

test('@platformatic/kafka: from an offset, and offsets by time', async () => {
  await using bench = await Bench.open()
  const topic = await bench.topic()
  const messages = Array.from({ length: 10 }, (_value, index) => ({
    topic,
    value: String(index),
    timestamp: BigInt(index) * 1_000n,
  }))
  await bench.producer().send({ messages })
  const offsets = [{ topic, partition: 0, offset: 8n }]
  assert.deepEqual(bodies(await bench.read(topic, 2, { mode: 'manual', offsets })), ['8', '9'])
  for (const [timestamp, offset] of [
    [4_500n, 5n],
    [-1n, 10n],
    [-2n, 0n],
  ] as const) {
    const partitions = [{ partitionIndex: 0, timestamp }]
    const [listed] = await bench.admin.listOffsets({ topics: [{ name: topic, partitions }] })
    assert.equal(listed?.partitions[0]?.offset, offset, `offset for ${timestamp}`)
  }
})

test('@platformatic/kafka: transactions, and offsets within them', async () => {
  await using bench = await Bench.open()
  const source = await bench.topic()
  const topic = await bench.topic()
  await bench.producer().send({ messages: [{ topic: source, value: 'a' }] })
  const groupId = newName()
  const consumer = bench.consumer({ groupId })
  const seen = gather(await consumer.consume(fromCommitted(source)))
  await until(() => seen.length === 1, 'the message')
  const producer = bench.producer({ transactionalId: newName(), idempotent: true })
  for (const value of ['dropped', 'kept']) {
    const transaction = await producer.beginTransaction()
    await transaction.send({ messages: [{ topic, value }] })
    await transaction.addConsumer(consumer)
    await transaction.addOffset(seen[0]!)
    await (value === 'kept' ? transaction.commit() : transaction.abort())
  }
  assert.deepEqual(bodies(await bench.read(topic, 1, { isolationLevel: 1 })), ['kept'])
  assert.deepEqual(bodies(await bench.read(topic, 2, { isolationLevel: 0 })), ['dropped', 'kept'])
  await until(async () => {
    const [group] = await bench.admin.listConsumerGroupOffsets({ groups: [groupId] })
    return group?.topics[0]?.partitions[0]?.committedOffset === 1n
  }, 'the committed offset')
})

test('@platformatic/kafka: administration of topics', async () => {
  await using bench = await Bench.open()
  const { admin } = bench
  const topic = await bench.topic()
  await assert.rejects(admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 }))
  const { brokers } = await admin.metadata({ topics: [topic] })
  const assignment = { brokerIds: [...brokers.keys()] }
  const assignments = [assignment, assignment]
  await admin.createPartitions({ topics: [{ name: topic, count: 3, assignments }] })
  await until(async () => {
    const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true })
    return topics.get(topic)?.partitionsCount === 3
  }, 'three partitions')

  const resourceType = ConfigResourceTypes.TOPIC
  const configOperation = IncrementalAlterConfigOperationTypes.SET
  const configs = [{ name: 'retention.ms', value: '123456789', configOperation }]
  const altered = [{ resourceType, resourceName: topic, configs }]
  await admin.incrementalAlterConfigs({ resources: altered })
  await until(async () => {
    const resources = [{ resourceType, resourceName: topic, configurationKeys: ['retention.ms'] }]
    const [described] = await admin.describeConfigs({ resources })
    return described?.configs[0]?.value === '123456789'
  }, 'the altered setting')

  const values = ['a', 'b', 'c'].map((value) => ({ topic, value, partition: 0 }))
  await bench.producer().send({ messages: values })
  const topics = [{ name: topic, partitions: [{ partition: 0, offset: 2n }] }]
  const [deleted] = await admin.deleteRecords({ topics })
  assert.equal(deleted?.partitions[0]?.lowWatermark, 2n)
})

test('@platformatic/kafka: administration of groups', async () => {
  await using bench = await Bench.open()
  const { admin } = bench
  const topic = await bench.topic(2)
  const groupId = newName()
  const partitionOffsets = [
    { partition: 0, offset: 3n },
    { partition: 1, offset: 0n },
  ]
  await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets }] })
  const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
  assert.equal(group?.topics[0]?.partitions[0]?.committedOffset, 3n)
  assert.equal((await admin.listGroups()).get(groupId)?.state, 'Empty')
  await admin.deleteConsumerGroupOffsets({
    groupId,
    topics: [{ name: topic, partitionIndexes: [0] }],
  })
  const [left] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
  assert.equal(left?.topics[0]?.partitions.length, 1)
  await admin.deleteGroups({ groups: [groupId] })
  assert.equal((await admin.listGroups()).has(groupId), false)
})

test('@platformatic/kafka: SASL and TLS', async () => {
  const { sasl, tls, caFile, user: username, password } = await openKafka()
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    const login = { mechanism, username, password }
    await using bench = await Bench.open({ bootstrapBrokers: [sasl], sasl: login })
    const topic = await bench.topic()
    await bench.producer().send({ messages: [{ topic, value: mechanism }] })
    assert.deepEqual(bodies(await bench.read(topic, 1)), [mechanism])
  }
  const plain = { mechanism: 'PLAIN', username, password } as const
  const refused = { bootstrapBrokers: [sasl], retries: 0, sasl: { ...plain, password: 'wrong' } }
  await using stranger = await Bench.open(refused)
  await assert.rejects(stranger.admin.listTopics())
  const trusted = { ca: readFileSync(caFile, 'utf8') }
  await using bench = await Bench.open({ bootstrapBrokers: [tls], tls: trusted, sasl: plain })
  assert.ok(Array.isArray(await bench.admin.listTopics()))
})
