import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EngineError } from '../../src/engine/contract.ts'
import type { LogEntry } from '../../src/engine/contract.ts'
import { checkStore, openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import type { EmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { FaultyDisk } from '../../src/storage/disk-faulty.ts'
import { commit, readAll } from '../suites/engine/engine-suite.ts'

const NAMES = ['a', 'b'] as const
const SEGMENT = 'logs/000000000001/00000000000000000000.seg'

function open(disk: FaultyDisk): Promise<EmbeddedEngine> {
  return openEmbeddedEngine({
    disk,
    clock: new ManualClock(),
    segmentBytes: 2048,
    readAheadBytes: 512,
    tailCacheBytesMax: 0,
    diskFreeBytesMin: 0,
  })
}

/** A store with two logs, filled by commits of one and of both, and a few keys. */
async function fill(disk: FaultyDisk, rounds: number): Promise<EmbeddedEngine> {
  const engine = await open(disk)
  const logs = []
  for (const name of NAMES) logs.push(await engine.openLog(name, { epoch: 1 }))
  for (let round = 0; round < rounds; round++) {
    for (const log of logs.slice(0, round % 3 === 2 ? 2 : 1)) {
      log.append(Buffer.from(`${log.name}${round} `.repeat(20)), 2)
    }
    await commit(engine)
    if (round % 5 === 0) await engine.kv.commit([{ key: `k${round}`, value: Buffer.from('v') }])
  }
  return engine
}

/** Everything that can be read, by log and by key. */
async function contentOf(engine: EmbeddedEngine): Promise<Map<string, string>> {
  const content = new Map<string, string>()
  for (const name of NAMES) {
    const log = await engine.openLog(name, { epoch: 4 })
    for (const { baseOffset, data } of await readAll(log)) {
      content.set(`${name}/${baseOffset}`, data.toString())
    }
  }
  for (const { key, value } of await engine.kv.list('')) content.set(key, value.toString())
  return content
}

async function errorOf(action: Promise<unknown>): Promise<EngineError> {
  try {
    await action
  } catch (error) {
    assert.ok(error instanceof EngineError)
    return error
  }
  throw new Error('it was not refused')
}

test('a flipped byte in the middle is refused by file and position, never skipped', async () => {
  const disk = new FaultyDisk()
  await fill(disk, 8)
  const crashed = disk.killed()
  const position = 500
  crashed.flip(SEGMENT, position)
  const engine = await open(crashed)
  const error = await errorOf(engine.openLog('a', { epoch: 2 }))
  assert.equal(error.kind, 'corrupt')
  assert.match(error.message, /logs\/000000000001\/00000000000000000000\.seg/)
  const named = Number(/at byte (\d+)/.exec(error.message)?.[1])
  assert.ok(named <= position && position - named < 200, error.message)
  assert.match(error.message, /waystation fsck/)
  // The other log is as good as it was.
  assert.ok((await readAll(await engine.openLog('b', { epoch: 2 }))).length > 0)
  await engine.close()
})

test('a flipped byte in a store that was closed is found when it is read', async () => {
  const disk = new FaultyDisk()
  await (await fill(disk, 30)).close()
  disk.flip(SEGMENT, 500)
  const engine = await open(disk)
  const log = await engine.openLog('a', { epoch: 2 })
  const error = await errorOf(readAll(log))
  assert.equal(error.kind, 'corrupt')
  assert.match(error.message, /00000000000000000000\.seg is damaged at byte \d+/)
  await engine.close()
})

test('fsck names the damage, repair moves it aside, and the rest can be read', async () => {
  const disk = new FaultyDisk()
  const engine = await fill(disk, 30)
  const before = await contentOf(engine)
  await engine.close()
  disk.flip(SEGMENT, 500)
  disk.flip(SEGMENT, 1500)
  const damaged = disk.bytesOf(SEGMENT)
  const found = await checkStore(disk)
  assert.equal(found.faults.length, 2)
  assert.deepEqual(disk.bytesOf(SEGMENT), damaged, 'a check changes nothing')
  const repaired = await checkStore(disk, { repair: true })
  assert.deepEqual(
    repaired.faults.map((fault) => ({ ...fault, savedAs: null })),
    found.faults,
  )
  const { savedAs, log } = repaired.faults[0]!
  assert.equal(log, 'a')
  assert.deepEqual(disk.bytesOf(savedAs!), damaged)
  assert.equal((await checkStore(disk)).faults.length, 0)
  const again = await open(disk)
  const after = await contentOf(again)
  for (const { lostFrom, lostTo } of repaired.faults) {
    for (let offset = lostFrom!; offset < lostTo!; offset++) before.delete(`a/${offset}`)
  }
  assert.deepEqual(after, before)
  await again.close()
})

// A device may change any byte of any file, before a start after a crash or after a close.
test('no flipped byte anywhere is ever taken for data, and repair always opens the store', async () => {
  const run = async (closed: boolean, where: number, mask: number): Promise<void> => {
    let disk = new FaultyDisk()
    const engine = await fill(disk, 25)
    const before = await contentOf(engine)
    if (closed) await engine.close()
    disk = disk.killed()
    const files = disk.paths().filter((path) => path !== 'FORMAT')
    const sizes = files.map((path) => disk.bytesOf(path).length)
    let position = where % sizes.reduce((sum, size) => sum + size, 0)
    let index = 0
    while (position >= sizes[index]!) position -= sizes[index++]!
    disk.flip(files[index]!, position, mask)
    await tryReading(disk.killed(), before)
    const { faults } = await checkStore(disk, { repair: true })
    const again = await open(disk)
    const after = await contentOf(again)
    await again.close()
    for (const [key, value] of after) assert.equal(value, before.get(key))
    const missing = [...before.keys()].filter((key) => !after.has(key))
    const isNamed = (key: string): boolean => {
      const [log, offset] = key.split('/')
      return faults.some((fault) => {
        if (offset === undefined) return fault.log === 'kv'
        return (
          fault.log === log &&
          Number(offset) >= fault.lostFrom! &&
          Number(offset) < (fault.lostTo ?? Infinity)
        )
      })
    }
    // After a crash the last write cannot be told from a torn one; nothing else may go unnamed.
    const unnamed = missing.filter((key) => !isNamed(key))
    assert.ok(unnamed.length <= (closed ? 0 : 1), `${unnamed.join()} went without a word`)
  }
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.nat(1_000_000), fc.integer({ min: 1, max: 255 }), run),
    { numRuns: 150 },
  )
})

/** Whatever can be read without a repair is right; what cannot be is named as corrupt. */
async function tryReading(disk: FaultyDisk, before: ReadonlyMap<string, string>): Promise<void> {
  let engine: EmbeddedEngine
  try {
    engine = await open(disk)
  } catch (error) {
    assert.equal((error as EngineError).kind, 'corrupt')
    assert.match((error as EngineError).message, /at byte \d+/)
    return
  }
  for (const name of NAMES) {
    let entries: LogEntry[]
    try {
      entries = await readAll(await engine.openLog(name, { epoch: 5 }))
    } catch (error) {
      assert.equal((error as EngineError).kind, 'corrupt')
      assert.match((error as EngineError).message, /at byte \d+/)
      continue
    }
    for (const { baseOffset, data } of entries) {
      assert.equal(data.toString(), before.get(`${name}/${baseOffset}`))
    }
  }
  await engine.close()
}

test('every prefix of the last write recovers to the commit before it', async () => {
  const disk = new FaultyDisk()
  const engine = await fill(disk, 4)
  const log = await engine.openLog('a', { epoch: 2 })
  const count = (await readAll(log)).length
  // One group of three entries: none of them may come back alone.
  for (const text of ['x', 'y'.repeat(50), 'z']) log.append(Buffer.from(text), 1)
  await commit(engine)
  const last = disk.lastWriteBytes(SEGMENT)
  assert.ok(last > 200)
  for (let bytes = 0; bytes <= last; bytes++) {
    const torn = await open(disk.tornAt(SEGMENT, bytes))
    const entries = await readAll(await torn.openLog('a', { epoch: 3 }))
    assert.equal(entries.length, bytes === last ? count + 3 : count, `torn after ${bytes} bytes`)
    assert.equal(torn.cuts.length, bytes === 0 || bytes === last ? 0 : 1)
    await torn.close()
  }
})

test('every prefix of the last journal record brings back both logs or neither', async () => {
  const disk = new FaultyDisk()
  const engine = await open(disk)
  const logs = []
  for (const name of NAMES) logs.push(await engine.openLog(name, { epoch: 1 }))
  for (const log of logs) log.append(Buffer.from('first'), 1)
  await commit(engine)
  // Nothing more reaches the segments: the record is on its way when the process is killed.
  for (const log of logs) log.append(Buffer.from('second'), 1)
  disk.changesLeft = 1
  engine.commit('synced', () => assert.fail('it cannot be answered'))
  await new Promise((resolve) => setImmediate(resolve))
  const journal = disk.paths().find((path) => path.startsWith('journal/'))!
  const last = disk.lastWriteBytes(journal)
  assert.ok(last > 100)
  for (let bytes = 0; bytes <= last; bytes++) {
    const torn = await open(disk.tornAt(journal, bytes))
    const counts: number[] = []
    for (const name of NAMES) {
      counts.push((await readAll(await torn.openLog(name, { epoch: 2 }))).length)
    }
    assert.deepEqual(counts, bytes === last ? [2, 2] : [1, 1], `torn after ${bytes} bytes`)
    await torn.close()
  }
})
