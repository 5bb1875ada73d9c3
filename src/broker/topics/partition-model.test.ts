import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type BrokerRig, openBroker, publish, turns } from '../../../test/support/broker-rig.ts'
import { declareTopic, read, textOf, topicOf } from '../../../test/support/partition-rig.ts'
import { TEST_FORM, TEST_FORM_ID, testBatch } from '../../../test/support/test-batches.ts'
import { openEmbeddedEngine } from '../../engine/embedded/index.ts'
import { ManualClock } from '../../lib/clock.ts'
import { SeededRandom } from '../../lib/random.ts'
import { FaultyDisk } from '../../storage/disk-faulty.ts'
import type { Partition } from './partition.ts'
import type { Piece } from './piece.ts'

const ENGINE_LIMITS = { segmentBytes: 2048, journalBytesMax: 4096, diskFreeBytesMin: 0 }
/** So small that everything that happens rarely happens often. */
const LIMITS = {
  entryBytes: 300,
  partitionReplayBytesMax: 500,
  partitionStretchesMax: 6,
  partitionStretchBytes: 200,
  snapshotPieceBytes: 100,
}
const PRODUCERS = [1, 2, 3]

/** Something that stands in the log. */
interface Item {
  readonly base: number
  readonly times: readonly number[]
  readonly text: string
  readonly producerId: number
  readonly sequence: number
  readonly epoch: number
  readonly inTransaction: boolean
  readonly marker: 'commit' | 'abort' | null
}

/** What a partition is: a list; all else is looked up in it, slowly. */
class Model {
  items: Item[] = []
  start = 0
  ackedEnd = 0
  ackedStart = 0

  get end(): number {
    const last = this.items.at(-1)
    return last === undefined ? 0 : last.base + last.times.length
  }

  of(producerId: number): Item[] {
    return this.items.filter((item) => item.producerId === producerId)
  }

  epochOf(producerId: number): number {
    return this.of(producerId).at(-1)?.epoch ?? -1
  }

  /** The sequence that must come next in the present epoch; null where any may. */
  nextSequence(producerId: number): number | null {
    const own = this.of(producerId)
    if (own.length === 0) return null
    const epoch = own.at(-1)!.epoch
    const last = own.findLast((item) => item.marker === null && item.epoch === epoch)
    return last === undefined ? 0 : last.sequence + last.times.length
  }

  firstOpen(producerId: number): number {
    const own = this.of(producerId)
    const markerAt = own.findLastIndex(({ marker }) => marker !== null)
    return own.find((item, at) => at > markerAt && item.inTransaction)?.base ?? -1
  }

  stable(committed: number): number {
    let stable = committed
    for (const producerId of PRODUCERS) {
      const own = this.of(producerId)
      let first = -1
      for (const { base, inTransaction, marker } of own) {
        if (marker !== null) {
          if (base >= committed && first >= 0) stable = Math.min(stable, first)
          first = -1
        } else if (inTransaction && first < 0) first = base
      }
      if (first >= 0) stable = Math.min(stable, first)
    }
    return stable
  }

  aborted(): { producerId: number; firstOffset: number }[] {
    const found: { producerId: number; firstOffset: number }[] = []
    for (const producerId of PRODUCERS) {
      let first = -1
      for (const { base, inTransaction, marker } of this.of(producerId)) {
        if (marker !== null) {
          const isKept = marker === 'abort' && first >= 0 && base >= this.start
          if (isKept) found.push({ producerId, firstOffset: first })
          first = -1
        } else if (inTransaction && first < 0) first = base
      }
    }
    return found.sort((one, other) => one.firstOffset - other.firstOffset)
  }

  *times(): Iterable<{ offset: number; timestampMs: number }> {
    for (const { base, times, marker } of this.items) {
      if (marker !== null) continue
      for (const [at, timestampMs] of times.entries()) {
        if (base + at >= this.start) yield { offset: base + at, timestampMs }
      }
    }
  }
}

type Step =
  | { readonly kind: 'produce'; readonly producer: number; readonly times: number[]; how: string }
  | { readonly kind: 'transact'; readonly producer: number; readonly times: number[] }
  | { readonly kind: 'end'; readonly producer: number; readonly isCommit: boolean; bumps: boolean }
  | { readonly kind: 'publish' }
  | { readonly kind: 'delete'; readonly part: number }
  | { readonly kind: 'crash'; readonly seed: number; readonly changes: number }
  | { readonly kind: 'restart' }

const producer = fc.constantFrom(-1, ...PRODUCERS)
const times = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 4 })
const how = fc.constantFrom('next', 'next', 'next', 'again', 'gap', 'epoch', 'old')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('produce'), producer, times, how }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('transact'),
      producer: fc.constantFrom(...PRODUCERS),
      times,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('end'),
      producer: fc.constantFrom(...PRODUCERS),
      isCommit: fc.boolean(),
      bumps: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('publish') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('delete'),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('crash'), seed: fc.nat(), changes: fc.nat(30) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart') }) },
) as fc.Arbitrary<Step>

class World {
  readonly model = new Model()
  readonly clock = new ManualClock()
  disk: FaultyDisk = new FaultyDisk()
  rig!: BrokerRig
  partition!: Partition
  #number = 0

  async open(): Promise<void> {
    const { disk, clock } = this
    const engine = await openEmbeddedEngine({ disk, clock, ...ENGINE_LIMITS })
    this.rig = await openBroker({ engine, clock, limits: LIMITS })
    this.rig.broker.registerForm(TEST_FORM)
    if (this.rig.vhost.destination('t') === undefined) await declareTopic(this.rig, 't')
    this.partition = topicOf(this.rig, 't').partitions[0]!
  }

  async run(step: Step): Promise<void> {
    if (step.kind === 'produce') this.#produce(step.producer, step.times, step.how)
    else if (step.kind === 'transact') this.#transact(step.producer, step.times)
    else if (step.kind === 'end') this.#end(step)
    else if (step.kind === 'publish') this.#publish()
    else if (step.kind === 'delete') await this.#delete(step.part)
    else if (step.kind === 'crash') await this.#crash(step.seed, step.changes)
    else await this.#restart()
    this.#acknowledge()
    await turns(1)
  }

  /** What is answered must be there after whatever comes. */
  #acknowledge(): void {
    const { model } = this
    const { end, start } = model
    this.rig.broker.requireSync()
    this.rig.broker.onCommit({
      committed: (_ticket, error) => {
        if (error !== null) return
        model.ackedEnd = Math.max(model.ackedEnd, end)
        model.ackedStart = Math.max(model.ackedStart, start)
      },
    })
  }

  #batch(producerId: number, times: readonly number[], says: object): ReturnType<typeof testBatch> {
    const text = String(this.#number++)
    const messages = times.map((timestampMs) => ({ body: text, timestampMs }))
    return testBatch(messages, { producerId, ...says })
  }

  #produce(producerId: number, times: readonly number[], how: string): void {
    const { model, partition } = this
    if (producerId < 0) {
      const outcome = partition.produce(this.#batch(-1, times, {}))
      this.#wrote(outcome, { producerId, times, sequence: -1, epoch: -1, inTransaction: false })
      return
    }
    const next = model.nextSequence(producerId)
    const known = model.epochOf(producerId)
    const batches = model.of(producerId).filter((item) => item.marker === null)
    const last = batches.findLast((item) => item.epoch === known)
    if (how === 'again' && last !== undefined && last.sequence >= 0) {
      const says = { producerEpoch: last.epoch, baseSequence: last.sequence }
      const draft = this.#batch(producerId, last.times, says)
      assert.deepEqual(partition.produce(draft), { kind: 'duplicate', baseOffset: last.base })
      return
    }
    let epoch = Math.max(known, 0)
    let sequence = next ?? 0
    let refusal: string | null = null
    if (how === 'gap' && next !== null) {
      sequence += 1
      refusal = 'out-of-order'
    } else if (how === 'epoch') {
      epoch = known + 1
      sequence = 0
    } else if (how === 'old' && known > 0) {
      epoch = known - 1
      refusal = 'fenced'
    }
    if (refusal === null && model.firstOpen(producerId) >= 0) refusal = 'in-transaction'
    const says = { producerEpoch: epoch, baseSequence: sequence }
    const outcome = partition.produce(this.#batch(producerId, times, says))
    if (refusal !== null) assert.equal(outcome.kind, refusal)
    else this.#wrote(outcome, { producerId, times, sequence, epoch, inTransaction: false })
  }

  #transact(producerId: number, times: readonly number[]): void {
    const epoch = Math.max(this.model.epochOf(producerId), 0)
    const sequence = this.model.nextSequence(producerId) ?? 0
    const says = { producerEpoch: epoch, baseSequence: sequence, isTransactional: true }
    const outcome = this.partition.produce(this.#batch(producerId, times, says))
    this.#wrote(outcome, { producerId, times, sequence, epoch, inTransaction: true })
  }

  #wrote(outcome: unknown, item: Omit<Item, 'base' | 'text' | 'marker'>): void {
    const { model } = this
    const base = model.end
    assert.deepEqual(outcome, { kind: 'appended', baseOffset: base })
    const text = item.times.map(() => String(this.#number - 1)).join(' ')
    model.items.push({ ...item, base, text, marker: null })
  }

  #end({ producer: producerId, isCommit, bumps }: Step & { kind: 'end' }): void {
    const { model } = this
    if (model.firstOpen(producerId) < 0) return
    const epoch = model.epochOf(producerId) + (bumps ? 1 : 0)
    const base = model.end
    const end = { producerId, producerEpoch: epoch, isCommit }
    assert.equal(this.partition.endTransaction(end, TEST_FORM_ID), base)
    const marker = isCommit ? 'commit' : 'abort'
    const item = { base, times: [-1], text: marker, producerId, sequence: -1, epoch } as const
    model.items.push({ ...item, inTransaction: true, marker })
  }

  #publish(): void {
    const { model } = this
    publish(this.rig.vhost, '', 't', 'x')
    const item = { base: model.end, times: [this.clock.now()], text: 'message', producerId: -1 }
    model.items.push({ ...item, sequence: -1, epoch: -1, inTransaction: false, marker: null })
  }

  /** Only what is on disk, as protocols do it. */
  async #delete(part: number): Promise<void> {
    await turns(20)
    const { partition, model } = this
    const { startOffset, highWatermark } = partition
    const offset = startOffset + Math.floor((highWatermark - startOffset) * part)
    partition.deleteBefore(offset)
    model.start = Math.max(model.start, offset)
  }

  async #crash(seed: number, changes: number): Promise<void> {
    const random = new SeededRandom(seed)
    this.disk.changesLeft = changes
    await turns(random.integer(20))
    const crashed = this.disk
    this.disk = random.integer(2) === 0 ? crashed.killed() : crashed.powerCut(random)
    crashed.changesLeft = 0
    await this.open()
    this.#adopt()
  }

  /** Of what was not answered the end may be missing, and only that. */
  #adopt(): void {
    const { model, partition } = this
    const end = partition.endOffset
    assert.ok(end >= model.ackedEnd, `${end} is stored, ${model.ackedEnd} was answered`)
    assert.ok(end <= model.end, 'there is more than was written')
    model.items = model.items.filter(({ base }) => base < end)
    assert.equal(model.end, end, 'a batch is there or not')
    const { startOffset } = partition
    assert.ok(startOffset >= model.ackedStart && startOffset <= model.start, 'of the start')
    model.start = startOffset
    model.ackedEnd = end
    model.ackedStart = startOffset
  }

  async #restart(): Promise<void> {
    await this.rig.broker.close()
    await this.rig.engine.close()
    await this.open()
    this.#adopt()
  }

  async check(): Promise<void> {
    const { model, partition } = this
    assert.equal(partition.stableOffset, model.stable(partition.highWatermark), 'while it goes on')
    await turns(40)
    assert.equal(partition.highWatermark, model.end)
    assert.equal(partition.startOffset, model.start)
    assert.equal(partition.stableOffset, model.stable(model.end))
    const pieces: Piece[] = []
    // A read may end where memory does.
    for (let at = model.start; at < model.end; at = pieces.at(-1)!.nextOffset) {
      pieces.push(...(await read(partition, at)))
    }
    const expected = model.items.filter(({ base, times }) => base + times.length > model.start)
    assert.deepEqual(
      pieces.map(textOf),
      expected.map(({ base, text }) => `${base}: ${text}`),
    )
    const aborted = model.aborted()
    assert.deepEqual(partition.abortedWithin(model.start, model.end), aborted)
    for (const { base, producerId, marker } of expected) {
      if (marker !== null || producerId < 0) continue
      const isAborted = this.#isAborted(base, producerId)
      assert.equal(partition.isAborted(producerId, base), isAborted, `offset ${base}`)
    }
    await this.#checkTimes()
  }

  #isAborted(base: number, producerId: number): boolean {
    const item = this.model.items.find((each) => each.base === base)!
    const end = this.model.of(producerId).find((each) => each.base > base && each.marker !== null)
    return item.inTransaction && end?.marker === 'abort'
  }

  async #checkTimes(): Promise<void> {
    const all = [...this.model.times()]
    for (const at of [0, 7, 25, 49, 51, this.clock.now() + 1]) {
      const found = all.find(({ timestampMs }) => timestampMs >= at) ?? null
      assert.deepEqual(await this.partition.findTime(at), found, `time ${at}`)
    }
    let largest: (typeof all)[number] | null = null
    for (const each of all) {
      if (largest === null || each.timestampMs > largest.timestampMs) largest = each
    }
    assert.deepEqual(await this.partition.maxTimestamp(), largest)
  }
}

// Power cuts, kills and restarts may come at any time, and snapshots and trims with them.
test('a partition is what a list is that is searched slowly', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const world = new World()
      await world.open()
      for (const [at, each] of steps.entries()) {
        await world.run(each)
        if (at % 7 === 6) await world.check()
      }
      await world.check()
      await world.rig.engine.close()
    }),
    { numRuns: Number(process.env['PARTITION_RUNS'] ?? 40) },
  )
})
