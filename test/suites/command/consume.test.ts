import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChannelModel, connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { connectAsync } from 'mqtt'
import { CommandFolder, type Command } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

interface World extends AsyncDisposable {
  readonly listeners: Readonly<Record<string, string>>
  consume(...args: readonly string[]): Promise<string>
  open(...args: readonly string[]): Command
}

interface Delivery {
  readonly body: string
  readonly encoding: 'utf8' | 'base64'
  readonly redelivered: boolean
  readonly attempts: number
}

function octets({ body, encoding }: Delivery): Buffer {
  return Buffer.from(body, encoding)
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 30_000
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, 'it did not come to be in 30 s')
    await sleep(20)
  }
}

async function start(): Promise<World> {
  const data = folder.freshDirectory()
  const broker = folder.start(data)
  const { listeners } = await broker.ready()
  const whole = (args: readonly string[]): string[] => ['consume', ...args, '--data', data]
  return {
    listeners,
    open: (...args) => folder.open(whole(args)),
    consume: async (...args) => {
      const { code, stdout, stderr } = await folder.run(whole(args))
      assert.equal(code, 0, stderr)
      return stdout
    },
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  }
}

async function openAmqp({ listeners }: World): Promise<ChannelModel & AsyncDisposable> {
  const connection = await connect(`amqp://${listeners['amqp']}`)
  // The broker may be gone before it; what failed then is told by the test.
  connection.on('error', () => undefined)
  return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() })
}

test('what is consumed by command is gone, requeued, dead or counted as its mode says', async () => {
  await using world = await start()
  await using connection = await openAmqp(world)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('dead')
  const retry = { 'x-queue-type': 'quorum', 'x-delivery-limit': 5 }
  const deadLetter = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await channel.assertQueue('orders', { durable: true, arguments: { ...retry, ...deadLetter } })
  for (const body of ['one', 'two', 'three', 'four', 'five']) {
    channel.sendToQueue('orders', Buffer.from(body), { headers: { n: body.length } })
  }
  await channel.waitForConfirms()
  const ready = async (queue: string): Promise<number> => {
    return (await channel.checkQueue(queue)).messageCount
  }

  const all = 'one\ntwo\nthree\nfour\nfive\n'
  assert.equal(await world.consume('orders', '--ack', 'requeue', '--format', 'body'), all)
  assert.equal(await ready('orders'), 5)
  assert.equal(await world.consume('orders', '--ack', 'fail', '--format', 'body'), all)
  const [first = ''] = (await world.consume('orders', '--count', '1', '--json')).split('\n')
  const delivery = JSON.parse(first) as Record<string, unknown>
  assert.deepEqual(
    [delivery['body'], delivery['redelivered'], delivery['attempts'], delivery['headers']],
    ['one', true, 1, [{ name: 'n', value: 3 }]],
  )
  assert.equal(await ready('orders'), 4)
  assert.equal(
    await world.consume('orders', '--ack', 'reject', '--count', '2', '--format', 'raw'),
    'twothree',
  )
  assert.deepEqual([await ready('orders'), await ready('dead')], [2, 2])
  assert.equal(
    await world.consume('orders', '--ack', 'none', '--format', 'body', '--prefetch', '1'),
    'four\nfive\n',
  )
  assert.match(
    await world.consume('dead', '--prefetch', '1'),
    / dead {2}3 bytes\n[^]* two\n[^]* three\n$/,
  )
  assert.equal(await world.consume('dead'), '')
  assert.deepEqual([await ready('orders'), await ready('dead')], [0, 0])
})

test('what a killed command was given and did not settle comes again', async () => {
  await using world = await start()
  await using connection = await openAmqp(world)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('slow')
  const follower = world.open('slow', '--follow', '--json', '--ack', 'requeue')
  const bodies = Array.from({ length: 10 }, () => randomBytes(20_000))
  for (const body of bodies) channel.sendToQueue('slow', body)
  await channel.waitForConfirms()
  await until(() => follower.stdout.split('\n').length > bodies.length)
  assert.equal((await channel.checkQueue('slow')).messageCount, 0)
  await follower[Symbol.asyncDispose]()
  await until(async () => (await channel.checkQueue('slow')).messageCount === bodies.length)

  const lines = (await world.consume('slow', '--json')).trim().split('\n')
  const deliveries = lines.map((line) => JSON.parse(line) as Delivery)
  assert.deepEqual(deliveries.map(octets), bodies)
  assert.ok(deliveries.every(({ redelivered, attempts }) => redelivered && attempts === 0))
})

test('topics of Kafka and queues of MQTT are consumed as well, from where it is said', async () => {
  await using world = await start()
  const kafka = new Kafka({ brokers: [world.listeners['kafka']!], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'clicks', numPartitions: 3 }] })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  const messages = Array.from({ length: 30 }, (_, index) => ({
    value: Buffer.of(0xff, index),
    partition: index % 3,
  }))
  await producer.send({ topic: 'clicks', messages })
  const read = async (...args: readonly string[]): Promise<(number | undefined)[]> => {
    const lines = (await world.consume('clicks', '--json', ...args)).split('\n').filter(Boolean)
    const numbers = lines.map((line) => octets(JSON.parse(line) as Delivery)[1])
    return numbers.toSorted((one, other) => (one ?? 0) - (other ?? 0))
  }
  const whole = messages.map((_, index) => index)
  assert.deepEqual(await read(), whole)
  // Reading takes nothing out; each partition begins at that offset.
  assert.deepEqual(await read('--from', '9'), [27, 28, 29])
  assert.deepEqual(await read('--from', '2020-01-01', '--count', '30', '--ack', 'none'), whole)
  assert.deepEqual(await read('--from', 'next'), [])
  await producer.disconnect()

  const options = { clientId: 'reader', clean: false, reconnectPeriod: 0 } as const
  const url = `mqtt://${world.listeners['mqtt']}`
  const subscriber = await connectAsync(url, options)
  await subscriber.subscribeAsync('sensors/#', { qos: 1 })
  await subscriber.endAsync()
  const publisher = await connectAsync(url, { reconnectPeriod: 0 })
  await publisher.publishAsync('sensors/8', '21.5', { qos: 1 })
  await publisher.endAsync()
  assert.equal(await world.consume('mqtt.reader', '--format', 'body'), '21.5\n')
})

test('what cannot be is said, with the exit code of its kind', async () => {
  await using world = await start()
  const cases: readonly [args: readonly string[], code: number, text: RegExp][] = [
    [['nowhere'], 1, /no queue or topic 'nowhere'/],
    [['x', '--ack', 'maybe'], 2, /--ack is 'maybe', expected one of accept, reject/],
    [['x', '--from', 'yesterday'], 2, /--from is 'yesterday'/],
    [['x', '--prefetch', '0'], 1, /prefetch/],
  ]
  for (const [args, code, text] of cases) {
    const ended = await world.open(...args).ended
    assert.equal(ended.code, code, ended.stderr)
    assert.match(ended.stderr, text)
  }
})
