import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../src/engine/contract.ts'
import type { EngineState } from '../../src/engine/contract.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import type { EmbeddedEngine, EmbeddedOptions } from '../../src/engine/embedded/index.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { FaultyDisk } from '../../src/storage/disk-faulty.ts'
import { commit, readAll } from '../suites/engine/engine-suite.ts'

interface Bench {
  readonly disk: FaultyDisk
  readonly clock: ManualClock
  readonly engine: EmbeddedEngine
  readonly states: EngineState[]
}

async function start(options: Partial<EmbeddedOptions> = {}): Promise<Bench> {
  const disk = new FaultyDisk()
  const clock = new ManualClock()
  const engine = await openEmbeddedEngine({ disk, clock, diskFreeBytesMin: 0, ...options })
  const states: EngineState[] = []
  engine.onState((state) => states.push(state))
  return { disk, clock, engine, states }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

function isKind(kind: string): (error: unknown) => boolean {
  return (error) => error instanceof EngineError && error.kind === kind
}

test('a full disk makes commits wait, and nothing is lost or half written', async () => {
  const { disk, clock, engine, states } = await start({ segmentBytes: 4096 })
  const logs = [
    await engine.openLog('a', { epoch: 1 }),
    await engine.openLog('b', { epoch: 1 }),
  ] as const
  logs[0].append(Buffer.alloc(100, 1), 1)
  await commit(engine)
  disk.freeSpaceBytes = 150
  const answered: number[] = []
  for (let index = 0; index < 40; index++) {
    for (const log of logs.slice(0, 1 + (index % 2))) log.append(Buffer.alloc(200, index), 1)
    engine.commit('synced', (error) => {
      assert.equal(error, null)
      answered.push(index)
    })
  }
  for (let retry = 0; retry < 5; retry++) {
    await turns(20)
    clock.advance(1000)
  }
  await turns(20)
  assert.deepEqual(answered, [])
  assert.equal(engine.state, 'full')
  assert.ok(engine.uncommittedBytes >= 40 * 200)
  // A crash now finds a store that is whole.
  const crashed = await openEmbeddedEngine({ disk: disk.killed(), clock })
  assert.equal((await readAll(await crashed.openLog('a', { epoch: 2 }))).length, 1)
  assert.deepEqual(crashed.cuts, [], 'what a refused write left was taken away at once')
  await crashed.close()
  disk.freeSpaceBytes = Infinity
  clock.advance(1000)
  await turns(50)
  assert.deepEqual(
    answered,
    Array.from({ length: 40 }, (_, index) => index),
  )
  assert.deepEqual(states, ['full', 'ready'])
  assert.equal((await readAll(logs[0])).length, 41)
  assert.equal((await readAll(logs[1])).length, 20)
  await engine.close()
})

test('closing on a full disk answers what does not fit, and keeps what was answered', async () => {
  const { disk, clock, engine } = await start()
  const log = await engine.openLog('a', { epoch: 1 })
  log.append(Buffer.from('kept'), 1)
  await commit(engine)
  disk.freeSpaceBytes = 10
  log.append(Buffer.from('too much'), 1)
  const refused = assert.rejects(commit(engine), isKind('closed'))
  await turns(10)
  await engine.close()
  await refused
  disk.freeSpaceBytes = Infinity
  const again = await openEmbeddedEngine({ disk, clock })
  const entries = await readAll(await again.openLog('a', { epoch: 2 }))
  assert.deepEqual(
    entries.map(({ data }) => data.toString()),
    ['kept'],
  )
  await again.close()
})

test('a sync that fails once fails every commit from then on', async () => {
  const { disk, clock, engine, states } = await start()
  const log = await engine.openLog('a', { epoch: 1 })
  log.append(Buffer.from('kept'), 1)
  await commit(engine)
  disk.syncError = 'EIO'
  log.append(Buffer.from('lost'), 1)
  await assert.rejects(commit(engine), isKind('io'))
  assert.equal(engine.state, 'failed')
  // The device works again, but what it lost meanwhile nobody knows.
  disk.syncError = null
  log.append(Buffer.from('more'), 1)
  await assert.rejects(commit(engine), isKind('io'))
  await assert.rejects(engine.openLog('b', { epoch: 1 }), isKind('io'))
  await assert.rejects(engine.kv.commit([{ key: 'k', value: null }]), isKind('io'))
  assert.deepEqual(states, ['failed'])
  await engine.close()
  const next = await openEmbeddedEngine({ disk: disk.powerCut(new SeededRandom(1)), clock })
  const [first] = await readAll(await next.openLog('a', { epoch: 2 }))
  assert.equal(first?.data.toString(), 'kept')
  await next.close()
})

test('a write that fails otherwise than for want of space fails the engine', async () => {
  const { disk, engine } = await start()
  const log = await engine.openLog('a', { epoch: 1 })
  disk.writeError = 'EIO'
  log.append(Buffer.from('x'), 1)
  await assert.rejects(commit(engine), isKind('io'))
  assert.equal(engine.state, 'failed')
  await engine.close()
})

test('while one slow sync is on its way, all later commits gather for the next', async () => {
  const { disk, engine } = await start()
  const log = await engine.openLog('a', { epoch: 1 })
  log.append(Buffer.from('its files are made'), 1)
  await commit(engine)
  disk.syncTurns = 20
  disk.syncCount = 0
  const waits: Promise<void>[] = []
  for (let index = 0; index < 100; index++) {
    log.append(Buffer.from(`${index}`), 1)
    waits.push(commit(engine))
  }
  await Promise.all(waits)
  assert.equal(disk.syncCount, 2)
  // However many logs they touch, one sync stores them: the journal's.
  const logs = [log]
  for (let index = 0; index < 20; index++)
    logs.push(await engine.openLog(`l${index}`, { epoch: 1 }))
  for (const each of logs) each.append(Buffer.from('x'), 1)
  await commit(engine)
  disk.syncCount = 0
  for (const each of logs) each.append(Buffer.from('y'), 1)
  await commit(engine)
  assert.equal(disk.syncCount, 1)
  await engine.close()
})

test('a commit that needs no sync gets none', async () => {
  const { disk, engine } = await start()
  const log = await engine.openLog('a', { epoch: 1 })
  log.append(Buffer.from('its files are made'), 1)
  await commit(engine)
  disk.syncCount = 0
  for (let index = 0; index < 10; index++) {
    log.append(Buffer.from(`${index}`), 1)
    await commit(engine, 'written')
  }
  assert.equal(disk.syncCount, 0)
  assert.equal(log.committedOffset, 11)
  await engine.close()
})

test('little free space is a state of its own, and passes', async () => {
  const { disk, clock, engine, states } = await start({ diskFreeBytesMin: 1_000_000 })
  disk.freeSpaceBytes = 500_000
  clock.advance(5000)
  await turns(5)
  assert.equal(engine.state, 'low-space')
  const log = await engine.openLog('a', { epoch: 1 })
  log.append(Buffer.from('still stored'), 1)
  await commit(engine)
  disk.freeSpaceBytes = 2_000_000
  clock.advance(5000)
  await turns(5)
  assert.deepEqual(states, ['low-space', 'ready'])
  await engine.close()
})

test('segments are freed in whatever order their offsets are discarded', async () => {
  const { disk, engine } = await start({ segmentBytes: 4096, tailCacheBytesMax: 0 })
  const log = await engine.openLog('a', { epoch: 1 })
  for (let index = 0; index < 100; index++) {
    log.append(Buffer.alloc(1000, index), 10)
    await commit(engine)
  }
  const full = log.storedBytes
  // One message in the middle stays: only its segment and the active one may.
  log.discard(505, 1000)
  log.discard(0, 504)
  await turns(20)
  assert.ok(log.storedBytes < 3 * 4096, `${log.storedBytes} of ${full} bytes are left`)
  const entries = await readAll(log)
  assert.ok(entries.some(({ baseOffset }) => baseOffset === 500))
  log.discard(504, 505)
  await turns(20)
  assert.equal(log.storedBytes, 0)
  assert.equal(log.startOffset, 1000)
  const files = disk.paths().filter((path) => path.startsWith('logs/000000000001/'))
  assert.deepEqual(files, ['logs/000000000001/00000000000000001000.seg'])
  await engine.close()
})

test('retention trims whole entries from the head by size and by age', async () => {
  const { clock, engine } = await start({ segmentBytes: 1 << 20 })
  const log = await engine.openLog('a', { epoch: 1, retention: { bytesMax: 1_000_000 } })
  for (let index = 0; index < 400; index++) {
    log.append(Buffer.alloc(10_000, index), 1)
    await commit(engine)
  }
  assert.ok(log.storedBytes <= 1_250_000, `${log.storedBytes} bytes are kept`)
  assert.ok(log.storedBytes >= 800_000, `${log.storedBytes} bytes are kept`)
  const [first] = await readAll(log)
  assert.equal(first?.baseOffset, log.startOffset)
  log.setRetention({ ageMsMax: 60_000 })
  clock.advance(120_000)
  await turns(50)
  clock.advance(120_000)
  await turns(50)
  assert.equal(log.storedBytes, 0)
  assert.equal(log.append(Buffer.from('next'), 1), 400)
  await engine.close()
})

test('a volatile backlog above the limit goes to a scratch file and comes back', async () => {
  const { disk, engine } = await start({ volatileBytesMax: 1 << 20, segmentBytes: 1 << 20 })
  const log = await engine.openLog('v', { epoch: 1, volatile: true })
  const count = 8000
  for (let index = 0; index < count; index++) {
    log.append(Buffer.alloc(1000, index & 0xff), 1)
    if (index % 50 === 49) {
      await commit(engine, 'written')
      await turns(2)
    }
  }
  await turns(100)
  assert.ok(disk.paths().some((path) => path.startsWith('scratch/')))
  const entries = await readAll(log)
  assert.equal(entries.length, count)
  for (const [index, { baseOffset, data }] of entries.entries()) {
    assert.equal(baseOffset, index)
    assert.equal(data[999], index & 0xff)
  }
  log.discard(0, count)
  await turns(20)
  assert.ok(log.storedBytes < 1 << 21, `${log.storedBytes} bytes are left`)
  assert.equal(disk.paths().filter((path) => path.startsWith('scratch/')).length <= 2, true)
  await engine.close()
})
