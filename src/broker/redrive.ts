import type { TurnTask } from '../lib/turn.ts'
import { encodeAddress, exchangeOf, routingKeyOf } from '../model/address.ts'
import type { HeaderValue } from '../model/header-value.ts'
import { MessageDraft } from '../model/message-draft.ts'
import type { HeaderEdit } from '../model/native-form.ts'
import { encodeAnnotations, NO_ANNOTATIONS } from './annotations.ts'
import { MessageReader } from './message-reader.ts'
import type { Queue } from './queue.ts'
import type { StoredMessage } from './stored-message.ts'
import type { TimerTarget } from './timer-index.ts'
import { namesOf } from './tracing/message-names.ts'
import { hasId } from './tracing/trace-rule.ts'

/** How many messages are looked at before others have their turn. */
const LOOK_COUNT_MAX = 500
/** A stretch of the log that is asked for at once: bounds the list of what waits in it. */
const WINDOW_OFFSETS = 8192
/** With a rate, how often messages are moved, in milliseconds. */
const TICK_MS = 50

/** Which messages are moved; all that is named must hold. */
export interface RedriveFilter {
  /** Why it died last: `rejected`, `expired`, `maxlen` or `delivery_limit`. */
  readonly reason?: string | undefined
  /** The queue it died in last. */
  readonly diedIn?: string | undefined
  /** The routing key it bears now. */
  readonly routingKey?: string | undefined
  /** Stored here at least so long ago, in milliseconds. */
  readonly ageMsMin?: number | undefined
  /** Stored here no longer ago, in milliseconds. */
  readonly ageMsMax?: number | undefined
  /** A part of the error that its last consumer gave. */
  readonly error?: string | undefined
  /** Its message id, correlation id or trace id. */
  readonly id?: string | undefined
  /** Headers and their values; compared as text. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface RedriveOptions {
  /** Where to; null: each to the queue it died in last. */
  readonly to: { readonly exchange: string; readonly routingKey: string | null } | null
  readonly filter: RedriveFilter
  /** Looks and counts, and moves nothing. */
  readonly dryRun: boolean
  /** Messages per second; Infinity: as fast as it goes. */
  readonly rate: number
  /** No more than so many are moved; Infinity: all. */
  readonly countMax: number
  readonly edit: HeaderEdit
  /** In place of the bodies that are there; null: they stay. */
  readonly body: Buffer | null
}

/** Where a re-drive stands, so that another one goes on from there. */
export interface RedrivePlace extends RedriveProgress {
  /** What is before it was looked at, and from `end` on nothing is. */
  readonly next: number
  readonly end: number
  readonly startMs: number
}

/** How far a re-drive has come. */
export interface RedriveProgress {
  readonly state: 'running' | 'done' | 'cancelled' | 'failed' | 'interrupted'
  /** What waited when it began. */
  readonly waiting: number
  readonly looked: number
  /** Moved, or to be moved in a dry run. */
  readonly moved: number
  /** Wanted and kept, for nobody would take them. */
  readonly kept: number
  /** Why the last one was kept, or why it failed; null: nothing was. */
  readonly problem: string | null
}

/**
 * Moves messages that wait in a queue, such as dead letters, to where they came from or elsewhere.
 *
 * What waits at its start is looked at once, in the order it came; what comes later is left
 * alone. Each move is one entry of the store, so a crash loses nothing and doubles nothing:
 * and where it stands is kept with what it moved, so that it goes on after a restart. A message that
 * no target takes stays.
 */
export class Redrive implements TurnTask, TimerTarget {
  turnQueued = false
  readonly queue: Queue
  readonly #options: RedriveOptions
  readonly #reader: MessageReader
  readonly #waiting: number
  /** Offsets still to be looked at in the present window, and where the next one starts. */
  #offsets: number[] = []
  #at = 0
  #next = 0
  readonly #end: number
  readonly #startMs: number
  #state: RedriveProgress['state'] = 'running'
  #looked = 0
  #moved = 0
  #kept = 0
  #problem: string | null = null
  readonly #changed: (redrive: Redrive) => void
  /** Since when and from which count on the rate is held. */
  readonly #rateFromMs: number
  readonly #rateFromCount: number

  /** `place`: where an earlier one stood. `changed` is called in the turn that moved something. */
  constructor(
    queue: Queue,
    options: RedriveOptions,
    {
      place,
      changed,
    }: { readonly place?: RedrivePlace; readonly changed: (redrive: Redrive) => void },
  ) {
    this.queue = queue
    this.#options = options
    this.#reader = new MessageReader(queue.shard, (error) => {
      if (error !== null) this.#finish('failed', error.message)
      else this.#wake()
    })
    const now = queue.vhost.now()
    this.#changed = changed
    this.#waiting = place?.waiting ?? queue.readyCount
    this.#next = place?.next ?? 0
    this.#end = place?.end ?? queue.shard.nextOffset
    this.#startMs = place?.startMs ?? now
    this.#looked = place?.looked ?? 0
    this.#moved = place?.moved ?? 0
    this.#kept = place?.kept ?? 0
    this.#rateFromMs = now
    this.#rateFromCount = this.#moved + this.#kept
    this.#wake()
  }

  get progress(): RedriveProgress {
    return {
      state: this.#state,
      waiting: this.#waiting,
      looked: this.#looked,
      moved: this.#moved,
      kept: this.#kept,
      problem: this.#problem,
    }
  }

  get place(): RedrivePlace {
    const next = this.#offsets[this.#at] ?? this.#next
    return { ...this.progress, next, end: this.#end, startMs: this.#startMs }
  }

  /** What was moved stays moved. */
  cancel(): void {
    if (this.#state === 'running') this.#finish('cancelled', null)
  }

  onTimer(): void {
    this.#wake()
  }

  runTurn(): void {
    if (this.#reader.isLoading || this.#state !== 'running') return
    const looked = this.#looked
    this.#run()
    if (this.#state === 'running' && this.#looked !== looked) this.#changed(this)
  }

  #run(): void {
    for (let left = LOOK_COUNT_MAX; left > 0 && this.#state === 'running'; left--) {
      if (this.queue.isDeleted) {
        this.#finish('failed', `queue '${this.queue.name}' was deleted, or becomes a topic`)
        return
      }
      if (this.#moved >= this.#options.countMax) {
        this.#finish('done', this.#problem)
        return
      }
      if (this.#isTooFast()) {
        const { timers } = this.queue.vhost
        timers.schedule(this.queue.vhost.now() + TICK_MS, this)
        return
      }
      const offset = this.#nextOffset()
      if (offset === -1) continue
      if (!this.queue.isReady(offset)) this.#at++
      else if (!this.#reader.look(offset)) return
      else {
        this.#at++
        this.#looked++
        if (this.#isWanted(this.#reader.view)) this.#move(offset, this.#reader.view)
      }
    }
    if (this.#state === 'running') this.#wake()
  }

  #wake(): void {
    if (this.#state === 'running') this.queue.vhost.turn.dispatch(this)
  }

  #finish(state: RedriveProgress['state'], problem: string | null): void {
    this.#next = this.#offsets[this.#at] ?? this.#next
    this.#state = state
    this.#problem = problem
    this.#offsets = []
    this.#reader.forget()
    this.#changed(this)
  }

  #isTooFast(): boolean {
    const { rate, dryRun } = this.#options
    if (rate === Infinity || dryRun) return false
    const passedMs = this.queue.vhost.now() - this.#rateFromMs
    const count = this.#moved + this.#kept - this.#rateFromCount
    // One tick ahead, so that the first ones need not wait.
    return count >= (rate * (passedMs + TICK_MS)) / 1000
  }

  /** The next one to look at; -1: ask again, or it is over. */
  #nextOffset(): number {
    if (this.#at < this.#offsets.length) return this.#offsets[this.#at]!
    if (this.#next >= this.#end) {
      this.#finish('done', this.#problem)
      return -1
    }
    const from = this.queue.liveFrom(this.#next)
    const to = Math.min(from + WINDOW_OFFSETS, this.#end)
    const offsets: number[] = []
    this.queue.visitLive(from, to, (start, count) => {
      for (let offset = start; offset < start + count; offset++) offsets.push(offset)
    })
    // Levels of priority are told one after the other.
    this.#offsets = offsets.toSorted((a, b) => a - b)
    this.#at = 0
    this.#next = to
    return -1
  }

  #isWanted(message: StoredMessage): boolean {
    const { filter } = this.#options
    const { reason, diedIn, routingKey, ageMsMin, ageMsMax, error, id, headers } = filter
    const ageMs = this.#startMs - message.timestampMs
    if (ageMsMin !== undefined && ageMs < ageMsMin) return false
    if (ageMsMax !== undefined && ageMs > ageMsMax) return false
    if (routingKey !== undefined) {
      if (keyOf(message) !== routingKey) return false
    }
    if (reason !== undefined || diedIn !== undefined || error !== undefined) {
      const death = message.annotations?.lastDeath ?? null
      if (reason !== undefined && death?.reason !== reason) return false
      if (diedIn !== undefined && death?.queue !== diedIn) return false
      if (error !== undefined && death?.error?.includes(error) !== true) return false
    }
    if (id !== undefined && !this.#hasId(message, id)) return false
    return headers === undefined || this.#hasHeaders(message, headers)
  }

  #hasId({ data: header, form, headerStart: start, headerEnd: end }: StoredMessage, id: string) {
    const { vhost } = this.queue
    return hasId(namesOf(vhost.name, vhost.form(form), { header, start, end }), id)
  }

  #hasHeaders(message: StoredMessage, wanted: Readonly<Record<string, string>>): boolean {
    const { data, form, headerStart, headerEnd } = message
    const headers = this.queue.vhost.form(form)?.headers(data, headerStart, headerEnd) ?? null
    return Object.entries(wanted).every(([name, value]) => textOf(headers?.get(name)) === value)
  }

  #move(offset: number, message: StoredMessage): void {
    const target = this.#targetOf(message)
    if (typeof target === 'string') {
      this.#keep(target)
      return
    }
    if (this.#options.dryRun) {
      this.#moved++
      return
    }
    const { vhost, shard } = this.queue
    const exchange = vhost.exchange(target.exchange)
    if (exchange === undefined) {
      this.#keep(`there is no exchange '${target.exchange}'`)
      return
    }
    const draft = this.#draftOf(message, target)
    if (draft === null) {
      this.#keep('messages of its protocol cannot be edited')
      return
    }
    draft.trace = this.queue.trace.redriven(offset, target)
    shard.beginHold()
    this.queue.takeReady(offset)
    const isTaken = vhost.moveExcept(exchange, [target.routingKey], draft, () => false)
    if (isTaken) {
      this.queue.trace.moved(offset)
      this.queue.accept(offset)
    } else this.queue.release(offset)
    shard.endHold()
    if (isTaken) this.#moved++
    else this.#keep(`nobody takes '${target.routingKey}' from exchange '${target.exchange}'`)
  }

  #keep(problem: string): void {
    this.#kept++
    this.#problem = problem
  }

  /** Where a message goes, or why it cannot. */
  #targetOf(message: StoredMessage): { exchange: string; routingKey: string } | string {
    const { to } = this.#options
    if (to === null) {
      const death = message.annotations?.lastDeath ?? null
      return death === null
        ? 'it never died, so it has no origin'
        : { exchange: '', routingKey: death.queue }
    }
    const own = keyOf(message)
    return { exchange: to.exchange, routingKey: to.routingKey ?? own }
  }

  #draftOf(
    message: StoredMessage,
    target: { readonly exchange: string; readonly routingKey: string },
  ): MessageDraft | null {
    const { data, headerStart, headerEnd } = message
    const draft = new MessageDraft()
    draft.form = message.form
    draft.persistent = message.persistent
    draft.priority = message.priority
    draft.ofBroker = true
    draft.owner = this.queue.vhost.flows.ownerOf(message)
    // To its origin it goes as it was published; elsewhere under the address it is sent to.
    const address =
      this.#options.to === null
        ? firstAddressOf(message)
        : encodeAddress(target.exchange, target.routingKey)
    draft.setAddress(address, 0, address.length)
    draft.setHeader(data, headerStart, headerEnd)
    const { edit, body } = this.#options
    if (edit.set.size > 0 || edit.remove.length > 0 || body !== null) {
      const form = this.queue.vhost.form(message.form)
      // Some protocols say in the header how long the body is.
      const bodyBytes = body?.length ?? message.bodyEnd - message.bodyStart
      const edited = form?.edited?.(data.subarray(headerStart, headerEnd), { ...edit, bodyBytes })
      if (edited === undefined) return null
      draft.setHeader(edited, 0, edited.length)
    }
    if (body === null) draft.setBody(data, message.bodyStart, message.bodyEnd)
    else draft.setBody(body, 0, body.length)
    const before = message.annotations ?? NO_ANNOTATIONS
    draft.annotations = encodeAnnotations({ ...before, redrives: (before.redrives ?? 0) + 1 })
    return draft
  }
}

/** What it was published with, which the story of its deaths has kept. */
function firstAddressOf(message: StoredMessage): Buffer {
  const first = message.annotations?.deaths.at(-1)
  const exchange = first?.exchange ?? exchangeOf(message.data, message.addressStart)
  return encodeAddress(exchange, first?.routingKeys[0] ?? keyOf(message))
}

function keyOf({ data, addressStart, addressEnd }: StoredMessage): string {
  return routingKeyOf(data, addressStart, addressEnd)
}

function textOf(value: HeaderValue | undefined): string | undefined {
  if (value === undefined) return undefined
  return typeof value === 'object' ? undefined : String(value)
}
