import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { SeededRandom } from '../../lib/random.ts'
import { FaultyDisk } from '../../storage/disk-faulty.ts'
import type { Engine, Log } from '../contract.ts'
import { EngineError } from '../contract.ts'
import { checkStore, openEmbeddedEngine } from './index.ts'
import type { EmbeddedEngine, FrozenStore } from './index.ts'
import { FREEZE_LEASE_MS } from './options.ts'

const NAMES = ['a', 'b', 'c']
const SEEDS = 40
const PASSING_ENTRIES = 6
/** Small, so that segments and journals come and go while the store is frozen. */
const LIMITS = { segmentBytes: 700, journalBytesMax: 2000 }

test('a frozen store opens with whole commits only, however busy the running one is', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) await freezeInTheMidst(seed)
})

async function freezeInTheMidst(seed: number): Promise<void> {
  const random = new SeededRandom(seed)
  const disk = new SlowLinks(random)
  const engine = await openEmbeddedEngine({ disk, clock: new ManualClock(), ...LIMITS })
  const logs = await openAll(engine)
  const writer = new Writer(engine, logs, random)
  const passing = await engine.openLog('passing', { epoch: 1 })
  for (let entry = 0; entry < PASSING_ENTRIES; entry++) {
    passing.append(Buffer.alloc(400), 1)
    await new Promise<void>((resolve) => engine.commit('synced', () => resolve()))
  }
  writer.start()
  await writer.until(10 + random.integer(40))
  const answeredBefore = writer.answered
  const freezing = engine.freeze()
  await turns(random.integer(150))
  const deleting = engine.deleteLog('passing')
  const frozen = await freezing
  const stagedAfter = writer.staged
  await writer.until(answeredBefore + 60)
  await deleting
  const copy = copyOf(disk, frozen)
  await frozen.release()
  await writer.stop()
  await engine.close()
  assert.deepEqual(
    disk.paths().filter((path) => path.startsWith('frozen/')),
    [],
  )

  const { faults, tornEnds } = await checkStore(copy)
  assert.deepEqual([faults, tornEnds], [[], []], `seed ${seed}`)
  const reopened = await openEmbeddedEngine({ disk: copy, clock: new ManualClock(), ...LIMITS })
  const ends = (await openAll(reopened)).map((log) => log.nextOffset)
  assert.ok(
    ends.every((end) => end === ends[0]),
    `seed ${seed}: a commit in part: ${ends.join()}`,
  )
  const names = await reopened.listLogs()
  if (names.includes('passing')) {
    const log = await reopened.openLog('passing', { epoch: 1 })
    assert.deepEqual([log.startOffset, log.nextOffset], [0, PASSING_ENTRIES], `seed ${seed}`)
  }
  const end = ends[0]!
  assert.ok(end >= answeredBefore, `seed ${seed}: ${end} entries of ${answeredBefore} answered`)
  assert.ok(end <= stagedAfter, `seed ${seed}: ${end} entries of ${stagedAfter} staged`)
  await reopened.close()
}

test('one frozen store at a time, given up when nobody renews it', async () => {
  const clock = new ManualClock()
  const disk = new FaultyDisk()
  const engine = await openEmbeddedEngine({ disk, clock })
  const first = await engine.freeze()
  const isRefused = (error: unknown): boolean => {
    return error instanceof EngineError && error.kind === 'conflict'
  }
  await assert.rejects(engine.freeze(), isRefused)
  clock.advance(FREEZE_LEASE_MS - 1)
  first.renew()
  clock.advance(FREEZE_LEASE_MS - 1)
  assert.equal(engine.frozen(first.id), first)
  clock.advance(1)
  assert.equal(engine.frozen(first.id), null)
  const second = await engine.freeze()
  await engine.close()
  assert.ok(!disk.paths().some((path) => path.startsWith(second.folder)))
})

test('a store in memory has nothing to freeze', async () => {
  await using engine = await openEmbeddedEngine({ memory: true, clock: new ManualClock() })
  await assert.rejects(engine.freeze(), /in memory/)
})

function openAll(engine: EmbeddedEngine): Promise<Log[]> {
  return Promise.all(NAMES.map((name) => engine.openLog(name, { epoch: 1 })))
}

/** What a reader of the frozen files gets: no more of each than was noted. */
function copyOf(disk: FaultyDisk, { folder, files }: FrozenStore): FaultyDisk {
  const copy = new FaultyDisk()
  for (const { path, bytes } of files) {
    const whole = disk.bytesOf(`${folder}/${path}`)
    assert.ok(whole.length >= bytes, `${path} has ${whole.length} bytes of ${bytes}`)
    copy.replace(path, whole.subarray(0, bytes))
  }
  return copy
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

/** So slow that many commits would come between two links, were they not held back. */
class SlowLinks extends FaultyDisk {
  readonly #random: SeededRandom

  constructor(random: SeededRandom) {
    super()
    this.#random = random
  }

  override async link(source: string, target: string): Promise<void> {
    await turns(this.#random.integer(200))
    await super.link(source, target)
  }
}

/** Appends one entry to each of the logs in every commit, and discards old ones. */
class Writer {
  staged = 0
  answered = 0
  readonly #engine: Engine
  readonly #logs: readonly Log[]
  readonly #random: SeededRandom
  #isStopped = false
  #onAnswer: () => void = () => undefined

  constructor(engine: Engine, logs: readonly Log[], random: SeededRandom) {
    this.#engine = engine
    this.#logs = logs
    this.#random = random
  }

  start(): void {
    if (this.#isStopped) return
    for (const log of this.#logs) log.append(Buffer.alloc(this.#random.integer(120)), 1)
    this.staged++
    if (this.staged % 16 === 0) {
      for (const log of this.#logs) log.discard(0, this.#random.integer(this.answered + 1))
    }
    this.#engine.commit('synced', (error) => {
      assert.equal(error, null)
      this.answered++
      this.#onAnswer()
      this.start()
    })
  }

  async until(count: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onAnswer = () => {
        if (this.answered >= count) resolve()
      }
      this.#onAnswer()
    })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.until(this.staged)
  }
}
