import type { EngineError } from '../../engine/contract.ts'
import type { RandomSource } from '../../lib/random.ts'
import type { Actor } from '../../model/actor.ts'
import { BrokerError } from '../../model/errors.ts'
import type { MessageDraft } from '../../model/message-draft.ts'
import { filteredDraft } from '../filter/index.ts'
import type { CommitCycle, CommitListener } from '../commit-cycle.ts'
import type { Route } from '../route.ts'
import type { TimerIndex, TimerTarget } from '../timer-index.ts'
import type { VirtualHost } from '../virtual-host.ts'
import { DEFAULT_TRACE_LIMITS, type TraceLimits } from './limits.ts'
import { namesOf } from './message-names.ts'
import { RouteStories, type RouteStory } from './route-story.ts'
import {
  type AllFacts,
  detailOf,
  NO_FACTS,
  type Step,
  type StepFacts,
  TraceLog,
  type TraceNames,
  type TraceStep,
} from './trace-log.ts'
import { type Candidate, hasId, TraceRule, type TraceRuleSpec } from './trace-rule.ts'
import { TracedOffsets } from './traced-offsets.ts'

/** A log of which some messages are traced; null while none is, which is all that others ask. */
export interface TracedLog {
  traced: TracedOffsets | null
}

/** What a step of a traced message is told to, beside being kept. */
export interface TraceListener {
  onStep(trace: number, names: TraceNames, step: TraceStep): void
}

/** A rule as listings show it. */
export interface TraceRuleView extends Omit<TraceRuleSpec, 'forMs' | 'countMax'> {
  readonly rule: number
  readonly startedAtMs: number
  /** null: when it is stopped. */
  readonly endsAtMs: number | null
  /** null: any number. */
  readonly countMax: number | null
  readonly traced: number
}

/** All that is known of one message. */
export interface TraceView extends TraceNames {
  readonly trace: number
  readonly steps: readonly TraceStep[]
}

export interface TracerParts {
  readonly random: RandomSource
  readonly timers: TimerIndex
  readonly now: () => number
  readonly cycle: CommitCycle
  readonly limits?: TraceLimits
}

/** In one number: the trace, and how many queues still hold the message. */
const HOLDERS = 256
/** The message is in a topic, or in more queues than are counted: it is followed until forgotten. */
const UNCOUNTED = HOLDERS - 1

/** What is told of each message of one route. */
interface ToldRoute {
  readonly detail: string
  readonly story: RouteStory
}

/** A message that is traced waits for the disk. */
interface Waiting {
  readonly trace: number
  readonly offset: number
  readonly partition: number
}

/**
 * Follows messages that a rule picked, from their publisher to their end. What is picked is decided
 * once, when it is published; every later step of any message is one look at its log, which costs
 * nothing where none of it is traced.
 */
export class Tracer implements CommitListener, TimerTarget {
  /** Whether some rule is on: what a publish asks before anything else. */
  isOn = false
  listener: TraceListener | null = null
  readonly #parts: TracerParts
  readonly #limits: TraceLimits
  readonly #rules: Map<number, TraceRule> = new Map()
  /** The same rules, walked for each message. */
  #list: readonly TraceRule[] = []
  readonly #stories = new RouteStories()
  readonly #routes: WeakMap<Route, ToldRoute> = new WeakMap()
  #log: TraceLog | null = null
  #lastRule = 0
  /** Those of which something is traced, or may soon be. */
  readonly #logs: Set<TracedLog> = new Set()
  /** Where traced messages are, the oldest first; bounded like the traces themselves. */
  readonly #placeLogs: TracedLog[] = []
  readonly #placeOffsets: number[] = []
  #placeAt = 0
  readonly #waiting: Map<number, Waiting[]> = new Map()

  constructor(parts: TracerParts) {
    this.#parts = parts
    this.#limits = parts.limits ?? DEFAULT_TRACE_LIMITS
  }

  // --- rules ---

  start(spec: TraceRuleSpec): TraceRuleView {
    const { rulesMax } = this.#limits
    if (this.#rules.size >= rulesMax) {
      throw new BrokerError('LIMIT_EXCEEDED', `${rulesMax} traces run, no more may`)
    }
    this.#log ??= new TraceLog(this.#limits)
    const { random, now, timers } = this.#parts
    const rule = new TraceRule(++this.#lastRule, spec, { random, nowMs: now() })
    this.#rules.set(rule.id, rule)
    this.#list = [...this.#rules.values()]
    if (spec.forMs < Infinity) timers.schedule(rule.endsAtMs, this)
    this.isOn = true
    return viewOf(rule)
  }

  /** False when there is no such rule. What it picked is still followed and shown. */
  stop(id: number): boolean {
    const isThere = this.#rules.delete(id)
    this.#list = [...this.#rules.values()]
    this.isOn = this.#rules.size > 0
    if (!this.isOn) for (const log of this.#logs) this.#letGo(log)
    return isThere
  }

  rules(): TraceRuleView[] {
    return Array.from(this.#rules.values(), viewOf)
  }

  onTimer(): void {
    this.#endRules()
  }

  /** How full the memory of it is. */
  get counts(): { readonly traces: number; readonly steps: number; readonly overwritten: number } {
    const log = this.#log
    return {
      traces: log?.traceCount ?? 0,
      steps: log?.stepCount ?? 0,
      overwritten: log?.overwrittenCount ?? 0,
    }
  }

  /**
   * What is known of the messages of that name, the newest first: a message id, a correlation id,
   * a trace id, `#` and the number of a trace, or `queue/offset` or `topic/partition/offset`.
   */
  find(id: string, countMax: number): TraceView[] {
    const log = this.#log
    if (log === null) return []
    const numbers = new Set(log.find((names) => hasId(names, id), countMax))
    const byNumber = /^#(\d+)$/.exec(id)
    if (byNumber !== null) numbers.add(Number(byNumber[1]))
    const place = /^(.+?)(?:\/(\d+))?\/(\d+)$/s.exec(id)
    if (place !== null && numbers.size === 0) {
      const at = { at: place[1]!, partition: Number(place[2] ?? -1), offset: Number(place[3]) }
      for (const trace of log.findPlace(at, countMax)) numbers.add(trace)
    }
    return [...numbers].slice(0, countMax).flatMap((trace) => this.#view(trace) ?? [])
  }

  /** The messages traced last, the newest first. */
  latest(countMax: number): TraceView[] {
    const numbers = this.#log?.find(() => true, countMax) ?? []
    return numbers.flatMap((trace) => this.#view(trace) ?? [])
  }

  /** What is left of a trace, in order. */
  stepsOf(trace: number): readonly TraceStep[] {
    return this.#log?.stepsOf(trace) ?? []
  }

  // --- publishing ---

  /** HOT while a rule is on: whether a message is traced; then the draft bears its trace. */
  wants(route: Route, draft: MessageDraft): boolean {
    // What the broker keeps in queues for itself is nobody's message.
    if (draft.actor === null) return false
    let taken: TraceRule | null = null
    let candidate: Candidate | null = null
    const rules = this.#list
    for (let at = 0; at < rules.length; at++) {
      const rule = rules[at]!
      const isTaken = rule.isOpen
        ? rule.takesNext()
        : rule.takes((candidate ??= this.#candidateOf(route, draft)))
      if (isTaken) taken = rule
    }
    if (taken === null) return false
    if (taken.isOver(this.#parts.now())) this.#endRules()
    this.#open(route, draft)
    return true
  }

  /** What became of a publish as a whole. */
  published(trace: number, isUnrouted: boolean): void {
    if (isUnrouted) this.step(trace, 'unrouted', { detail: 'nobody took it' })
  }

  /**
   * A message is in a log, for each of `destinations`; later steps find it by its offset.
   * `isSynced`: told again when it is on disk.
   */
  stored(
    trace: number,
    log: TracedLog,
    {
      offset,
      destinations,
      partition = -1,
      isSynced,
    }: {
      readonly offset: number
      readonly destinations: readonly { readonly name: string }[]
      readonly partition?: number
      readonly isSynced: boolean
    },
  ): void {
    const isCounted = partition < 0 && destinations.length < UNCOUNTED
    this.place(trace, log, offset, isCounted ? destinations.length : UNCOUNTED)
    const detail = isSynced ? '' : 'not waited for until it is on disk'
    const atMs = this.#parts.now()
    for (const { name: at } of destinations) {
      this.#note(trace, atMs, 'stored', { ...NO_FACTS, at, offset, partition, detail })
    }
    if (isSynced) this.#awaitDisk({ trace, offset, partition })
  }

  /** From now on the message at that offset is this trace's. */
  place(trace: number, log: TracedLog, offset: number, holders: number): void {
    if (log.traced === null) {
      log.traced = new TracedOffsets()
      this.#logs.add(log)
    }
    log.traced.set(offset, trace * HOLDERS + holders)
    const { tracesMax } = this.#limits
    const before = this.#placeLogs[this.#placeAt]
    if (before !== undefined) this.#forget(before, this.#placeOffsets[this.#placeAt]!)
    this.#placeLogs[this.#placeAt] = log
    this.#placeOffsets[this.#placeAt] = offset
    this.#placeAt = (this.#placeAt + 1) % tracesMax
  }

  /** The trace of the message at that offset; 0: it has none. */
  traceOf({ traced }: TracedLog, offset: number): number {
    // Most often nothing of what is left is traced.
    if (traced === null || traced.size === 0) return 0
    const value = traced.get(offset)
    return value === undefined ? 0 : Math.floor(value / HOLDERS)
  }

  /** Some destination is done with the message; the last one ends the story of that offset. */
  ended(log: TracedLog, offset: number): void {
    const value = log.traced?.get(offset)
    if (value === undefined || value % HOLDERS === UNCOUNTED) return
    if (value % HOLDERS > 1) log.traced!.set(offset, value - 1)
    else this.#forget(log, offset)
  }

  /** Something happened to a traced message; nothing is kept where it was overwritten. */
  step(trace: number, step: Step, facts: StepFacts): void {
    this.note(trace, step, { ...NO_FACTS, ...facts })
  }

  /** The same, for what happens to every message. */
  note(trace: number, step: Step, facts: AllFacts): void {
    this.#note(trace, this.#parts.now(), step, facts)
  }

  /** A message that came in a batch, or otherwise not by a route. */
  openNamed(names: TraceNames, actor: Actor, facts: StepFacts): number {
    const trace = this.#log!.open(names)
    this.step(trace, 'published', { ...facts, by: actor })
    return trace
  }

  /**
   * Of so many messages in a row, those that rules take which want any; null: there are none, and
   * no rule wants to look at each.
   */
  pick(count: number): ReadonlySet<number> | null {
    let picks: Set<number> | null = null
    for (const rule of this.#rules.values()) {
      picks ??= rule.isOpen ? null : new Set()
      for (let at = 0; rule.isOpen && at < count; at++) {
        if (rule.takesNext()) (picks ??= new Set()).add(at)
      }
    }
    if (picks !== null) this.#endRules()
    return picks
  }

  /** Whether a rule that looks at each takes a message. */
  takes(candidate: () => Candidate): boolean {
    let isTaken = false
    for (const rule of this.#rules.values()) {
      if (!rule.isOpen && rule.takes(candidate())) isTaken = true
    }
    if (isTaken) this.#endRules()
    return isTaken
  }

  committed(ticket: number, error: EngineError | null): void {
    const waiting = this.#waiting.get(ticket) ?? []
    this.#waiting.delete(ticket)
    const detail = error?.message ?? ''
    const step = error === null ? 'on-disk' : 'not-stored'
    const atMs = this.#parts.now()
    for (const { trace, offset, partition } of waiting) {
      this.#note(trace, atMs, step, { ...NO_FACTS, offset, partition, detail })
    }
  }

  // --- inside ---

  #note(trace: number, atMs: number, step: Step, facts: AllFacts): void {
    const log = this.#log
    const names = log?.names(trace)
    if (log === null || names === undefined) return
    log.add(trace, atMs, step, facts)
    if (this.listener === null) return
    const { at, partition, offset, attempts, by } = facts
    const detail = detailOf(facts.detail, facts.bytes)
    this.listener.onStep(trace, names, {
      ...{ atMs, step, at, partition, offset, attempts, by, detail },
    })
  }

  #open(route: Route, draft: MessageDraft): void {
    const { exchange } = route
    const names = this.#namesOf(exchange.vhost, draft)
    const trace = this.#log!.open(names)
    draft.trace = trace
    const atMs = this.#parts.now()
    const bytes = draft.bodyEnd - draft.bodyStart
    const { detail, story } = this.#toldOf(route, draft)
    const published = { ...NO_FACTS, at: exchange.name, bytes, by: draft.actor, detail }
    this.#note(trace, atMs, 'published', published)
    // When its time comes it is routed as bindings stand then.
    if (draft.delayMs > 0 || draft.schedule !== null) return
    for (const { target: at, detail: why } of story.matched) {
      this.#note(trace, atMs, 'routed', { ...NO_FACTS, at, detail: why })
    }
    for (const { target: at, detail: why } of story.nearly) {
      this.#note(trace, atMs, 'nearly-routed', { ...NO_FACTS, at, detail: why })
    }
  }

  /** One for all messages of a route, where it follows from the key alone. */
  #toldOf(route: Route, draft: MessageDraft): ToldRoute {
    const known = this.#routes.get(route)
    if (known !== undefined) return known
    const { exchange, keys, cacheable } = route
    const { vhost } = exchange
    const story = this.#stories.tell(exchange, keys, {
      headers: this.#headersOf(vhost, draft),
      filtered: filteredDraft(draft, vhost.form(draft.form)),
    })
    const told = { detail: `key '${keys.join("', '")}'`, story }
    if (cacheable) this.#routes.set(route, told)
    return told
  }

  #candidateOf(route: Route, draft: MessageDraft): Candidate {
    const { exchange, keys, targets } = route
    const { vhost } = exchange
    return {
      vhost: vhost.name,
      exchange: exchange.name,
      keys,
      user: draft.actor?.user ?? null,
      headers: () => this.#headersOf(vhost, draft),
      names: () => this.#namesOf(vhost, draft),
      goesTo: (wanted) => {
        if (targets === null) {
          const { matched } = this.#stories.tell(exchange, keys, {
            headers: this.#headersOf(vhost, draft),
            filtered: filteredDraft(draft, vhost.form(draft.form)),
          })
          return matched.some(({ target }) => target === wanted)
        }
        const { durable, transient, topics } = targets
        return [durable, transient, topics].some((list) => list.some(({ name }) => name === wanted))
      },
    }
  }

  #headersOf(vhost: VirtualHost, draft: MessageDraft): ReturnType<Candidate['headers']> {
    const { header, headerStart, headerEnd } = draft
    return vhost.form(draft.form)?.headers(header, headerStart, headerEnd) ?? null
  }

  #namesOf(vhost: VirtualHost, draft: MessageDraft): TraceNames {
    const { header, headerStart: start, headerEnd: end } = draft
    return namesOf(vhost.name, vhost.form(draft.form), { header, start, end })
  }

  #endRules(): void {
    const now = this.#parts.now()
    for (const [id, rule] of this.#rules) if (rule.isOver(now)) this.stop(id)
  }

  #forget(log: TracedLog, offset: number): void {
    const { traced } = log
    if (traced === null || !traced.delete(offset)) return
    if (!this.isOn) this.#letGo(log)
  }

  /** Nothing of it is traced, and nothing will be: nobody need ask any more. */
  #letGo(log: TracedLog): void {
    if (log.traced?.size !== 0) return
    log.traced = null
    this.#logs.delete(log)
  }

  #awaitDisk(waiting: Waiting): void {
    const { cycle } = this.#parts
    const known = this.#waiting.get(cycle.ticket)
    if (known !== undefined) known.push(waiting)
    // Once for each turn.
    else this.#waiting.set(cycle.onCommit(this), [waiting])
  }

  #view(trace: number): TraceView | null {
    const names = this.#log?.names(trace)
    return names === undefined ? null : { trace, ...names, steps: this.#log!.stepsOf(trace) }
  }
}

function viewOf({ id: rule, spec, startedAtMs, endsAtMs, tracedCount }: TraceRule): TraceRuleView {
  const { forMs: _forMs, countMax, ...rest } = spec
  return {
    rule,
    ...rest,
    startedAtMs,
    endsAtMs: endsAtMs === Infinity ? null : endsAtMs,
    countMax: countMax === Infinity ? null : countMax,
    traced: tracedCount,
  }
}
