import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import type { Engine } from '../../src/engine/contract.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { FaultyDisk } from '../../src/storage/disk-faulty.ts'

const NAMES = ['a', 'b', 'c'] as const
/** More changes of the disk than making three logs and storing an entry in each takes. */
const CHANGES_MAX = 60

async function open(disk: FaultyDisk): Promise<Engine> {
  return openEmbeddedEngine({ disk, clock: new ManualClock(), diskFreeBytesMin: 0 })
}

function folders(disk: FaultyDisk): string[] {
  const found = disk.paths().filter((path) => /^logs\/0*[1-9]/.test(path))
  return [...new Set(found.map((path) => path.split('/')[1]!))]
}

test('a log that holds nothing takes no file, and is there after a restart', async () => {
  const disk = new FaultyDisk()
  const engine = await open(disk)
  for (const name of NAMES) await engine.openLog(name, { epoch: 1 })
  assert.deepEqual(folders(disk), [])
  await engine.close()
  const again = await open(disk)
  assert.deepEqual(await again.listLogs(), [...NAMES])
  const [log] = [await again.openLog('a', { epoch: 2 }), await again.openLog('b', { epoch: 2 })]
  log.append(Buffer.from('x'), 5)
  await new Promise((resolve) => again.commit('synced', resolve))
  assert.equal(folders(disk).length, 1)
  await again.deleteLog('b')
  assert.deepEqual(await again.listLogs(), ['a', 'c'])
  await again.close()
  const last = await open(disk)
  assert.equal((await last.openLog('a', { epoch: 3 })).nextOffset, 5)
  await last.close()
})

test('files that are gone are missed', async () => {
  const disk = new FaultyDisk()
  const engine = await open(disk)
  const log = await engine.openLog('a', { epoch: 1 })
  log.append(Buffer.from('x'), 1)
  await new Promise((resolve) => engine.commit('synced', resolve))
  await engine.close()
  await disk.removeFolder(`logs/${folders(disk)[0]!}`)
  const again = await open(disk)
  await assert.rejects(again.openLog('a', { epoch: 2 }), { kind: 'corrupt' })
  await again.close()
})

test('a log of which all was discarded goes on where it was after a crash', async () => {
  const disk = new FaultyDisk()
  const engine = await open(disk)
  const log = await engine.openLog('a', { epoch: 1 })
  log.setRetention({ bytesMax: 64 * 1024 })
  log.append(Buffer.alloc(64 * 1024), 7)
  await new Promise((resolve) => engine.commit('synced', resolve))
  log.discard(0, 7)
  for (let turn = 0; turn < 60; turn++) await new Promise((resolve) => setImmediate(resolve))
  const again = await open(disk.killed())
  const reopened = await again.openLog('a', { epoch: 2 })
  assert.deepEqual([reopened.startOffset, reopened.nextOffset], [7, 7])
  await again.close()
})

// The power may go at any step of making files: what was answered is there, of the rest nothing.
test('logs get their files whole or not at all', async () => {
  const random = new SeededRandom(5)
  for (let changes = 0; changes < CHANGES_MAX; changes++) {
    const disk = new FaultyDisk()
    const engine = await open(disk)
    const logs = []
    for (const name of NAMES) logs.push(await engine.openLog(name, { epoch: 1 }))
    disk.changesLeft = changes
    let isStored = false
    for (const log of logs) log.append(Buffer.from('x'), 3)
    engine.commit('synced', (error) => (isStored = error === null))
    for (let turn = 0; turn < 60; turn++) await new Promise((resolve) => setImmediate(resolve))
    const found = changes % 2 === 0 ? disk.powerCut(random) : disk.killed()
    const again = await open(found)
    const ends: number[] = []
    for (const name of NAMES) ends.push((await again.openLog(name, { epoch: 2 })).nextOffset)
    assert.ok(new Set(ends).size === 1, `after ${changes} changes: ${ends.join()}`)
    assert.ok(!isStored || ends[0] === 3, `after ${changes} changes it was stored`)
    if (changes === CHANGES_MAX - 1) assert.ok(isStored, 'all was done in the last round')
    await again.close()
  }
})
