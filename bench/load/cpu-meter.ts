import { availableParallelism } from 'node:os'
import { nowMs } from '../../src/load/clock.ts'
import { cpuSeconds, machineCpuSeconds } from './process-stats.ts'
import type { Metrics } from './target.ts'

/** CPU of the named processes, and how much of the machine others used meanwhile. */
export class CpuMeter {
  readonly #pids: Readonly<Record<string, number | null>>
  readonly #before: readonly number[]
  readonly #startMs: number = nowMs()

  /** Process ids by the name of what each one does. */
  constructor(pids: Readonly<Record<string, number | null>>) {
    this.#pids = pids
    this.#before = this.#read()
  }

  metrics(messageCount: number): Metrics {
    const used = this.#read().map((seconds, index) => seconds - (this.#before[index] ?? 0))
    const [machine = 0, driver = 0, ...processes] = used
    const perMessage = 1e6 / Math.max(1, messageCount)
    const capacity = (availableParallelism() * (nowMs() - this.#startMs)) / 1000
    const metrics: Record<string, number> = {}
    let others = machine - driver
    for (const [index, name] of Object.keys(this.#pids).entries()) {
      const seconds = processes[index] ?? 0
      metrics[`${name} CPU µs/message`] = seconds * perMessage
      others -= seconds
    }
    // Above a few per cent the run shared the machine and says little.
    metrics['other CPU %'] = (100 * others) / capacity
    return metrics
  }

  #read(): readonly number[] {
    const { user, system } = process.cpuUsage()
    const pids = Object.values(this.#pids)
    return [machineCpuSeconds(), (user + system) / 1e6, ...pids.map(cpuSeconds)]
  }
}
