import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { SeededRandom } from '../lib/random.ts'
import { FaultyDisk } from './disk-faulty.ts'
import { FileDisk } from './disk-file.ts'
import { MemoryDisk } from './disk-memory.ts'
import { DiskError, readFile, readWhole, replaceFile, syncFile, writeFile } from './disk.ts'
import type { Disk } from './disk.ts'

const isMissing = (error: unknown): boolean => error instanceof DiskError && error.code === 'ENOENT'

async function onEachDisk(body: (disk: Disk) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'waystation-disk-'))
  try {
    for (const disk of [new MemoryDisk(), new FaultyDisk(), new FileDisk(directory)]) {
      await body(disk)
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

test('every disk keeps files as the plainest model does', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('write'), at: fc.nat(5000), size: fc.nat(3000) }),
    fc.record({ do: fc.constant('truncate'), at: fc.nat(6000), size: fc.constant(0) }),
  )
  await onEachDisk(async (disk) => {
    await disk.makeFolder('f')
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const file = await disk.open('f/x', 'create')
        let model = Buffer.alloc(0)
        let fill = 1
        for (const { do: action, at, size } of steps) {
          if (action === 'truncate') {
            await file.truncate(at)
            const cut = Buffer.alloc(at)
            model.copy(cut)
            model = cut
          } else {
            const buffers = [Buffer.alloc(size, fill++), Buffer.alloc(7, fill++)]
            await writeFile(file, buffers, at)
            const wider = Buffer.alloc(Math.max(model.length, at + size + 7))
            model.copy(wider)
            Buffer.concat(buffers).copy(wider, at)
            model = wider
          }
        }
        await syncFile(file)
        assert.equal(await file.size(), model.length)
        assert.deepEqual(await readFile(file, 0, 20_000), model)
        assert.deepEqual(await readFile(file, 100, 50), model.subarray(100, 150))
        await file.close()
      }),
      { numRuns: 25 },
    )
  })
})

test('every disk lists, renames, replaces and removes names', async () => {
  await onEachDisk(async (disk) => {
    assert.deepEqual(await disk.list('nowhere'), [])
    await assert.rejects(disk.open('nothing', 'read'), isMissing)
    assert.equal(await readWhole(disk, 'nothing'), null)
    await disk.makeFolder('a/b')
    await replaceFile(disk, 'a/b/two', Buffer.from('2'))
    await replaceFile(disk, 'a/b/one', Buffer.from('1'))
    await replaceFile(disk, 'a/b/one', Buffer.from('new'))
    assert.deepEqual(await disk.list('a/b'), ['one', 'two'])
    assert.equal((await readWhole(disk, 'a/b/one'))?.toString(), 'new')
    await disk.rename('a/b/one', 'a/b/three')
    await disk.remove('a/b/two')
    await disk.remove('a/b/two')
    assert.deepEqual(await disk.list('a/b'), ['three'])
    await disk.removeFolder('a')
    await disk.removeFolder('a')
    assert.deepEqual(await disk.list('a/b'), [])
    assert.ok((await disk.freeBytes()) > 0)
  })
})

test('a write behind a full faulty disk is torn, and a power cut keeps what was synced', async () => {
  const disk = new FaultyDisk()
  const file = await disk.open('x', 'create')
  await disk.syncFolder('')
  await writeFile(file, [Buffer.from('synced')], 0)
  await syncFile(file)
  disk.freeSpaceBytes = 3
  await assert.rejects(
    writeFile(file, [Buffer.from('unsynced')], 6),
    (error: unknown) => error instanceof DiskError && error.isFull,
  )
  assert.equal(disk.killed().bytesOf('x').toString(), 'syncedun' + 's')
  const seen = new Set<string>()
  for (let seed = 0; seed < 50; seed++) {
    const text = disk.powerCut(new SeededRandom(seed)).bytesOf('x').toString()
    assert.ok(text.startsWith('synced'))
    seen.add(text)
  }
  assert.ok(seen.size > 1)
})

test('nothing of a removed folder comes back once its own name is synced away', async () => {
  const disk = new FaultyDisk()
  const kept = await disk.open('logs/1/a', 'create')
  await syncFile(kept)
  await disk.syncFolder('logs/1')
  await disk.remove('logs/1/a')
  await disk.open('logs/1/b', 'create')
  await disk.removeFolder('logs/1')
  await disk.syncFolder('logs')
  for (let seed = 0; seed < 20; seed++) {
    assert.deepEqual(disk.powerCut(new SeededRandom(seed)).paths(), [])
  }
})
