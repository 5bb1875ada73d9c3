/**
 * Append and commit, and read, on the embedded engine: `node bench/micro/engine.ts [DIRECTORY]`.
 *
 * One line per case: entries and megabytes a second, and how long a commit took. The directory
 * is a fresh one in the system's temporary folder unless named; it is removed afterwards.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { CommitLevel, Engine, Log } from '../../src/engine/contract.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { systemClock } from '../../src/lib/clock.ts'

interface Case {
  readonly title: string
  readonly logs: number
  readonly entryBytes: number
  readonly messagesPerEntry: number
  readonly commits: number
  /** How many commits may be unanswered at a time. */
  readonly window: number
  readonly level: CommitLevel
}

const CASES: readonly Case[] = [
  { ...one('256 KiB entries, window 4'), entryBytes: 256 << 10, messagesPerEntry: 2400 },
  { ...one('256 KiB entries, window 4, written'), entryBytes: 256 << 10, level: 'written' },
  { ...one('64 KiB entries, window 8'), entryBytes: 64 << 10, commits: 8000, window: 8 },
  { ...one('4 KiB entries, window 16'), entryBytes: 4 << 10, commits: 20_000, window: 16 },
  { ...one('100 B entries, window 1'), entryBytes: 100, commits: 5000, window: 1 },
  { ...one('100 B entries, window 100'), entryBytes: 100, commits: 100_000, window: 100 },
  { ...one('100 logs, 100 B each, window 4'), logs: 100, entryBytes: 100, commits: 2000 },
  { ...one('100 logs, 16 KiB each, window 2'), logs: 100, entryBytes: 16 << 10, commits: 200 },
]

function one(title: string): Case {
  return {
    title,
    logs: 1,
    entryBytes: 0,
    messagesPerEntry: 1,
    commits: 4000,
    window: 4,
    level: 'synced',
  }
}

async function append(engine: Engine, logs: readonly Log[], plan: Case): Promise<number[]> {
  const data = Buffer.alloc(plan.entryBytes, 7)
  const tookMs: number[] = []
  await new Promise<void>((resolve, reject) => {
    let sent = 0
    let open = 0
    const send = (): void => {
      while (open < plan.window && sent < plan.commits) {
        for (const log of logs) log.append(data, plan.messagesPerEntry)
        sent++
        open++
        const startedMs = performance.now()
        engine.commit(plan.level, (error) => {
          if (error !== null) return reject(error)
          tookMs.push(performance.now() - startedMs)
          open--
          if (sent === plan.commits && open === 0) resolve()
          else send()
        })
      }
    }
    send()
  })
  return tookMs
}

async function readAll(log: Log): Promise<{ bytes: number; entries: number }> {
  let bytes = 0
  let entries = 0
  for (let offset = log.startOffset; offset < log.nextOffset;) {
    await new Promise<void>((resolve, reject) => {
      log.read(offset, 1 << 20, (error, found) => {
        if (error !== null) return reject(error)
        for (const { data, baseOffset, count } of found) {
          bytes += data.length
          offset = baseOffset + count
        }
        entries += found.length
        resolve()
      })
    })
  }
  return { bytes, entries }
}

function print(title: string, entries: number, bytes: number, seconds: number, more = ''): void {
  const perSecond = Math.round(entries / seconds).toLocaleString('en')
  const megabytes = (bytes / 1e6 / seconds).toFixed(1)
  console.log(
    `${title.padEnd(38)} ${perSecond.padStart(10)} entries/s ${megabytes.padStart(8)} MB/s ${more}`,
  )
}

async function run(directory: string, plan: Case): Promise<void> {
  const engine = await openEmbeddedEngine({ directory, clock: systemClock })
  const logs: Log[] = []
  for (let index = 0; index < plan.logs; index++) {
    logs.push(await engine.openLog(`log${index}`, { epoch: 1 }))
  }
  const startedMs = performance.now()
  const cpu = process.cpuUsage()
  const tookMs = (await append(engine, logs, plan)).toSorted((a, b) => a - b)
  const seconds = (performance.now() - startedMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const entries = plan.commits * plan.logs
  const percentile = (part: number): string => tookMs[Math.floor(tookMs.length * part)]!.toFixed(2)
  const busy = ((user + system) / 1e4 / seconds).toFixed(0)
  const more = `p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms, cpu ${busy} %`
  print(plan.title, entries, entries * plan.entryBytes, seconds, more)
  await engine.close()
  if (plan.logs > 1) return
  const openedMs = performance.now()
  await using again = await openEmbeddedEngine({ directory, clock: systemClock })
  const log = await again.openLog('log0', { epoch: 2 })
  const readMs = performance.now()
  const read = await readAll(log)
  const opened = `opened in ${(readMs - openedMs).toFixed(1)} ms`
  print('  read back', read.entries, read.bytes, (performance.now() - readMs) / 1000, opened)
}

const base = process.argv[2] ?? tmpdir()
const only = process.argv[3]
for (const plan of CASES) {
  if (only !== undefined && !plan.title.includes(only)) continue
  const directory = await mkdtemp(path.join(base, 'waystation-engine-bench-'))
  try {
    await run(directory, plan)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
