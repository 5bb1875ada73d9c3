/**
 * Producers and consumers of somebody else's library, idempotent and transactional, while the
 * broker is killed again and again: nothing acknowledged is lost, nothing is stored twice, what was
 * aborted is never seen, and committed positions never go back.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Producer } from 'kafkajs'
import { SeededRandom } from '../../src/lib/random.ts'
import { KafkaRig, PARTITION_COUNT, TOPIC } from './kafka-rig.ts'

const ROUNDS = Number(process.env['WAYSTATION_KILL_ROUNDS'] ?? 8)
const SEED = Number(process.env['WAYSTATION_KILL_SEED'] ?? 0) * 10 + 1
const PRODUCERS = ['a', 'b', 'c']
const MESSAGES_MAX = 20

test(`kill -9 and idempotent producers: each message once, seed ${SEED}`, async (t) => {
  await using rig = await KafkaRig.start()
  const random = new SeededRandom(SEED)
  const ledger = new Ledger()
  const loops = Promise.all(
    PRODUCERS.map(async (name) => produceLoop(rig, name, { ledger, random })),
  )
  loops.catch(() => {
    // It is waited for below; until then something else may have failed.
  })
  const commits = new Commits(rig)
  await commits.begin()
  await rig.killRounds(ROUNDS, random, {
    progress: () => commits.count,
    started: async () => commits.check(),
  })
  await loops
  ledger.check(await rig.readAll())
  t.diagnostic(`${ROUNDS} kills, ${ledger.count} acknowledged, ${commits.count} commits`)
  assert.ok(ledger.count > ROUNDS * PRODUCERS.length, 'hardly anything was acknowledged')
  assert.ok(commits.count > ROUNDS, 'hardly anything was committed')
})

test(`kill -9 and transactions: whole or not at all, seed ${SEED}`, async (t) => {
  await using rig = await KafkaRig.start()
  const random = new SeededRandom(SEED)
  const runs = PRODUCERS.map((name) => new TransactionRun(rig, name, random))
  const loops = Promise.all(runs.map(async (run) => run.loop()))
  await rig.killRounds(ROUNDS, random, {
    progress: () => runs.reduce((sum, { answeredCount }) => sum + answeredCount, 0),
    started: async () => {
      for (const run of runs) await run.checkPosition()
    },
  })
  await loops
  const counts = { committed: 0, aborted: 0, unknown: 0 }
  for (const run of runs) {
    await run.settle()
    await run.checkPosition()
  }
  const found = await rig.readAll()
  for (const run of runs) run.check(found, counts)
  t.diagnostic(`${ROUNDS} kills, ${JSON.stringify(counts)}`)
  assert.ok(counts.committed > ROUNDS, 'hardly anything was committed')
  assert.ok(counts.aborted > 0, 'nothing was aborted')
})

// --- messages ---

/** What was sent and what was acknowledged, each as `producer:number` in a partition. */
class Ledger {
  readonly #sent: Set<string> = new Set()
  readonly #acknowledged: Map<string, number> = new Map()

  get count(): number {
    return this.#acknowledged.size
  }

  sent(value: string): void {
    this.#sent.add(value)
  }

  acknowledged(value: string, partition: number): void {
    this.#acknowledged.set(value, partition)
  }

  check(found: readonly (readonly string[])[]): void {
    const seen = new Set<string>()
    const last = new Map<string, number>()
    for (const [partition, values] of found.entries()) {
      for (const value of values) {
        assert.ok(this.#sent.has(value), `nobody sent ${value}`)
        assert.ok(!seen.has(value), `${value} is stored twice`)
        seen.add(value)
        const [producer, number] = value.split(':')
        const before = last.get(`${producer}/${partition}`) ?? -1
        assert.ok(before < Number(number), `${value} comes after ${before}`)
        last.set(`${producer}/${partition}`, Number(number))
      }
    }
    for (const [value, partition] of this.#acknowledged) {
      assert.ok(found[partition]!.includes(value), `${value} was acknowledged and is lost`)
    }
  }
}

/** One request at a time: the library mixes sequences up when one of several fails. */
async function produceLoop(
  rig: KafkaRig,
  name: string,
  { ledger, random }: { readonly ledger: Ledger; readonly random: SeededRandom },
): Promise<void> {
  const producer = await rig.producer()
  let next = 0
  while (!rig.isOver) {
    const messages = Array.from({ length: 1 + random.integer(MESSAGES_MAX) }, () => {
      return { value: `${name}:${next++}`, partition: random.integer(PARTITION_COUNT) }
    })
    for (const { value } of messages) ledger.sent(value)
    await producer.send({ topic: TOPIC, acks: -1, messages })
    for (const { value, partition } of messages) ledger.acknowledged(value, partition)
  }
}

/** A consumer that commits what it read, and what the broker said to that. */
class Commits {
  /** Commits that were answered. */
  count = 0
  readonly #rig: KafkaRig
  /** The highest position that was answered, by partition. */
  readonly #answered: number[] = Array.from({ length: PARTITION_COUNT }, () => -1)

  constructor(rig: KafkaRig) {
    this.#rig = rig
  }

  async begin(): Promise<void> {
    const consumer = await this.#rig.consumer('committer')
    consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload: { topics } }) => {
      for (const { partition, offset } of topics.flatMap(({ partitions }) => partitions)) {
        const at = Number(partition)
        this.#answered[at] = Math.max(this.#answered[at]!, Number(offset))
        this.count++
      }
    })
    await consumer.run({
      eachBatch: async () => {
        // What it was given is committed when this ends.
      },
    })
  }

  async check(): Promise<void> {
    // As it was when the broker was killed: more may be answered while this asks.
    const answered = [...this.#answered]
    const stored = await positions(this.#rig, 'committer')
    for (const [partition, offset] of answered.entries()) {
      assert.ok(
        stored[partition]! >= offset,
        `partition ${partition} was committed at ${offset} and is at ${stored[partition]}`,
      )
    }
  }
}

async function positions(rig: KafkaRig, groupId: string): Promise<number[]> {
  const admin = await rig.admin()
  const [topic] = await admin.fetchOffsets({ groupId, topics: [TOPIC] })
  await admin.disconnect()
  const found = Array.from({ length: PARTITION_COUNT }, () => -1)
  for (const { partition, offset } of topic?.partitions ?? []) found[partition] = Number(offset)
  return found
}

// --- transactions ---

interface Known {
  readonly number: number
  /** By partition, how many messages. */
  readonly counts: readonly number[]
  asked: 'nothing' | 'commit' | 'abort'
  isAnswered: boolean
}

/** A transactional producer that writes to partitions and commits a position, again and again. */
class TransactionRun {
  readonly #rig: KafkaRig
  readonly #name: string
  readonly #random: SeededRandom
  readonly #all: Known[] = []
  #producer: Producer | null = null
  /** The position that was found last. */
  #position = -1

  constructor(rig: KafkaRig, name: string, random: SeededRandom) {
    this.#rig = rig
    this.#name = name
    this.#random = random
  }

  get answeredCount(): number {
    return this.#all.filter(({ isAnswered }) => isAnswered).length
  }

  get #groupId(): string {
    return `positions of ${this.#name}`
  }

  async loop(): Promise<void> {
    while (!this.#rig.isOver) {
      const counts = Array.from({ length: PARTITION_COUNT }, (): number => this.#random.integer(4))
      if (Math.max(...counts) === 0) counts[0] = 1
      const known: Known = { number: this.#all.length, counts, asked: 'nothing', isAnswered: false }
      this.#all.push(known)
      try {
        await this.#runOne(known)
      } catch {
        // The broker was killed in the middle: the next one begins with a new producer.
        await this.#producer?.disconnect().catch(() => {
          // It is of no use any more.
        })
        this.#producer = null
      }
    }
  }

  async #runOne(known: Known): Promise<void> {
    this.#producer ??= await this.#rig.producer(`transactions of ${this.#name}`)
    const transaction = await this.#producer.transaction()
    const messages = known.counts.flatMap((count, partition) => {
      return Array.from({ length: count }, () => {
        return { partition, value: `${this.#name}:${known.number}` }
      })
    })
    await transaction.send({ topic: TOPIC, acks: -1, messages })
    const partitions = [{ partition: 0, offset: String(known.number) }]
    await transaction.sendOffsets({
      consumerGroupId: this.#groupId,
      topics: [{ topic: TOPIC, partitions }],
    })
    known.asked = this.#random.integer(3) === 0 ? 'abort' : 'commit'
    if (known.asked === 'commit') await transaction.commit()
    else await transaction.abort()
    known.isAnswered = true
  }

  /** A new producer comes, so that nothing is open any more. */
  async settle(): Promise<void> {
    const producer = await this.#rig.producer(`transactions of ${this.#name}`)
    const transaction = await producer.transaction()
    await transaction.abort()
  }

  /** It is that of the last committed transaction, or of a later one of which nobody was told. */
  async checkPosition(): Promise<void> {
    const answered = this.#all.filter(({ asked, isAnswered }) => asked === 'commit' && isAnswered)
    const least = answered.at(-1)?.number ?? -1
    const [position] = await positions(this.#rig, this.#groupId)
    assert.ok(position! >= least, `${this.#name} committed ${least} and is at ${position}`)
    assert.ok(position! >= this.#position, `${this.#name} was at ${this.#position}`)
    if (position! >= 0) assert.equal(this.#all[position!]!.asked, 'commit')
    this.#position = position!
  }

  check(
    found: readonly (readonly string[])[],
    counts: { committed: number; aborted: number; unknown: number },
  ): void {
    const seen = found.map((values) => {
      const numbers = new Map<number, number>()
      for (const value of values) {
        const [name, number] = value.split(':')
        if (name !== this.#name) continue
        numbers.set(Number(number), (numbers.get(Number(number)) ?? 0) + 1)
      }
      return numbers
    })
    for (const known of this.#all) {
      const what = `transaction ${this.#name}:${known.number}, ${known.asked}`
      const there = seen.map((numbers) => numbers.get(known.number) ?? 0)
      const isThere = there.some((count) => count > 0)
      if (isThere) assert.deepEqual(there, known.counts, `${what} is not whole`)
      if (known.asked !== 'commit') assert.ok(!isThere, `${what} is seen`)
      else if (known.isAnswered) assert.ok(isThere, `${what} is lost`)
      if (!known.isAnswered) counts.unknown++
      else if (isThere) counts.committed++
      else counts.aborted++
    }
  }
}
