import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BrokerRig, turns } from '../../../test/support/broker-rig.ts'
import {
  declareTopic,
  openTopicBroker,
  read,
  textOf,
  topicOf,
} from '../../../test/support/partition-rig.ts'
import { bodies, TEST_FORM_ID, testBatch } from '../../../test/support/test-batches.ts'
import { openEmbeddedEngine } from '../../engine/embedded/index.ts'
import { ManualClock } from '../../lib/clock.ts'
import { SeededRandom } from '../../lib/random.ts'
import { FaultyDisk } from '../../storage/disk-faulty.ts'
import type { Partition } from './partition.ts'
import type { ProducerOutcome } from './transactions.ts'

const PARTITIONS = [0, 1, 2]
const NAMES = ['one', 'two']
const TIMEOUT_MS = 60_000

async function openOn(disk: FaultyDisk, clock: ManualClock): Promise<BrokerRig> {
  return openTopicBroker({ engine: await openEmbeddedEngine({ disk, clock }), clock })
}

/** One transaction as the test knows it. */
interface Known {
  readonly producer: string
  readonly number: number
  readonly partitions: readonly number[]
  readonly hasPosition: boolean
  /** How its end was asked for. */
  asked: 'nothing' | 'commit' | 'abort'
  isAnswered: boolean
}

/** A producer that runs one transaction after the other. */
class Producer {
  readonly name: string
  identity!: ProducerOutcome
  current: Known | null = null
  readonly sequences = new Map<number, number>()

  constructor(name: string) {
    this.name = name
  }

  init({ vhost }: BrokerRig): void {
    const given = { timeoutMs: TIMEOUT_MS, form: TEST_FORM_ID }
    this.identity = vhost.transactions.init(this.name, given)
    assert.equal(this.identity.result, 'ok')
    this.current = null
    this.sequences.clear()
  }

  begin(rig: BrokerRig, number: number, random: SeededRandom): Known {
    const { transactions } = rig.vhost
    const topic = topicOf(rig, 't')
    const partitions = PARTITIONS.filter(() => random.integer(3) > 0)
    const hasPosition = random.integer(2) === 0
    const facts = { producer: this.name, number, partitions, hasPosition }
    const known: Known = { ...facts, asked: 'nothing', isAnswered: false }
    const places = partitions.map((partition) => ({ topicId: topic.id, partition }))
    assert.equal(transactions.addPartitions(this.name, this.identity, places), 'ok')
    for (const partition of partitions) this.#write(topic.partitions[partition]!, number)
    if (hasPosition) {
      const positions = [{ topicId: topic.id, partition: 0, offset: number }]
      const given = { subscription: `of ${this.name}`, positions, adds: true }
      assert.equal(transactions.commitPositions(this.name, this.identity, given), 'ok')
    }
    this.current = known
    return known
  }

  end(rig: BrokerRig, random: SeededRandom): void {
    const known = this.current!
    const isCommit = random.integer(3) > 0
    const bumps = random.integer(2) === 0
    this.current = null
    // Without anything in it there is no transaction.
    if (known.partitions.length === 0 && !known.hasPosition) return
    const { transactions } = rig.vhost
    const outcome = transactions.end(this.name, this.identity, { isCommit, bumps })
    assert.equal(outcome.result, 'ok')
    if (bumps) this.sequences.clear()
    this.identity = outcome
    known.asked = isCommit ? 'commit' : 'abort'
    rig.broker.onCommit({
      committed: (_ticket, error) => {
        if (error === null) known.isAnswered = true
      },
    })
  }

  #write(partition: Partition, number: number): void {
    const baseSequence = this.sequences.get(partition.index) ?? 0
    const { producerId, producerEpoch } = this.identity
    const says = { producerId, producerEpoch, baseSequence, isTransactional: true }
    const outcome = partition.produce(testBatch(bodies(`${number}`, `${number}`), says))
    assert.equal(outcome.kind, 'appended')
    this.sequences.set(partition.index, baseSequence + 2)
  }
}

/** Numbers of the transactions that a reader of what is committed sees, in order, each twice. */
async function visible(partition: Partition): Promise<number[]> {
  const found: number[] = []
  for (const piece of await read(partition, 0, { below: partition.stableOffset })) {
    if (piece.isMarker || partition.isAborted(piece.producerId, piece.baseOffset)) continue
    const [first, second] = textOf(piece).split(': ')[1]!.split(' ')
    assert.equal(first, second)
    found.push(Number(first))
  }
  return found
}

/** Whether a transaction counts, after a restart that nobody answers any more; null: not known. */
function fateOf({ partitions, asked, isAnswered }: Known, isThere: boolean): boolean | null {
  if (asked !== 'commit') return false
  if (partitions.length > 0) return isThere
  return isAnswered ? true : null
}

async function check(rig: BrokerRig, all: readonly Known[], producers: Producer[]): Promise<void> {
  const topic = topicOf(rig, 't')
  const seen: number[][] = []
  for (const partition of topic.partitions) {
    assert.equal(partition.stableOffset, partition.highWatermark, 'nothing is left open')
    seen.push(await visible(partition))
  }
  for (const { name } of producers) {
    const position = rig.vhost.subscriptions.position(`of ${name}`, topic.id, 0)?.offset ?? -1
    let possible = [-1]
    for (const known of all) {
      if (known.producer !== name) continue
      const { number, partitions, asked, isAnswered } = known
      const counts = PARTITIONS.map((at) => seen[at]!.filter((each) => each === number).length)
      const isThere = partitions.length > 0 && counts[partitions[0]!] === 1
      const expected = PARTITIONS.map((at) => (isThere && partitions.includes(at) ? 1 : 0))
      assert.deepEqual(counts, expected, `transaction ${number} is whole and there once, or not`)
      if (asked !== 'commit') assert.equal(isThere, false, `transaction ${number} was given up`)
      else if (isAnswered && partitions.length > 0) assert.ok(isThere, `${number} was committed`)
      const fate = fateOf(known, isThere)
      if (known.hasPosition && fate !== false) possible = fate ? [number] : [...possible, number]
      // What became of it is known now, and stays so.
      known.asked = (fate ?? position >= number) ? 'commit' : 'abort'
      known.isAnswered = true
    }
    assert.ok(possible.includes(position), `${name} is at ${position}, not ${possible.join()}`)
  }
}

test('transactions are whole or not at all over kills and power cuts', async () => {
  // The world may kill the process or cut the power after any turn and in the middle of what the
  // disk does. Producers come back, so what they left open is given up.
  for (let seed = 1; seed <= 25; seed++) {
    const random = new SeededRandom(seed)
    const clock = new ManualClock()
    let disk = new FaultyDisk()
    let rig = await openOn(disk, clock)
    await declareTopic(rig, 't', { partitionCount: PARTITIONS.length })
    const producers = NAMES.map((name) => new Producer(name))
    const all: Known[] = []
    for (let life = 0; life < 4; life++) {
      for (const producer of producers) producer.init(rig)
      await turns(30)
      await check(rig, all, producers)
      for (let step = random.integer(30); step > 0; step--) {
        const producer = producers[random.integer(producers.length)]!
        if (producer.current !== null) producer.end(rig, random)
        else all.push(producer.begin(rig, all.length, random))
        if (random.integer(2) === 0) await turns(random.integer(6))
      }
      const found = random.integer(2) === 0 ? disk.killed() : disk.powerCut(random)
      disk.changesLeft = 0
      disk = found
      rig = await openOn(disk, clock)
    }
    await rig.broker.close()
  }
})

test('what nobody ended is aborted in time after a restart, and readers go on', async () => {
  const clock = new ManualClock()
  const disk = new FaultyDisk()
  const first = await openOn(disk, clock)
  await declareTopic(first, 't', { partitionCount: PARTITIONS.length })
  const producer = new Producer('one')
  producer.init(first)
  const { partitions } = producer.begin(first, 1, new SeededRandom(3))
  assert.ok(partitions.length > 0)
  await turns(20)
  const rig = await openOn(disk.killed(), clock)
  const partition = topicOf(rig, 't').partitions[partitions[0]!]!
  assert.equal(partition.stableOffset, 0)
  clock.advance(TIMEOUT_MS)
  await turns(20)
  assert.equal(partition.stableOffset, partition.highWatermark)
  assert.deepEqual(await visible(partition), [])
  assert.deepEqual(rig.complaints, [])
})

test('what is open in a partition and part of no transaction is aborted', async () => {
  const rig = await openTopicBroker()
  const [partition] = (await declareTopic(rig, 't')).partitions
  new Producer('any').init(rig)
  const says = { producerId: 77, producerEpoch: 3, baseSequence: 0, isTransactional: true }
  partition!.produce(testBatch(bodies('x', 'x'), says))
  await turns()
  assert.equal(partition!.stableOffset, 0)
  rig.clock.advance(3_600_000)
  await turns()
  assert.equal(partition!.stableOffset, 3)
  assert.deepEqual(await visible(partition!), [])
  assert.deepEqual(rig.complaints, ['a transaction was aborted that nobody could have ended'])
})
