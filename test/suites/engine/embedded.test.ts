import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openEmbeddedEngine } from '../../../src/engine/embedded/index.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { MemoryDisk } from '../../../src/storage/disk-memory.ts'
import type { Disk } from '../../../src/storage/disk.ts'
import { FileDisk } from '../../../src/storage/disk-file.ts'
import { engineSuite } from './engine-suite.ts'
import type { StoreUnderTest } from './engine-suite.ts'
import { kvSuite } from './kv-suite.ts'

function storeOn(disk: Disk, remove: () => Promise<void>): StoreUnderTest {
  const clock = new ManualClock()
  return {
    persists: true,
    // Small bounds, so that segments roll and caches overflow within a short test.
    open: () => {
      return openEmbeddedEngine({
        disk,
        clock,
        entryBytesMax: 1024 * 1024,
        segmentBytes: 64 * 1024,
        tailCacheBytesMax: 16 * 1024,
        readCacheBytesMax: 64 * 1024,
        readAheadBytes: 4096,
      })
    },
    advance: (ms) => clock.advance(ms),
    remove,
  }
}

async function onMemory(): Promise<StoreUnderTest> {
  return storeOn(new MemoryDisk(), () => Promise.resolve())
}

async function inDirectory(): Promise<StoreUnderTest> {
  const directory = await mkdtemp(path.join(tmpdir(), 'waystation-engine-'))
  return storeOn(new FileDisk(directory), () => rm(directory, { recursive: true, force: true }))
}

engineSuite('embedded in memory', onMemory)
kvSuite('embedded in memory', onMemory)
engineSuite('embedded in a directory', inDirectory)
kvSuite('embedded in a directory', inDirectory)
