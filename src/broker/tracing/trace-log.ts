import type { Actor } from '../../model/actor.ts'
import { TextPool } from './text-pool.ts'
import { TRACE_TEXT_MAX, type TraceLimits } from './limits.ts'

/** Room for so many steps at first. */
const FIRST_CAPACITY = 1024

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

const CODES: ReadonlyMap<Step, number> = new Map(STEPS.map((step, code) => [step, code]))

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

/** What a step says beside its time and kind; `bytes`, -1: none is meant, are added to the detail. */
export interface AllFacts extends Omit<TraceStep, 'atMs' | 'step'> {
  readonly bytes: number
}

/** What is left out is empty. */
export type StepFacts = Partial<AllFacts>

/** Spread first, so that all facts have one shape: each step of a sampled message is found cold. */
export const NO_FACTS: AllFacts = {
  ...{ at: '', partition: -1, offset: -1, attempts: 0, bytes: -1, by: null, detail: '' },
}

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
  /** By number, round and round; grows until there are as many as there may be. */
  readonly #names: (TraceNames | undefined)[] = []
  /** Steps are numbered from 0; those from `#first` to before `#next` are there. */
  #first = 0
  #next = 0
  #textBytes = 0
  readonly #texts = new TextPool()
  #ring: Ring

  constructor(limits: TraceLimits) {
    this.#limits = limits
    this.#ring = ringOf(Math.min(FIRST_CAPACITY, limits.stepsMax))
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
    const place = (trace - 1) % this.#limits.tracesMax
    const before = this.#names[place]
    if (before !== undefined) this.#textBytes -= bytesOf(before)
    this.#names[place] = names
    this.#textBytes += bytesOf(names)
    return trace
  }

  /** What a trace is known by; undefined: it was overwritten. */
  names(trace: number): TraceNames | undefined {
    const { tracesMax } = this.#limits
    if (trace < 1 || trace > this.#lastTrace || trace <= this.#lastTrace - tracesMax) {
      return undefined
    }
    return this.#names[(trace - 1) % tracesMax]
  }

  add(trace: number, atMs: number, step: Step, facts: AllFacts): void {
    const { stepsMax, textBytesMax } = this.#limits
    const at = cut(facts.at)
    const detail = this.#texts.get(cut(facts.detail))
    if (this.#next - this.#first >= this.#ring.capacity) {
      if (this.#ring.capacity < stepsMax) this.#grow()
      else this.#forgetFirst()
    }
    this.#textBytes += at.length + detail.length
    while (this.#textBytes > textBytesMax && this.#first < this.#next) this.#forgetFirst()
    const { numbers, ats, details, actors, capacity } = this.#ring
    const slot = this.#next % capacity
    this.#next++
    const place = slot * STRIDE
    numbers[place + TRACE] = trace
    numbers[place + TIME] = atMs
    numbers[place + STEP] = CODES.get(step)!
    numbers[place + OFFSET] = facts.offset
    numbers[place + PARTITION] = facts.partition
    numbers[place + ATTEMPTS] = facts.attempts
    numbers[place + BYTES] = facts.bytes
    ats[slot] = at
    details[slot] = detail
    actors[slot] = facts.by
  }

  /** In the order they happened. */
  stepsOf(trace: number): TraceStep[] {
    const found: TraceStep[] = []
    const { capacity, numbers } = this.#ring
    for (let number = this.#first; number < this.#next; number++) {
      const slot = number % capacity
      if (numbers[slot * STRIDE + TRACE] === trace) found.push(this.#stepAt(slot))
    }
    return found
  }

  /** The numbers of traces, the newest first, whose names `isWanted` picks. */
  find(isWanted: (names: TraceNames, trace: number) => boolean, countMax: number): number[] {
    const found: number[] = []
    for (let trace = this.#lastTrace; found.length < countMax; trace--) {
      const names = this.names(trace)
      if (names === undefined) break
      if (isWanted(names, trace)) found.push(trace)
    }
    return found
  }

  /** Traces that were at an offset of a destination, the newest first. */
  findPlace(
    place: { readonly at: string; readonly partition: number; readonly offset: number },
    countMax: number,
  ): number[] {
    const found = new Set<number>()
    const { capacity, numbers, ats } = this.#ring
    for (let number = this.#next - 1; number >= this.#first && found.size < countMax; number--) {
      const slot = number % capacity
      const start = slot * STRIDE
      if (numbers[start + OFFSET] !== place.offset || ats[slot] !== place.at) continue
      if (place.partition >= 0 && numbers[start + PARTITION] !== place.partition) continue
      found.add(numbers[start + TRACE]!)
    }
    return [...found]
  }

  #stepAt(slot: number): TraceStep {
    const { numbers, ats, details, actors } = this.#ring
    const place = slot * STRIDE
    return {
      atMs: numbers[place + TIME]!,
      step: STEPS[numbers[place + STEP]!]!,
      at: ats[slot]!,
      partition: numbers[place + PARTITION]!,
      offset: numbers[place + OFFSET]!,
      attempts: numbers[place + ATTEMPTS]!,
      by: actors[slot]!,
      detail: detailOf(details[slot]!, numbers[place + BYTES]!),
    }
  }

  /** Twice the room, until there is as much as there may be. */
  #grow(): void {
    const before = this.#ring
    const after = ringOf(Math.min(before.capacity * 2, this.#limits.stepsMax))
    for (let number = this.#first; number < this.#next; number++) {
      const from = number % before.capacity
      const to = number % after.capacity
      const start = from * STRIDE
      after.numbers.set(before.numbers.subarray(start, start + STRIDE), to * STRIDE)
      after.ats[to] = before.ats[from]!
      after.details[to] = before.details[from]!
      after.actors[to] = before.actors[from]!
    }
    this.#ring = after
  }

  #forgetFirst(): void {
    const { capacity, ats, details, actors } = this.#ring
    const slot = this.#first % capacity
    this.#first++
    this.overwrittenCount++
    this.#textBytes -= ats[slot]!.length + details[slot]!.length
    ats[slot] = ''
    details[slot] = ''
    actors[slot] = null
  }
}

/**
 * One step in each place, the next number in the next place, round and round. Its numbers are side
 * by side: a step that is written between a hundred messages finds none of it in the cache, and
 * pays for one line instead of six.
 */
interface Ring {
  readonly capacity: number
  readonly numbers: Float64Array
  readonly ats: string[]
  readonly details: string[]
  readonly actors: (Actor | null)[]
}

/** Numbers of a step, and where each is: eight fill a line of the cache. */
const STRIDE = 8
const [TRACE, TIME, STEP, OFFSET, PARTITION, ATTEMPTS, BYTES] = [0, 1, 2, 3, 4, 5, 6] as const

function ringOf(capacity: number): Ring {
  return {
    capacity,
    numbers: new Float64Array(capacity * STRIDE),
    ats: Array.from<string>({ length: capacity }).fill(''),
    details: Array.from<string>({ length: capacity }).fill(''),
    actors: Array.from<Actor | null>({ length: capacity }).fill(null),
  }
}

/** The text and the size, which differs from message to message, in one. */
export function detailOf(detail: string, bytes: number): string {
  return bytes < 0 ? detail : `${detail}, ${bytes} bytes`
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
