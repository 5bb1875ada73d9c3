import { BrokerError } from '../model/errors.ts'
import type { BrokerLog } from './broker-log.ts'
import { Queue } from './queue.ts'
import { Redrive, type RedriveOptions, type RedrivePlace, type RedriveProgress } from './redrive.ts'
import { decodeRedrive, encodeOptions, encodePlace, type StoredRedrive } from './redrive-record.ts'
import type { StateTable } from './state-table.ts'
import type { VirtualHost } from './virtual-host.ts'

/** Ended ones are remembered, so that whoever asked can see how they ended. */
const REMEMBERED_MAX = 100

const OPTIONS_PREFIX = 'redrive/'
const PLACE_PREFIX = 'redrive-at/'

export interface RedriveView extends RedriveProgress {
  readonly id: number
  readonly vhost: string
  readonly queue: string
  readonly dryRun: boolean
}

interface Kept {
  readonly stored: StoredRedrive
  /** Null: it does not run. */
  redrive: Redrive | null
  place: RedrivePlace
}

export interface RedrivesParts {
  readonly state: StateTable
  readonly log: BrokerLog
  vhost(name: string): VirtualHost | undefined
}

/**
 * The re-drives that run and the last ones that ended. Those of stored queues are kept in the state
 * table: where each stands is in the same commit as what it moved, so after a restart or a crash it
 * goes on exactly there.
 */
export class Redrives {
  readonly #parts: RedrivesParts
  readonly #all: Map<number, Kept> = new Map()
  #lastId = 0

  constructor(parts: RedrivesParts) {
    this.#parts = parts
  }

  /** Brings back what is stored; nothing runs before `goOn`. */
  restore(): void {
    const { state, log } = this.#parts
    const stored = [...state.entries(OPTIONS_PREFIX)].map(([key, options]) => {
      return { id: Number(key.slice(OPTIONS_PREFIX.length)), options }
    })
    for (const { id, options } of stored.toSorted((a, b) => a.id - b.id)) {
      const place = state.get(PLACE_PREFIX + id)
      try {
        const found = decodeRedrive(id, options, place)
        const isOver = found.place.state !== 'running'
        const at: RedrivePlace = isOver ? found.place : { ...found.place, state: 'interrupted' }
        this.#all.set(id, { stored: found.stored, redrive: null, place: at })
      } catch (error) {
        log.error({ err: error, redrive: id }, 'a stored redrive cannot be read')
      }
      this.#lastId = Math.max(this.#lastId, id)
    }
  }

  /** Those that the end of the broker interrupted go on; once all protocols can be read. */
  goOn(): void {
    for (const [id, { place }] of this.#all) {
      if (place.state !== 'interrupted') continue
      const problem = this.#start(id)
      if (problem !== null) this.#end(id, problem)
    }
  }

  start(queue: Queue, options: RedriveOptions): RedriveView {
    const id = ++this.#lastId
    const { name, id: queueId, vhost } = queue
    const stored: StoredRedrive = { id, vhost: vhost.name, queue: name, queueId, options }
    if (isKept(queue, options)) {
      this.#parts.state.set(OPTIONS_PREFIX + id, encodeOptions(stored))
    }
    const redrive = new Redrive(queue, options, this.#listener(id))
    this.#all.set(id, { stored, redrive, place: redrive.place })
    this.#store(id, queue, redrive.place)
    this.#forgetOld()
    return this.get(id)!
  }

  /**
   * Goes on with one that was cancelled, or failed, where it stood. Throws `NOT_FOUND` where it or
   * its queue is not there, and `PRECONDITION_FAILED` where nothing is left to do.
   */
  resume(id: number): RedriveView {
    const kept = this.#all.get(id)
    if (kept === undefined) throw new BrokerError('NOT_FOUND', `no redrive ${id}`)
    const { state } = this.get(id)!
    if (state === 'running' || state === 'done') {
      throw new BrokerError('PRECONDITION_FAILED', `redrive ${id} is ${state}`)
    }
    const problem = this.#start(id)
    if (problem !== null) throw new BrokerError('NOT_FOUND', problem)
    return this.get(id)!
  }

  get(id: number): RedriveView | null {
    const kept = this.#all.get(id)
    if (kept === undefined) return null
    const { vhost, queue, options } = kept.stored
    const { next: _next, end: _end, startMs: _startMs, ...progress } = placeOf(kept)
    return { id, vhost, queue, dryRun: options.dryRun, ...progress }
  }

  list(): RedriveView[] {
    return Array.from(this.#all.keys(), (id) => this.get(id)!)
  }

  /** False when there is none of that number. */
  cancel(id: number): boolean {
    const kept = this.#all.get(id)
    kept?.redrive?.cancel()
    return kept !== undefined
  }

  /** Returns why it cannot. */
  #start(id: number): string | null {
    const kept = this.#all.get(id)!
    const { vhost, queue: name, queueId, options } = kept.stored
    const queue = this.#parts.vhost(vhost)?.destination(name)
    if (!(queue instanceof Queue) || queue.id !== queueId) {
      return `queue '${name}' in vhost '${vhost}' is not there any more`
    }
    const place = placeOf(kept)
    kept.redrive = new Redrive(queue, options, { place, ...this.#listener(id) })
    this.#store(id, queue, kept.redrive.place)
    return null
  }

  #end(id: number, problem: string): void {
    const kept = this.#all.get(id)!
    kept.place = { ...kept.place, state: 'failed', problem }
    this.#parts.state.set(PLACE_PREFIX + id, encodePlace(kept.place))
  }

  #listener(id: number): { changed(redrive: Redrive): void } {
    return { changed: (redrive) => this.#store(id, redrive.queue, redrive.place) }
  }

  #store(id: number, queue: Queue, place: RedrivePlace): void {
    const kept = this.#all.get(id)
    if (kept === undefined || !isKept(queue, kept.stored.options)) return
    this.#parts.state.set(PLACE_PREFIX + id, encodePlace(place))
  }

  #forgetOld(): void {
    for (const [old, kept] of this.#all) {
      if (this.#all.size <= REMEMBERED_MAX) break
      if (placeOf(kept).state === 'running') continue
      this.#all.delete(old)
      this.#parts.state.delete(OPTIONS_PREFIX + old)
      this.#parts.state.delete(PLACE_PREFIX + old)
    }
  }
}

function placeOf({ redrive, place }: Kept): RedrivePlace {
  return redrive?.place ?? place
}

/** What is not stored itself is gone after a restart, and a dry run is repeated at no cost. */
function isKept(queue: Queue, { dryRun }: RedriveOptions): boolean {
  return queue.shard.durable && !dryRun
}
