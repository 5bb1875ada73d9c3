import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { text } from 'node:stream/consumers'

/** What health may take of the broker's own time: an orchestrator gives up soon after. */
const OWN_MS_MAX = 1000
/** With all the time the broker waited for a processor, on a machine that has other work. */
const WALL_MS_MAX = 30_000

const PROBE = path.join(import.meta.dirname, 'health-probe.ts')

/** What the probe has seen. */
export interface HealthReport {
  count: number
  slowestMs: number
  /** The longest answer without the time in which broker and probe waited for a processor. */
  slowestOwnMs: number
  error: string | null
}

/**
 * Asks for health again and again, each time on a connection of its own, as an orchestrator does. What
 * is judged is the broker and not the machine: whatever the broker does or waits for counts, but not the
 * time for which the scheduler gave the processor to others.
 */
export class HealthWatch implements AsyncDisposable {
  readonly #probe: ChildProcess
  readonly #output: Promise<string>

  private constructor(probe: ChildProcess) {
    this.#probe = probe
    this.#output = text(probe.stdout!)
  }

  /** Resolves when health was told for the first time, or not told at all. */
  static async open(port: number, pid: number): Promise<HealthWatch> {
    const url = `http://127.0.0.1:${port}/health/live`
    const probe = spawn(process.execPath, [PROBE, url, String(pid)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const begun = once(probe.stdout, 'readable')
    const watch = new HealthWatch(probe)
    await begun
    return watch
  }

  /** Fails when it was not told, or not in time; else says how long it took. */
  async verdict(): Promise<string> {
    await this[Symbol.asyncDispose]()
    const report = JSON.parse((await this.#output).replace(/^begun\n/, '')) as HealthReport
    if (report.error !== null) throw new Error(report.error)
    const { count, slowestMs, slowestOwnMs } = report
    const own = `${slowestOwnMs.toFixed(0)} ms of them the broker's own`
    const said = `health was told ${count} times, in ${slowestMs.toFixed(0)} ms at most, ${own}`
    if (slowestOwnMs > OWN_MS_MAX || slowestMs > WALL_MS_MAX) throw new Error(said)
    return said
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#probe.stdin!.end()
    await this.#output
  }
}
