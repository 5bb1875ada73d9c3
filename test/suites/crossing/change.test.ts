/** Queues and topics that change while clients use them, as docs/change.md says. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { connectAsync } from 'mqtt'
import { BrokerProcess } from '../../support/broker-process.ts'
import { CommandFolder } from '../../support/command.ts'

const WITHIN_MS = 20_000
const STREAM = { 'x-queue-type': 'stream' }

class World {
  readonly broker = new BrokerProcess()
  readonly #folder = new CommandFolder()
  readonly #connections: ChannelModel[] = []

  async amqp(): Promise<ConfirmChannel> {
    const connection = await connect(`amqp://guest:guest@127.0.0.1:${this.broker.port}`)
    // A broker that is killed is what some tests are about.
    connection.on('error', () => undefined)
    this.#connections.push(connection)
    return connection.createConfirmChannel()
  }

  kafka(): Kafka {
    const brokers = [`127.0.0.1:${this.broker.kafkaPort}`]
    return new Kafka({ brokers, logLevel: logLevel.NOTHING, clientId: 'change' })
  }

  /** `waystation alter`; its error output, empty where it did it. */
  async alter(...args: readonly string[]): Promise<string> {
    const command = ['alter', ...args, '--data', this.broker.dataDir]
    const { code, stderr } = await this.#folder.run(command)
    assert.equal(code === 0, stderr === '', stderr)
    return stderr
  }

  async patch(name: string, change: object): Promise<Response> {
    const path = `/v1/destinations/%2F/${name}`
    return fetch(`http://127.0.0.1:${this.broker.httpPort}${path}`, {
      method: 'PATCH',
      headers: {
        authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify(change),
    })
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) await connection.close().catch(() => undefined)
    this.#folder[Symbol.dispose]()
    await this.broker[Symbol.asyncDispose]()
  }
}

async function open(t: TestContext): Promise<World> {
  const world = new World()
  t.after(() => world.close())
  await world.broker.start()
  return world
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + WITHIN_MS
  while (!(await isSo())) {
    assert.ok(performance.now() < deadlineMs, `it never came so far: ${what}`)
    await sleep(5)
  }
}

async function send(
  channel: ConfirmChannel,
  queue: string,
  bodies: readonly string[],
): Promise<void> {
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
  await channel.waitForConfirms()
}

function numbers(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, n) => `${from + n}`)
}

/** What a stream holds, read from its first message on. */
async function readStream(
  channel: ConfirmChannel,
  queue: string,
  count: number,
): Promise<string[]> {
  const found: string[] = []
  await channel.prefetch(200)
  const { consumerTag } = await channel.consume(
    queue,
    (message) => {
      if (message === null) return
      found.push(message.content.toString())
      channel.ack(message)
    },
    { arguments: { 'x-stream-offset': 'first' } },
  )
  await until(`${count} messages`, () => found.length >= count)
  await channel.cancel(consumerTag)
  return found
}

async function readKafka(kafka: Kafka, topic: string, count: number): Promise<string[]> {
  const found: string[] = []
  const consumer = kafka.consumer({ groupId: `of-${topic}` })
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ message }) => void found.push(message.value!.toString()),
    })
    await until(`${count} records`, () => found.length >= count)
  } finally {
    await consumer.disconnect()
  }
  return found
}

test('limit, time to live and dead letters of a queue in use change, and stay', async (t) => {
  const world = await open(t)
  const { broker } = world
  const channel = await world.amqp()
  await channel.assertQueue('dead')
  await channel.assertQueue('q', { arguments: { 'x-max-length': 10 } })
  await channel.prefetch(1)
  const got: string[] = []
  let holdsFirst: (() => void) | null = null
  const { consumerTag } = await channel.consume('q', (message) => {
    got.push(message!.content.toString())
    if (got.length > 1) channel.ack(message!)
    else holdsFirst = () => channel.ack(message!)
  })
  await send(channel, 'q', numbers(11))
  assert.equal(await world.alter('q', '--argument', 'x-max-length=3'), '')
  await until('three are left', async () => (await channel.checkQueue('q')).messageCount <= 3)
  holdsFirst!()
  await until('the consumer has the newest', () => got.length === 4)
  assert.deepEqual(got, ['0', '8', '9', '10'])
  await channel.cancel(consumerTag)
  const target = ['--argument', 'x-dead-letter-exchange=', '--argument']
  const more = ['x-dead-letter-routing-key=dead', '--argument', 'x-message-ttl=100']
  assert.equal(await world.alter('q', ...target, ...more), '')
  await send(channel, 'q', ['late'])
  await until('it expired', async () => (await channel.checkQueue('dead')).messageCount === 1)
  await broker.stop()
  await broker.start()
  const again = await world.amqp()
  await send(again, 'q', ['later'])
  await until('that expired too', async () => (await again.checkQueue('dead')).messageCount === 2)
  assert.equal(await world.alter('q', '--remove-argument', 'x-message-ttl'), '')
  await send(again, 'q', numbers(5))
  assert.equal((await again.checkQueue('q')).messageCount, 3)
  // As it is now it may be declared.
  const now = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await again.assertQueue('q', { arguments: { 'x-max-length': 3, ...now } })
})

test('what cannot be is refused with the reason and changes nothing', async (t) => {
  const world = await open(t)
  const channel = await world.amqp()
  await channel.assertQueue('q', { arguments: { 'x-max-length': 10 } })
  const refused = async (change: object, reason: RegExp, status = 409): Promise<void> => {
    const answer = await world.patch('q', change)
    assert.match(await answer.text(), reason)
    assert.equal(answer.status, status)
  }
  await refused({ arguments: { 'x-max-priority': 3 } }, /'x-max-priority'.* cannot change/)
  await refused({ arguments: { 'x-max-lenght': 3 } }, /takes no argument 'x-max-lenght'/)
  await refused({ arguments: { 'retention.ms': 3 } }, /takes no argument 'retention.ms'/)
  await refused({ arguments: { 'x-max-length': -1 } }, /invalid arg 'x-max-length'/)
  await refused({ arguments: { 'x-max-length': 3, 'x-max-age': '1D' } }, /'x-max-age'/)
  await refused({ partitions: 3 }, /has no partitions/)
  await refused({ partitions: 0 }, /partitions/, 400)
  await refused({ profile: 'heap' }, /profile/, 400)
  await refused({ colour: 'red' }, /colour/, 400)
  await channel.assertQueue('q', { arguments: { 'x-max-length': 10 } })
  assert.equal((await world.patch('none', { partitions: 3 })).status, 404)
  assert.match(await world.alter('q'), /nothing is to be changed/)
  assert.match(await world.alter('q', '--argument', 'x'), /write name=value/)
  assert.match(await world.alter('q', '--partitions', 'many'), /partitions/)
})

test('a queue becomes a stream for amqplib and a topic for kafkajs', async (t) => {
  const world = await open(t)
  const { broker } = world
  const channel = await world.amqp()
  await channel.assertQueue('orders', { arguments: { 'x-max-length': 100_000 } })
  await channel.assertExchange('in', 'topic')
  await channel.bindQueue('orders', 'in', 'order.#')
  await send(channel, 'orders', numbers(2000))
  // Nobody settles what this one holds.
  const holder = await world.amqp()
  await holder.prefetch(10)
  let isCancelled = false
  await holder.consume('orders', (message) => {
    if (message === null) isCancelled = true
  })
  await until('they are out', async () => (await channel.checkQueue('orders')).messageCount < 2000)
  const publisher = await connectAsync(`mqtt://127.0.0.1:${broker.mqttPort}`)
  t.after(() => publisher.endAsync(true))
  await channel.bindQueue('orders', 'amq.topic', 'mqtt.orders')
  let sent = 2000
  let isOver = false
  const publishing = (async (): Promise<void> => {
    while (!isOver) await publisher.publishAsync('mqtt/orders', `${sent++}`, { qos: 1 })
  })()
  assert.equal(await world.alter('orders', '--profile', 'topic', '--argument', 'x-max-age=7D'), '')
  isOver = true
  await publishing
  await until('its consumer is cancelled', () => isCancelled)
  assert.ok(sent > 2001, 'something came meanwhile')
  channel.publish('in', 'order.new', Buffer.from(`${sent++}`))
  await channel.waitForConfirms()
  assert.deepEqual(await readStream(channel, 'orders', sent), numbers(sent))
  assert.deepEqual(await readKafka(world.kafka(), 'orders', sent), numbers(sent))
  await broker.stop()
  await broker.start()
  const again = await world.amqp()
  await again.assertQueue('orders', { arguments: { ...STREAM, 'x-max-age': '7D' } })
  await send(again, 'orders', [`${sent++}`])
  assert.deepEqual(await readStream(again, 'orders', sent), numbers(sent))
})

test('a topic that kafkajs writes becomes a queue for amqplib', async (t) => {
  const world = await open(t)
  const { broker } = world
  const kafka = world.kafka()
  const admin = kafka.admin()
  const producer = kafka.producer({ retry: { retries: 0 } })
  await admin.connect()
  await producer.connect()
  t.after(() => Promise.all([admin.disconnect(), producer.disconnect()]))
  await admin.createTopics({ topics: [{ topic: 'work', numPartitions: 1 }] })
  const values = (from: number): { value: string }[] =>
    numbers(100, from).map((value) => ({ value }))
  let sent = 0
  for (; sent < 1000; sent += 100) await producer.send({ topic: 'work', messages: values(sent) })
  assert.match(await world.alter('work', '--profile', 'queue', '--partitions', '2'), /partitions/)
  let isOver = false
  const publishing = (async (): Promise<void> => {
    const channel = await world.amqp()
    while (!isOver) {
      channel.publish('work', 'k', Buffer.from(`${sent++}`), { persistent: true })
      await channel.waitForConfirms()
    }
  })()
  const more = ['--argument', 'x-retry-delay=100', '--argument', 'x-max-length=100000']
  assert.equal(await world.alter('work', '--profile', 'queue', ...more), '')
  isOver = true
  await publishing
  assert.ok(sent > 1001, 'something came meanwhile')
  await assert.rejects(producer.send({ topic: 'work', messages: values(0) }))
  await broker.stop()
  await broker.start()
  const channel = await world.amqp()
  assert.equal((await channel.checkQueue('work')).messageCount, sent)
  const got: string[] = []
  await channel.prefetch(100)
  await channel.consume('work', (message) => {
    got.push(message!.content.toString())
    channel.ack(message!)
  })
  await until('all are consumed', () => got.length === sent)
  assert.deepEqual(got, numbers(sent))
  await until('it is empty', async () => (await channel.checkQueue('work')).messageCount === 0)
})

test('kill -9 while a queue becomes a topic leaves everything, once and in order', async (t) => {
  const world = await open(t)
  const { broker } = world
  const count = 12_000
  const first = await world.amqp()
  await first.assertQueue('q')
  await send(first, 'q', numbers(count))
  const ended = new Set<string>()
  for (let afterMs = 0; afterMs < 120; afterMs += 40) {
    const answer = world.patch('q', { profile: 'topic' }).then(
      ({ status }) => status,
      () => 0,
    )
    await sleep(afterMs)
    await broker.kill()
    const status = await answer
    await broker.start()
    const channel = await world.amqp()
    const { messageCount } = await channel.checkQueue('q')
    const isQueue = messageCount === count
    ended.add(isQueue ? 'queue' : 'topic')
    if (status === 200) assert.equal(isQueue, false)
    if (!isQueue) break
  }
  if (!ended.has('topic')) assert.equal((await world.patch('q', { profile: 'topic' })).status, 200)
  const channel = await world.amqp()
  assert.deepEqual(await readStream(channel, 'q', count), numbers(count))
})

test('a topic is given partitions and other settings while kafkajs writes to it', async (t) => {
  const world = await open(t)
  const kafka = world.kafka()
  const admin = kafka.admin()
  const producer = kafka.producer({ metadataMaxAge: 100 })
  await admin.connect()
  await producer.connect()
  t.after(() => Promise.all([admin.disconnect(), producer.disconnect()]))
  const configEntries = [{ name: 'cleanup.policy', value: 'compact,delete' }]
  await admin.createTopics({ topics: [{ topic: 'events', numPartitions: 2, configEntries }] })
  let sent = 0
  const partitions = new Set<number>()
  const produce = async (): Promise<void> => {
    const messages = [{ key: `${sent}`, value: `${sent++}` }]
    for (const { partition } of await producer.send({ topic: 'events', messages })) {
      partitions.add(partition)
    }
  }
  for (let n = 0; n < 20; n++) await produce()
  const altering = world.alter('events', '--partitions', '5', '--argument', 'retention.ms=3600000')
  let isAltered = false
  void altering.then(() => (isAltered = true))
  while (!isAltered) await produce()
  assert.equal(await altering, '')
  await until('all partitions are written to', async () => {
    await produce()
    return partitions.size === 5
  })
  assert.match(await world.alter('events', '--partitions', '4'), /has 5 partitions.*given 4/)
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: 2, name: 'events' }],
  })
  const value = (name: string): string | undefined =>
    resources[0]!.configEntries.find(({ configName }) => configName === name)?.configValue
  assert.equal(value('retention.ms'), '3600000')
  assert.equal(value('cleanup.policy'), 'compact,delete')
  const found = await readKafka(kafka, 'events', sent)
  assert.deepEqual(
    found.map(Number).toSorted((a, b) => a - b),
    numbers(sent).map(Number),
  )
})

test('a stream adopts what a declaration asks for, beside what Kafka has set', async (t) => {
  const world = await open(t)
  const admin = world.kafka().admin()
  await admin.connect()
  t.after(() => admin.disconnect())
  const configEntries = [{ name: 'cleanup.policy', value: 'compact' }]
  await admin.createTopics({ topics: [{ topic: 's', configEntries }] })
  const declare = async (maxAge: string): Promise<void> => {
    const channel = await world.amqp()
    channel.on('error', () => undefined)
    await channel.assertQueue('s', { arguments: { ...STREAM, 'x-max-age': maxAge } })
  }
  await assert.rejects(declare('1D'), /inequivalent arg 'x-max-age'/)
  const mode = await fetch(`http://127.0.0.1:${world.broker.httpPort}/v1/vhosts/%2F`, {
    method: 'PATCH',
    headers: {
      authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ declareMismatch: 'adopt' }),
  })
  assert.equal(mode.status, 204)
  await declare('1D')
  const answer = (await (await world.patch('s', {})).json()) as { arguments: object }
  assert.deepEqual(answer.arguments, {
    'cleanup.policy': 'compact',
    'x-max-age': '1D',
  })
})
