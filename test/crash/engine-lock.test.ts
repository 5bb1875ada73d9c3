import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { EngineError } from '../../src/engine/contract.ts'
import { checkStore, openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { ManualClock, systemClock } from '../../src/lib/clock.ts'
import { commit, readAll } from '../suites/engine/engine-suite.ts'

const HOLDER = `
  import { openEmbeddedEngine } from ${JSON.stringify(import.meta.resolve('../../src/engine/embedded/index.ts'))}
  import { systemClock } from ${JSON.stringify(import.meta.resolve('../../src/lib/clock.ts'))}
  const engine = await openEmbeddedEngine({ directory: process.argv[1], clock: systemClock })
  const log = await engine.openLog('a', { epoch: 1 })
  log.append(Buffer.from('answered'), 1)
  engine.commit('written', () => console.log('held'))
`

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'waystation-lock-'))
  try {
    await body(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function startHolder(directory: string): Promise<ChildProcess> {
  const args = ['--input-type=module', '--eval', HOLDER, directory]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout!, 'data')
  return child
}

test('a second process is refused with the id of the first, and takes over after its kill', async () => {
  await inDirectory(async (directory) => {
    const child = await startHolder(directory)
    const open = (): Promise<AsyncDisposable> =>
      openEmbeddedEngine({ directory, clock: systemClock })
    const isLocked = (error: unknown): boolean => {
      assert.ok(error instanceof EngineError)
      assert.equal(error.kind, 'locked')
      assert.match(error.message, new RegExp(`process ${child.pid}\\b`))
      return true
    }
    await assert.rejects(open(), isLocked)
    await assert.rejects(checkStore(directory), isLocked)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await using engine = await openEmbeddedEngine({ directory, clock: systemClock })
    const log = await engine.openLog('a', { epoch: 2 })
    assert.equal((await readAll(log))[0]?.data.toString(), 'answered')
    // Within one process too there is one holder at a time.
    await assert.rejects(open(), (error: unknown) => (error as EngineError).kind === 'locked')
  })
})

test('a lock left by a process whose number was given away again does not hold', async () => {
  await inDirectory(async (directory) => {
    const engine = await openEmbeddedEngine({ directory, clock: systemClock })
    await engine.close()
    const stale = `pid ${process.pid}\nstarted 1\nhost elsewhere\n`
    await writeFile(path.join(directory, 'LOCK'), stale)
    const again = await openEmbeddedEngine({ directory, clock: systemClock })
    assert.notEqual(await readFile(path.join(directory, 'LOCK'), 'utf8'), stale)
    await again.close()
  })
})

test('a store whose lock was taken over stops writing', async () => {
  await inDirectory(async (directory) => {
    const clock = new ManualClock()
    const engine = await openEmbeddedEngine({ directory, clock })
    const log = await engine.openLog('a', { epoch: 1 })
    await writeFile(path.join(directory, 'LOCK'), 'pid 1\nstarted 1\nhost elsewhere\n')
    clock.advance(5000)
    for (let wait = 0; wait < 200 && engine.state !== 'failed'; wait++) {
      await new Promise((resolve) => void systemClock.setTimer(5, () => resolve(undefined)))
    }
    assert.equal(engine.state, 'failed')
    log.append(Buffer.from('x'), 1)
    await assert.rejects(
      commit(engine),
      (error: unknown) => (error as EngineError).kind === 'locked',
    )
    await engine.close()
  })
})

test('a store of a newer format, or no store at all, is named as that', async () => {
  await inDirectory(async (directory) => {
    await assert.rejects(
      checkStore(directory),
      (error: unknown) => (error as EngineError).kind === 'not-found',
    )
    const engine = await openEmbeddedEngine({ directory, clock: systemClock })
    await engine.close()
    await writeFile(path.join(directory, 'FORMAT'), 'waystation store\nformat 2\n')
    await assert.rejects(openEmbeddedEngine({ directory, clock: systemClock }), /store format 2/)
    await writeFile(path.join(directory, 'FORMAT'), 'something else')
    await assert.rejects(checkStore(directory), /not that of a waystation store/)
  })
})
