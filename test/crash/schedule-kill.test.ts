/** Ids, cancellations and repetitions that were answered, over kills at random moments. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChannelModel, type ConfirmChannel, connect, type Options } from 'amqplib'
import { SeededRandom } from '../../src/lib/random.ts'
import { BrokerProcess } from '../support/broker-process.ts'

const TICK_LOOKS = 100
const TICK_LOOK_MS = 200
const ROUNDS = 8
const TRAFFIC_MS_MAX = 150
const HOUR_MS = 3_600_000
const WINDOW = { arguments: { 'x-deduplication-window': 600_000 } }

interface Promised {
  /** Ids of which a publish was confirmed, and those whose last one was not. */
  readonly confirmed: Set<string>
  readonly open: string[]
  /** Ids of what waits: cancelled, which was confirmed. */
  readonly cancelled: Set<string>
  /** Confirmed, and never to be cancelled. */
  readonly waiting: Set<string>
  next: number
}

interface Client {
  readonly connection: ChannelModel
  readonly channel: ConfirmChannel
  /** Called when the connection is gone. */
  gone: () => void
}

async function opened(broker: BrokerProcess): Promise<Client> {
  const connection = await connect(`amqp://guest:guest@127.0.0.1:${broker.port}`)
  const channel = await connection.createConfirmChannel()
  for (const each of [connection, channel]) {
    each.on('error', () => {
      // The broker is killed on purpose.
    })
  }
  await channel.assertQueue('q', WINDOW)
  await channel.assertQueue('ticks')
  await channel.assertQueue('late')
  const client: Client = { connection, channel, gone: () => undefined }
  connection.on('close', () => client.gone())
  return client
}

/** Resolves with whether it was confirmed. */
async function send(
  client: Client,
  queue: string,
  body: string,
  options: Options.Publish,
): Promise<boolean> {
  return new Promise((resolve) => {
    client.gone = () => resolve(false)
    try {
      client.channel.sendToQueue(
        queue,
        Buffer.from(body),
        { persistent: true, ...options },
        (error) => {
          resolve(error === null || error === undefined)
        },
      )
    } catch {
      resolve(false)
    }
  })
}

/** What was not confirmed is sent again, and some of what was, until the broker is gone. */
async function traffic(client: Client, promised: Promised): Promise<void> {
  for (let turn = 0; turn < 5000; turn++) {
    const again = promised.open.pop()
    const id = again ?? `m${promised.next++}`
    promised.open.push(id)
    if (!(await send(client, 'q', id, { messageId: id }))) return
    promised.open.splice(promised.open.indexOf(id), 1)
    promised.confirmed.add(id)
    if (turn % 3 === 0 && !(await send(client, 'q', id, { messageId: id }))) return
    const headers = { 'x-deliver-after': HOUR_MS, 'x-schedule-id': id }
    if (!(await send(client, 'late', id, { headers }))) return
    if (turn % 2 === 0) {
      promised.waiting.add(id)
      continue
    }
    if (!(await send(client, 'late', '', { headers: { 'x-schedule-cancel': id } }))) return
    promised.cancelled.add(id)
  }
}

async function drained(channel: ConfirmChannel, queue: string): Promise<[string, string][]> {
  const taken: [string, string][] = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return taken
    const headers = message.properties.headers as Record<string, string> | undefined
    taken.push([message.content.toString(), String(headers?.['x-schedule-time'])])
  }
}

test('after kill -9 no id is there twice, nothing cancelled comes, each time came once', async (t) => {
  await using broker = new BrokerProcess({ args: ['--listen', 'http=off'] })
  const random = new SeededRandom(11)
  const promised: Promised = {
    ...{ confirmed: new Set(), open: [], cancelled: new Set(), waiting: new Set(), next: 0 },
  }
  for (let round = 0; round < ROUNDS; round++) {
    await broker.start()
    const client = await opened(broker)
    const cron = { 'x-schedule-id': 'tick', 'x-schedule-cron': '* * * * * *' }
    await send(client, 'ticks', 'tick', { headers: cron })
    const running = traffic(client, promised)
    await sleep(50 + random.integer(TRAFFIC_MS_MAX))
    await broker.kill()
    await running
  }
  await broker.start()
  const client = await opened(broker)
  const { channel } = client
  const bodies = (await drained(channel, 'q')).map(([body]) => body)
  assert.equal(new Set(bodies).size, bodies.length, 'an id is there twice')
  for (const id of promised.confirmed) assert.ok(bodies.includes(id), `${id} is missing`)
  const ticks: string[] = []
  // The rounds may all have been too short for one.
  for (let left = TICK_LOOKS; left > 0 && ticks.length < 2; left--) {
    ticks.push(...(await drained(channel, 'ticks')).map(([, time]) => time))
    await sleep(TICK_LOOK_MS)
  }
  assert.equal(new Set(ticks).size, ticks.length, 'a time came twice')
  assert.ok(ticks.length > 1, 'no time came')
  // A cancellation of what does not wait comes back.
  const returned = new Set<string>()
  channel.on('return', ({ content }) => returned.add(content.toString()))
  for (const id of [...promised.waiting, ...promised.cancelled]) {
    const headers = { 'x-schedule-cancel': id }
    assert.ok(await send(client, 'late', id, { mandatory: true, headers }))
  }
  for (const id of promised.waiting) assert.ok(!returned.has(id), `${id} does not wait any more`)
  for (const id of promised.cancelled) assert.ok(returned.has(id), `${id} waits although cancelled`)
  assert.ok(promised.confirmed.size > ROUNDS && promised.cancelled.size > ROUNDS)
  t.diagnostic(`${promised.confirmed.size} ids, ${promised.cancelled.size} cancelled`)
  await client.connection.close()
})
