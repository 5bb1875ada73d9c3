import assert from 'node:assert/strict'
import { cpSync, globSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { CommandFolder } from '../../support/command.ts'
import type { Outcome } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

const QUEUES = ['first', 'second', 'third']
const TOPIC = 'numbers'
/** Long enough that segments fill up and journals come and go. */
const BODY_BYTES = 4000
/** Of messages that nobody waits for. */
const UNCONFIRMED_MAX = 200

test('a backup under load is one moment of the whole broker, and comes back as that', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data, '--set', 'limits.freeDiskSpace=0')
  const { listeners } = await command.ready()
  const added = await folder.run(['add-user', 'keeper', '--data', data], {
    input: 'the secret of keeper\n',
  })
  assert.equal(added.code, 0, added.stderr)
  await using amqp = await startAmqp(listeners['amqp']!)
  await using kafka = await startKafka(listeners['kafka']!)
  await amqp.until(300)
  await kafka.until(30)

  const backups = folder.freshDirectory()
  const before = { amqp: amqp.confirmed, kafka: kafka.confirmed }
  const made = await folder.run(['backup', backups, '--data', data, '--json'])
  const afterwards = { amqp: amqp.sent, kafka: kafka.sent }
  assert.equal(made.code, 0, made.stderr)
  const report = JSON.parse(made.stdout) as { faults: unknown[]; tornEnds: unknown[] }
  assert.deepEqual([report.faults, report.tornEnds], [[], []])
  assert.deepEqual(readdirSync(path.join(data, 'frozen')), [])
  // The broker went on meanwhile, and goes on now.
  await amqp.until(before.amqp + 100)
  await amqp.stop()
  await kafka.stop()

  const restored = folder.freshDirectory()
  const outcome = await folder.run(['restore', backups, '--data', restored])
  assert.equal(outcome.code, 0, outcome.stderr)
  assert.match(outcome.stdout, /entries of \d+ logs, [\d.]+ MiB, every one checked/)
  await using second = folder.start(restored)
  const { listeners: ways } = await second.ready()
  const counts = await countQueues(ways['amqp']!)
  assert.deepEqual(counts, [counts[0], counts[0], counts[0]], 'a publish is in some queues only')
  between(counts[0]!, before.amqp, afterwards.amqp)
  between(await countRecords(ways['kafka']!), before.kafka, afterwards.kafka)
  const users = await folder.run(['users', 'list', '--data', restored])
  assert.match(users.stdout, /keeper/)
})

test('a backup that is damaged, cut short or in the way is refused with the reason', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  await command.ready()
  const backups = folder.freshDirectory()
  const here = path.relative(folder.path, backups)
  assert.equal((await folder.run(['backup', here, '--data', data])).code, 0)
  refuses(await folder.run(['backup', backups, '--data', data]), /is not empty/)
  refuses(await folder.run(['restore', backups, '--data', data]), /is not empty/)

  const damaged = folder.freshDirectory()
  cpSync(backups, damaged, { recursive: true })
  const files = globSync(path.join(damaged, 'store/logs/**/*.seg'))
  const largest = files.toSorted((a, b) => statSync(b).size - statSync(a).size)[0]!
  const bytes = readFileSync(largest)
  bytes[bytes.length >>> 1]! ^= 1
  writeFileSync(largest, bytes)
  const intoNowhere = ['--data', folder.freshDirectory()]
  refuses(await folder.run(['restore', damaged, ...intoNowhere]), /its checksum differs/)

  const manifest = path.join(damaged, 'backup.json')
  const outside = readFileSync(manifest, 'utf8').replaceAll('"logs/', '"../logs/')
  writeFileSync(manifest, outside)
  refuses(
    await folder.run(['restore', damaged, '--data', folder.freshDirectory()]),
    /names a file outside of it/,
  )
  refuses(
    await folder.run(['restore', path.join(backups, 'store'), '--data', folder.freshDirectory()]),
    /holds no whole backup/,
  )
})

test('without a running broker there is nothing to back up', async () => {
  const nowhere = folder.freshDirectory()
  const target = folder.freshDirectory()
  const outcome = await folder.run(['backup', target, '--data', nowhere])
  assert.equal(outcome.code, 69, outcome.stderr)
})

function refuses(outcome: Outcome, reason: RegExp): void {
  assert.equal(outcome.code, 73, outcome.stderr)
  assert.match(outcome.stderr, reason)
}

function between(count: number, least: number, most: number): void {
  assert.ok(count >= least, `${count} came back, ${least} were acknowledged before`)
  assert.ok(count <= most, `${count} came back, ${most} were sent until it was over`)
}

interface Load extends AsyncDisposable {
  readonly sent: number
  readonly confirmed: number
  until(confirmed: number): Promise<void>
  stop(): Promise<void>
}

/** Numbered messages to three queues at once, as fast as confirms allow. */
async function startAmqp(address: string): Promise<Load> {
  const connection = await connect(`amqp://${address}`)
  const channel = await connection.createConfirmChannel()
  await channel.assertExchange('all', 'fanout')
  for (const queue of QUEUES) {
    await channel.assertQueue(queue)
    await channel.bindQueue(queue, 'all', '')
  }
  const load = new Counter()
  const publish = async (): Promise<void> => {
    while (!load.isStopped) {
      if (load.sent - load.confirmed > UNCONFIRMED_MAX) await new Promise(setImmediate)
      else {
        const body = Buffer.alloc(BODY_BYTES, `${load.sent++} `)
        channel.publish('all', '', body, { persistent: true }, (error) => {
          if (error === null || error === undefined) load.confirm()
        })
      }
    }
  }
  load.end = async () => connection.close()
  load.running = publish()
  return load
}

async function startKafka(address: string): Promise<Load> {
  const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING })
  const producer = kafka.producer({ allowAutoTopicCreation: true })
  await producer.connect()
  const load = new Counter()
  const publish = async (): Promise<void> => {
    while (!load.isStopped) {
      const value = String(load.sent++)
      await producer.send({ topic: TOPIC, acks: -1, messages: [{ value, partition: 0 }] })
      load.confirm()
    }
  }
  load.end = async () => producer.disconnect()
  load.running = publish()
  return load
}

class Counter implements Load {
  sent = 0
  confirmed = 0
  isStopped = false
  running: Promise<void> = Promise.resolve()
  end: () => Promise<void> = () => Promise.resolve()
  #waiting: (() => void)[] = []

  confirm(): void {
    this.confirmed++
    for (const look of this.#waiting) look()
  }

  async until(confirmed: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(() => {
        if (this.confirmed >= confirmed) resolve()
      })
    })
  }

  async stop(): Promise<void> {
    if (this.isStopped) return
    this.isStopped = true
    await this.running
    await this.end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** Reads each queue to its end; fails where a number is missing or out of order. */
async function countQueues(address: string): Promise<number[]> {
  const connection = await connect(`amqp://${address}`)
  const counts: number[] = []
  for (const queue of QUEUES) {
    const channel = await connection.createChannel()
    const { messageCount } = await channel.checkQueue(queue)
    let next = 0
    await new Promise<void>((resolve, reject) => {
      void channel.consume(
        queue,
        (message) => {
          const number = Number.parseInt(message!.content.toString(), 10)
          if (number !== next) reject(new Error(`${queue}: ${number} came instead of ${next}`))
          if (++next === messageCount) resolve()
        },
        { noAck: true },
      )
    })
    counts.push(next)
    await channel.close()
  }
  await connection.close()
  return counts
}

async function countRecords(address: string): Promise<number> {
  const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  const [partition] = await admin.fetchTopicOffsets(TOPIC)
  await admin.disconnect()
  const end = Number(partition!.high)
  const consumer = kafka.consumer({ groupId: 'reader' })
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  let next = 0
  await new Promise<void>((resolve, reject) => {
    void consumer.run({
      eachMessage: async ({ message }) => {
        const number = Number(message.value!.toString())
        if (number !== next) reject(new Error(`record ${number} came instead of ${next}`))
        if (++next === end) resolve()
        return Promise.resolve()
      },
    })
  })
  await consumer.disconnect()
  return next
}
