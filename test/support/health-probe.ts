/**
 * Asks a broker for health again and again until its standard input ends, in a process of its own, so
 * that nothing a test does delays it. Arguments: URL, process id of the broker. Writes a line after the
 * first answer and a `HealthReport` in the end.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HealthReport } from './health-watch.ts'

const EVERY_MS = 50

const [url = '', pid = ''] = process.argv.slice(2)
let isOver = false
process.stdin.on('end', () => {
  isOver = true
})
process.stdin.resume()

/** How long the main thread of a process was ready to run and another one had the processor. */
function waitedMs(of: string): number {
  try {
    const [, waitedNs = '0'] = readFileSync(`/proc/${of}/task/${of}/schedstat`, 'utf8').split(' ')
    return Number(waitedNs) / 1e6
  } catch {
    // Not Linux, or not told: the whole time counts as the broker's.
    return 0
  }
}

const report: HealthReport = { count: 0, slowestMs: 0, slowestOwnMs: 0, error: null }
while (!isOver) {
  try {
    const before = waitedMs(pid) + waitedMs(String(process.pid))
    const startedMs = performance.now()
    const answer = await fetch(url, { headers: { connection: 'close' } })
    if (answer.status !== 200) throw new Error(`health: ${answer.status}`)
    await answer.text()
    const tookMs = performance.now() - startedMs
    const elsewhereMs = waitedMs(pid) + waitedMs(String(process.pid)) - before
    report.slowestMs = Math.max(report.slowestMs, tookMs)
    report.slowestOwnMs = Math.max(report.slowestOwnMs, tookMs - elsewhereMs)
    report.count += 1
    if (report.count === 1) process.stdout.write('begun\n')
  } catch (error) {
    report.error = String(error instanceof Error ? (error.cause ?? error) : error)
    break
  }
  await sleep(EVERY_MS)
}
process.stdout.write(JSON.stringify(report))
