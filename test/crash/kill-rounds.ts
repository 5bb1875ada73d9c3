import { setTimeout as sleep } from 'node:timers/promises'
import amqplib from 'amqplib'
import { SeededRandom } from '../../src/lib/random.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { RawClient } from '../support/raw-client.ts'
import type { Target } from '../support/target.ts'
import { Ledger } from './ledger.ts'

const TRAFFIC_MS_MAX = 150
const IN_FLIGHT_MAX = 200
const CONFIRMED_WITHIN_MS = 30_000

/** What a run of rounds did, so that a run that tested nothing is seen. */
export interface KillReport {
  readonly rounds: number
  readonly confirmed: number
}

/**
 * Runs one broker through `rounds` of traffic on one data directory, each ended by SIGKILL at a
 * random moment; then drains every queue and compares it with what was promised.
 */
export async function runKillRounds(seed: number, rounds: number): Promise<KillReport> {
  await using broker = new BrokerProcess({ args: ['--listen', 'http=off'] })
  const random = new SeededRandom(seed)
  const ledgers = new Map(['q0', 'q1', 'q2'].map((name) => [name, new Ledger()]))
  for (let round = 0; round < rounds; round++) {
    await broker.start()
    const target = targetOf(broker)
    const before = confirmedIn(ledgers)
    const traffic = await startTraffic(target, ledgers, random)
    // Some are killed before they confirm anything; of a machine with other work it might be all.
    if (random.integer(4) > 0) await confirmedMore(ledgers, before)
    await sleep(random.integer(TRAFFIC_MS_MAX))
    await broker.kill()
    await traffic.ended()
  }
  await broker.start()
  let confirmed = 0
  for (const [queue, ledger] of ledgers) {
    const drained = await drain(targetOf(broker), queue)
    confirmed += ledger.verify(drained, `seed ${seed}, queue ${queue}`)
  }
  return { rounds, confirmed }
}

function confirmedIn(ledgers: ReadonlyMap<string, Ledger>): number {
  return [...ledgers.values()].reduce((sum, { confirmedCount }) => sum + confirmedCount, 0)
}

async function confirmedMore(ledgers: ReadonlyMap<string, Ledger>, before: number): Promise<void> {
  const deadlineMs = performance.now() + CONFIRMED_WITHIN_MS
  while (confirmedIn(ledgers) === before) {
    if (performance.now() > deadlineMs) throw new Error('nothing is confirmed any more')
    await sleep(1)
  }
}

function targetOf(broker: BrokerProcess): Target {
  const { port } = broker
  const url = `amqp://guest:guest@127.0.0.1:${port}`
  return { url, host: '127.0.0.1', port, user: 'guest', password: 'guest', process: broker }
}

interface Traffic {
  /** Resolves when every loop has seen that the broker is gone; rejects with a broken promise. */
  ended(): Promise<void>
}

async function startTraffic(
  target: Target,
  ledgers: ReadonlyMap<string, Ledger>,
  random: SeededRandom,
): Promise<Traffic> {
  const connection = await amqplib.connect(target.url)
  connection.on('error', () => {
    // The broker is killed on purpose.
  })
  const channel = await connection.createConfirmChannel()
  channel.on('error', () => {
    // As above.
  })
  let over = false
  connection.on('close', () => {
    over = true
  })
  for (const queue of ledgers.keys()) await channel.assertQueue(queue, { durable: true })
  const loops: Promise<void>[] = []
  for (const [queue, ledger] of ledgers) {
    loops.push(publishLoop(channel, queue, ledger, () => over))
    loops.push(settleLoop(target, queue, ledger, random))
  }
  return {
    ended: async () => {
      over = true
      await Promise.all(loops)
    },
  }
}

async function publishLoop(
  channel: amqplib.ConfirmChannel,
  queue: string,
  ledger: Ledger,
  isOver: () => boolean,
): Promise<void> {
  let inFlight = 0
  while (!isOver()) {
    while (inFlight < IN_FLIGHT_MAX && !isOver()) {
      const body = ledger.next()
      inFlight++
      try {
        channel.sendToQueue(queue, Buffer.from(body), { persistent: true }, (error: unknown) => {
          inFlight--
          if (error === null || error === undefined) ledger.confirmed(body)
        })
      } catch {
        // The channel closed under us: this one was never sent.
        return
      }
    }
    await sleep(1)
  }
}

/** Takes messages one by one in transactions: whatever is committed is settled for good. */
async function settleLoop(
  target: Target,
  queue: string,
  ledger: Ledger,
  random: SeededRandom,
): Promise<void> {
  let client: RawClient | null = null
  const broken: Error[] = []
  try {
    client = await RawClient.open(target)
    await client.openChannel(1)
    client.sendMethod(1, { name: 'tx.select' })
    await client.method('tx.select-ok')
    for (let turn = 0; turn < 2_000; turn++) {
      const taken: string[] = []
      for (let count = 1 + random.integer(4); count > 0; count--) {
        client.sendMethod(1, { name: 'basic.get', queue })
        const answer = await client.next()
        if (answer?.kind !== 'method' || answer.method.name !== 'basic.get-ok') break
        const { body } = await client.content()
        const text = body.toString()
        try {
          ledger.seen(text)
        } catch (error) {
          broken.push(error as Error)
        }
        client.sendMethod(1, { name: 'basic.ack', deliveryTag: answer.method.deliveryTag })
        ledger.acked(text)
        taken.push(text)
      }
      client.sendMethod(1, { name: 'tx.commit' })
      await client.method('tx.commit-ok')
      for (const text of taken) ledger.settled(text)
      await sleep(random.integer(5))
    }
  } catch {
    // The broker was killed in the middle; what it had not said stays open in the ledger.
  } finally {
    client?.destroy()
  }
  if (broken[0] !== undefined) throw broken[0]
}

async function drain(target: Target, queue: string): Promise<string[]> {
  const connection = await amqplib.connect(target.url)
  const channel = await connection.createChannel()
  const { messageCount } = await channel.checkQueue(queue)
  const bodies: string[] = []
  await new Promise<void>((resolve, reject) => {
    if (messageCount === 0) resolve()
    connection.on('error', reject)
    channel
      .consume(queue, (message) => {
        if (message === null) return
        bodies.push(message.content.toString())
        if (bodies.length === messageCount) resolve()
      })
      .catch(reject)
  })
  await connection.close()
  return bodies
}
