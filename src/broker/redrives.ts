import type { Queue } from './queue.ts'
import { Redrive, type RedriveOptions, type RedriveProgress } from './redrive.ts'

/** Finished ones are remembered, so that whoever asked can see how they ended. */
const REMEMBERED_MAX = 100

export interface RedriveView extends RedriveProgress {
  readonly id: number
  readonly vhost: string
  readonly queue: string
  readonly dryRun: boolean
}

/** The re-drives that run and the last ones that ended, numbered since the broker started. */
export class Redrives {
  readonly #all: Map<number, { readonly redrive: Redrive; readonly dryRun: boolean }> = new Map()
  #lastId = 0

  start(queue: Queue, options: RedriveOptions): RedriveView {
    const id = ++this.#lastId
    this.#all.set(id, { redrive: new Redrive(queue, options), dryRun: options.dryRun })
    for (const [old, { redrive }] of this.#all) {
      if (this.#all.size <= REMEMBERED_MAX) break
      if (redrive.progress.state !== 'running') this.#all.delete(old)
    }
    return this.get(id)!
  }

  get(id: number): RedriveView | null {
    const found = this.#all.get(id)
    if (found === undefined) return null
    const { queue, progress } = found.redrive
    return { id, vhost: queue.vhost.name, queue: queue.name, dryRun: found.dryRun, ...progress }
  }

  list(): RedriveView[] {
    return Array.from(this.#all.keys(), (id) => this.get(id)!)
  }

  /** False when there is none of that number. */
  cancel(id: number): boolean {
    const found = this.#all.get(id)
    found?.redrive.cancel()
    return found !== undefined
  }
}
