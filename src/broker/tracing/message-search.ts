import type { TurnTask } from '../../lib/turn.ts'
import type { Annotations } from '../annotations.ts'
import type { DelayStore } from '../delay-store.ts'
import { MessageReader } from '../message-reader.ts'
import { Queue } from '../queue.ts'
import type { StoredMessage } from '../stored-message.ts'
import type { VirtualHost } from '../virtual-host.ts'
import { namesOf } from './message-names.ts'
import { hasId } from './trace-rule.ts'

/** How many messages are looked at before others have their turn. */
export const LOOK_COUNT_MAX = 500
/** A stretch of the log that is asked for at once: bounds the list of what lives in it. */
const WINDOW_OFFSETS = 8192
/** One search looks at so many; whoever asks goes on from where it stopped. */
export const SEARCH_COUNT_MAX = 100_000
/** More of the same name are not looked for. */
export const FOUND_MAX = 20
/** How far it is counted what stands before a message. */
const PLACE_COUNT_MAX = 100_000

/** A message where it is now. */
export interface FoundMessage {
  readonly offset: number
  readonly state: 'waiting' | 'in-flight' | 'held' | 'kept' | 'delayed' | 'stored'
  /** How many that wait stand before it; null: too many to count, or it does not wait. */
  readonly before: number | null
  /** Failed attempts so far. */
  readonly attempts: number
  readonly storedAtMs: number
  /** Until when it is held back; null: it is not. */
  readonly untilMs: number | null
  /** When its time to live ends; null: never. */
  readonly expiresAtMs: number | null
  /** Who has it; null: nobody, or somebody who is not known any more. */
  readonly consumer: string | null
  /** Since when; null: nobody has it, or it is not traced. */
  readonly sinceMs: number | null
  readonly messageId: string
  readonly correlationId: string
  readonly traceparent: string
  /** Where it died before, the newest first. */
  readonly deaths: Annotations['deaths']
  readonly redrives: number
  /** Of a topic: who keeps a place in it, and whether they are past the message. */
  readonly readers: readonly { readonly name: string; readonly isPast: boolean }[]
}

export interface SearchResult {
  readonly found: readonly FoundMessage[]
  readonly looked: number
  /** Where to go on; null: all was looked at. */
  readonly next: number | null
}

export type SearchDone = (error: Error | null, result: SearchResult) => void

/**
 * Looks for a message of some name among all that a queue holds, or among those that are delayed,
 * in turns and without changing anything.
 */
export class MessageSearch implements TurnTask {
  turnQueued = false
  readonly #vhost: VirtualHost
  readonly #searched: Queue | DelayStore
  readonly #id: string
  readonly #done: SearchDone
  readonly #reader: MessageReader
  readonly #found: FoundMessage[] = []
  readonly #end: number
  #looked = 0
  #offsets: number[] = []
  #at = 0
  #next: number

  constructor(
    vhost: VirtualHost,
    searched: Queue | DelayStore,
    asked: { readonly id: string; readonly from: number },
    done: SearchDone,
  ) {
    this.#vhost = vhost
    this.#searched = searched
    this.#id = asked.id
    this.#next = asked.from
    this.#end = searched.shard.nextOffset
    this.#done = done
    this.#reader = new MessageReader(searched.shard, (error) => {
      if (error === null) vhost.turn.dispatch(this)
      else this.#finish(error, null)
    })
    vhost.turn.dispatch(this)
  }

  runTurn(): void {
    if (this.#reader.isLoading) return
    for (let left = LOOK_COUNT_MAX; left > 0; left--) {
      if (this.#at >= this.#offsets.length && !this.#window()) {
        this.#finish(null, null)
        return
      }
      const offset = this.#offsets[this.#at]
      if (offset === undefined) continue
      if (this.#looked >= SEARCH_COUNT_MAX || this.#found.length >= FOUND_MAX) {
        this.#finish(null, offset)
        return
      }
      if (!this.#searched.isLive(offset)) this.#at++
      else if (!this.#reader.look(offset)) return
      else {
        this.#at++
        this.#looked++
        this.#lookAt(offset, this.#reader.view)
      }
    }
    this.#vhost.turn.dispatch(this)
  }

  /** The next stretch; false: there is none. */
  #window(): boolean {
    const from = this.#next >= this.#end ? Infinity : this.#searched.liveFrom(this.#next)
    if (from >= this.#end) return false
    const to = Math.min(from + WINDOW_OFFSETS, this.#end)
    const offsets: number[] = []
    this.#searched.visitLive(from, to, (start, count) => {
      for (let offset = start; offset < start + count; offset++) offsets.push(offset)
    })
    this.#offsets = offsets.toSorted((a, b) => a - b)
    this.#at = 0
    this.#next = to
    return true
  }

  #lookAt(offset: number, view: StoredMessage): void {
    const { data, headerStart: start, headerEnd: end } = view
    const form = this.#vhost.form(view.form)
    const names = namesOf(this.#vhost.name, form, { header: data, start, end })
    if (!hasId(names, this.#id) && this.#id !== String(offset)) return
    const { annotations } = view
    this.#found.push({
      offset,
      ...placeOf(this.#searched, offset),
      storedAtMs: view.timestampMs,
      expiresAtMs: view.expiresAtMs === 0 ? null : view.expiresAtMs,
      messageId: names.messageId,
      correlationId: names.correlationId,
      traceparent: names.traceparent,
      deaths: annotations?.deaths ?? [],
      redrives: annotations?.redrives ?? 0,
      readers: [],
    })
  }

  #finish(error: Error | null, next: number | null): void {
    this.#reader.forget()
    this.#done(error, { found: this.#found, looked: this.#looked, next })
  }
}

function placeOf(
  searched: Queue | DelayStore,
  offset: number,
): Pick<FoundMessage, 'state' | 'before' | 'attempts' | 'untilMs' | 'consumer' | 'sinceMs'> {
  const nowhere = { before: null, attempts: 0, untilMs: null, consumer: null, sinceMs: null }
  if (!(searched instanceof Queue))
    return { ...nowhere, state: 'delayed', untilMs: searched.dueMsOf(offset) }
  const queue = searched
  const attempts = queue.attemptsOf(offset)
  if (queue.isReady(offset)) {
    return { ...nowhere, state: 'waiting', attempts, before: readyBefore(queue, offset) }
  }
  const { untilMs, isKept } = queue.heldBack(offset)
  if (isKept) return { ...nowhere, state: 'kept', attempts }
  if (untilMs > 0) return { ...nowhere, state: 'held', attempts, untilMs }
  const sinceMs = queue.trace.deliveredAtMs(offset)
  return { ...nowhere, state: 'in-flight', attempts, sinceMs, consumer: holderOf(queue, offset) }
}

function holderOf(queue: Queue, offset: number): string | null {
  for (const { sink, tag, actor } of queue.consumers()) {
    if (sink.holds?.(offset) !== true) continue
    const { protocol = '', clientId = null, connection = '' } = actor ?? {}
    return `'${tag}' of ${protocol} client ${clientId ?? connection}`
  }
  return null
}

function readyBefore(queue: Queue, offset: number): number | null {
  let count = 0
  let left = PLACE_COUNT_MAX
  queue.visitLive(0, offset, (start, size) => {
    for (let at = start; at < Math.min(start + size, offset) && left > 0; at++, left--) {
      if (queue.isReady(at)) count++
    }
  })
  return left === 0 ? null : count
}
