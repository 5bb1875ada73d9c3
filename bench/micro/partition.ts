/**
 * Batches into partitions and out of them: `node bench/micro/partition.ts [DIRECTORY]`.
 *
 * One line per case: messages and megabytes a second, produced and on disk, and read again. The
 * directory is a fresh one in the system's temporary folder unless named; it is removed afterwards.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { BatchDraft, Broker, type Partition, Topic } from '../../src/broker/index.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import { queueSpec } from '../../test/support/broker-rig.ts'
import { TEST_FORM, TEST_FORM_ID } from '../../test/support/test-batches.ts'

interface Case {
  readonly title: string
  readonly partitions: number
  readonly batchBytes: number
  readonly messages: number
  readonly batches: number
  /** How many batches a partition gets in one turn. */
  readonly perTurn: number
}

const CASES: readonly Case[] = [
  {
    title: '1 partition, 16 KiB',
    partitions: 1,
    batchBytes: 16 << 10,
    messages: 160,
    batches: 40_000,
    perTurn: 16,
  },
  {
    title: '1 partition, 1 KiB',
    partitions: 1,
    batchBytes: 1 << 10,
    messages: 10,
    batches: 100_000,
    perTurn: 100,
  },
  {
    title: '100 partitions, 16 KiB',
    partitions: 100,
    batchBytes: 16 << 10,
    messages: 160,
    batches: 20_000,
    perTurn: 1,
  },
]

async function produce(
  broker: Broker,
  partitions: readonly Partition[],
  plan: Case,
): Promise<void> {
  const bytes = Buffer.alloc(plan.batchBytes, 7)
  const draft = new BatchDraft()
  draft.form = TEST_FORM_ID
  draft.setBytes(bytes, 0, bytes.length)
  draft.count = plan.messages
  draft.producerId = 1
  draft.producerEpoch = 0
  const sent = partitions.map(() => 0)
  for (let left = plan.batches; left > 0;) {
    for (const [at, partition] of partitions.entries()) {
      for (let count = 0; count < plan.perTurn; count++) {
        draft.baseSequence = sent[at]!
        sent[at]! += plan.messages
        if (partition.produce(draft).kind !== 'appended') throw new Error('a batch was refused')
        left--
      }
    }
    // As with real producers, the next turn does not wait for the disk until too much is open.
    if (broker.pressure.overloaded) await stored(broker)
    else await new Promise((resolve) => setImmediate(resolve))
  }
  await stored(broker)
}

function stored(broker: Broker): Promise<void> {
  return new Promise((resolve, reject) => {
    broker.onCommit({
      committed: (_ticket, error) => {
        if (error === null) resolve()
        else reject(error)
      },
    })
  })
}

function readAll(partition: Partition): Promise<number> {
  return new Promise((resolve, reject) => {
    let messages = 0
    const next = (offset: number): void => {
      if (offset >= partition.highWatermark) {
        resolve(messages)
        return
      }
      partition.readFrom(offset, 1024 * 1024, (error, pieces) => {
        if (error !== null) {
          reject(error)
          return
        }
        for (const { baseOffset, nextOffset } of pieces) messages += nextOffset - baseOffset
        setImmediate(next, pieces.at(-1)!.nextOffset)
      })
    }
    next(0)
  })
}

function rates(plan: Case, ms: number): string {
  const messages = (plan.batches * plan.messages) / ms / 1000
  const bytes = (plan.batches * plan.batchBytes) / ms / 1000
  return `${messages.toFixed(2)} M messages/s ${bytes.toFixed(0)} MB/s`
}

const directory = process.argv[2] ?? (await mkdtemp(path.join(tmpdir(), 'waystation-bench-')))
try {
  const engine = await openEmbeddedEngine({ directory, clock: systemClock })
  const log = { info: () => {}, warn: console.error, error: console.error }
  const random = new SeededRandom(1)
  const broker = await Broker.open({ engine, clock: systemClock, random, turn: new Turn(), log })
  broker.registerForm(TEST_FORM)
  for (const plan of CASES) {
    const spec = queueSpec(plan.title, {}, { profile: 'topic', partitionCount: plan.partitions })
    const topic = await broker.vhost('/')!.declareQueue(spec)
    if (!(topic instanceof Topic)) throw new Error('it is no topic')
    let startedMs = performance.now()
    await produce(broker, topic.partitions, plan)
    const produced = rates(plan, performance.now() - startedMs)
    startedMs = performance.now()
    for (const partition of topic.partitions) await readAll(partition)
    const read = rates(plan, performance.now() - startedMs)
    console.log(`${plan.title.padEnd(24)} produce ${produced.padEnd(32)} read ${read}`)
    await broker.vhost('/')!.deleteDestination(plan.title, { ifUnused: false, ifEmpty: false })
  }
  await broker.close()
  await engine.close()
} finally {
  await rm(directory, { recursive: true, force: true })
}
