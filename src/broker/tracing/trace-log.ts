import type { Actor } from '../../model/actor.ts'
import { TRACE_TEXT_MAX, type TraceLimits } from './limits.ts'

/** What can happen to a message. */
export const STEPS: readonly [
  'published',
  'routed',
  'nearly-routed',
  'unrouted',
  'refused',
  'delayed',
  'due',
  'stored',
  'on-disk',
  'not-stored',
  'delivered',
  'accepted',
  'released',
  'failed',
  'held',
  'rejected',
  'dropped',
  'dead-lettered',
  'kept',
  'redriven',
  'purged',
  'fetched',
  'committed',
] = [
  'published',
  'routed',
  'nearly-routed',
  'unrouted',
  'refused',
  'delayed',
  'due',
  'stored',
  'on-disk',
  'not-stored',
  'delivered',
  'accepted',
  'released',
  'failed',
  'held',
  'rejected',
  'dropped',
  'dead-lettered',
  'kept',
  'redriven',
  'purged',
  'fetched',
  'committed',
]
export type Step = (typeof STEPS)[number]

/** One thing that happened to one message. */
export interface TraceStep {
  readonly atMs: number
  readonly step: Step
  /** The destination, or the exchange where it was published; '' where none is meant. */
  readonly at: string
  /** Of a topic; -1: none is meant. */
  readonly partition: number
  /** -1: none is meant. */
  readonly offset: number
  /** Failed attempts in that queue so far. */
  readonly attempts: number
  readonly by: Actor | null
  readonly detail: string
}

/** Columns that one step may leave empty. */
export type StepFacts = Partial<Omit<TraceStep, 'atMs' | 'step'>>

/** By what a message may be asked for; '' for what it does not have. */
export interface TraceNames {
  readonly vhost: string
  readonly messageId: string
  readonly correlationId: string
  readonly traceparent: string
  readonly tracestate: string
}

/**
 * Traced messages and their steps in two rings of fixed size, numbers in typed arrays: what is
 * oldest is overwritten and counted. Kept in memory only; a restart forgets all.
 */
export class TraceLog {
  /** Steps that were overwritten. */
  overwrittenCount = 0
  readonly #limits: TraceLimits
  #lastTrace = 0
  readonly #names: (TraceNames | undefined)[]
  /** Steps are numbered from 0; those from `#first` to before `#next` are there. */
  #first = 0
  #next = 0
  #textBytes = 0
  readonly #traces: Float64Array
  readonly #times: Float64Array
  readonly #offsets: Float64Array
  readonly #partitions: Int32Array
  readonly #attempts: Uint32Array
  readonly #steps: Uint8Array
  readonly #ats: string[]
  readonly #details: string[]
  readonly #actors: (Actor | null)[]

  constructor(limits: TraceLimits) {
    this.#limits = limits
    const { stepsMax, tracesMax } = limits
    this.#names = Array.from<TraceNames | undefined>({ length: tracesMax })
    this.#traces = new Float64Array(stepsMax)
    this.#times = new Float64Array(stepsMax)
    this.#offsets = new Float64Array(stepsMax)
    this.#partitions = new Int32Array(stepsMax)
    this.#attempts = new Uint32Array(stepsMax)
    this.#steps = new Uint8Array(stepsMax)
    this.#ats = Array.from<string>({ length: stepsMax }).fill('')
    this.#details = Array.from<string>({ length: stepsMax }).fill('')
    this.#actors = Array.from<Actor | null>({ length: stepsMax }).fill(null)
  }

  get traceCount(): number {
    return Math.min(this.#lastTrace, this.#limits.tracesMax)
  }

  get stepCount(): number {
    return this.#next - this.#first
  }

  /** A new message to trace; returns its number, 1 or more. */
  open(names: TraceNames): number {
    const trace = ++this.#lastTrace
    const before = this.#names[trace % this.#limits.tracesMax]
    if (before !== undefined) this.#textBytes -= bytesOf(before)
    this.#names[trace % this.#limits.tracesMax] = names
    this.#textBytes += bytesOf(names)
    return trace
  }

  /** What a trace is known by; undefined: it was overwritten. */
  names(trace: number): TraceNames | undefined {
    if (trace < 1 || trace > this.#lastTrace) return undefined
    if (trace <= this.#lastTrace - this.#limits.tracesMax) return undefined
    return this.#names[trace % this.#limits.tracesMax]
  }

  add(trace: number, atMs: number, step: Step, facts: StepFacts): void {
    const { stepsMax, textBytesMax } = this.#limits
    const at = cut(facts.at ?? '')
    const detail = cut(facts.detail ?? '')
    if (this.#next - this.#first >= stepsMax) this.#forgetFirst()
    this.#textBytes += at.length + detail.length
    while (this.#textBytes > textBytesMax && this.#first < this.#next) this.#forgetFirst()
    const slot = this.#next % stepsMax
    this.#next++
    this.#traces[slot] = trace
    this.#times[slot] = atMs
    this.#steps[slot] = STEPS.indexOf(step)
    this.#offsets[slot] = facts.offset ?? -1
    this.#partitions[slot] = facts.partition ?? -1
    this.#attempts[slot] = facts.attempts ?? 0
    this.#ats[slot] = at
    this.#details[slot] = detail
    this.#actors[slot] = facts.by ?? null
  }

  /** In the order they happened. */
  stepsOf(trace: number): TraceStep[] {
    const found: TraceStep[] = []
    const { stepsMax } = this.#limits
    for (let number = this.#first; number < this.#next; number++) {
      const slot = number % stepsMax
      if (this.#traces[slot] === trace) found.push(this.#stepAt(slot))
    }
    return found
  }

  /** The numbers of traces, the newest first, whose names `isWanted` picks. */
  find(isWanted: (names: TraceNames, trace: number) => boolean, countMax: number): number[] {
    const found: number[] = []
    const oldest = Math.max(1, this.#lastTrace - this.#limits.tracesMax + 1)
    for (let trace = this.#lastTrace; trace >= oldest && found.length < countMax; trace--) {
      const names = this.#names[trace % this.#limits.tracesMax]
      if (names !== undefined && isWanted(names, trace)) found.push(trace)
    }
    return found
  }

  /** Traces that were at an offset of a destination, the newest first. */
  findPlace(
    place: { readonly at: string; readonly partition: number; readonly offset: number },
    countMax: number,
  ): number[] {
    const found = new Set<number>()
    const { stepsMax } = this.#limits
    for (let number = this.#next - 1; number >= this.#first && found.size < countMax; number--) {
      const slot = number % stepsMax
      if (this.#offsets[slot] !== place.offset || this.#ats[slot] !== place.at) continue
      if (place.partition >= 0 && this.#partitions[slot] !== place.partition) continue
      found.add(this.#traces[slot]!)
    }
    return [...found]
  }

  #stepAt(slot: number): TraceStep {
    return {
      atMs: this.#times[slot]!,
      step: STEPS[this.#steps[slot]!]!,
      at: this.#ats[slot]!,
      partition: this.#partitions[slot]!,
      offset: this.#offsets[slot]!,
      attempts: this.#attempts[slot]!,
      by: this.#actors[slot]!,
      detail: this.#details[slot]!,
    }
  }

  #forgetFirst(): void {
    const slot = this.#first % this.#limits.stepsMax
    this.#first++
    this.overwrittenCount++
    this.#textBytes -= this.#ats[slot]!.length + this.#details[slot]!.length
    this.#ats[slot] = ''
    this.#details[slot] = ''
    this.#actors[slot] = null
  }
}

function bytesOf(names: TraceNames): number {
  return (
    names.messageId.length +
    names.correlationId.length +
    names.traceparent.length +
    names.tracestate.length
  )
}

export function cut(text: string): string {
  return text.length <= TRACE_TEXT_MAX ? text : `${text.slice(0, TRACE_TEXT_MAX - 1)}…`
}
