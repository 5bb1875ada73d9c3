import type { RandomSource } from '../../lib/random.ts'
import type { HeaderMap } from '../../model/header-value.ts'
import { createMatcher, type Matcher, RoutingKey } from '../routing/index.ts'
import type { TraceNames } from './trace-log.ts'

/** Into how many steps chance is divided. */
const CHANCES = 1_000_000_000

/** Which messages are traced; all that is named must hold. */
export interface TraceRuleSpec {
  /** null: those of all virtual hosts. */
  readonly vhost: string | null
  /** Which part of them, above 0, 1: all. */
  readonly sample: number
  /** What goes to this destination. */
  readonly destination?: string | undefined
  /** What is published to this exchange. */
  readonly exchange?: string | undefined
  /** With a key that matches this pattern: `*` is one word, `#` any number. */
  readonly key?: string | undefined
  readonly user?: string | undefined
  /** The header and its value as text. */
  readonly header?: { readonly name: string; readonly value: string } | undefined
  /** A message id, correlation id or trace id. */
  readonly id?: string | undefined
  /** For so long; Infinity: until it is stopped. */
  readonly forMs: number
  /** So many messages; Infinity: any number. */
  readonly countMax: number
}

/** What a rule looks at; the last two are asked for only where a rule needs them. */
export interface Candidate {
  readonly vhost: string
  readonly exchange: string
  readonly keys: readonly string[]
  readonly user: string | null
  headers(): HeaderMap | null
  names(): TraceNames
  goesTo(destination: string): boolean
}

const TARGET = {}

/** One rule that runs: which messages it wants, and how many it still may have. */
export class TraceRule {
  readonly id: number
  readonly spec: TraceRuleSpec
  readonly startedAtMs: number
  tracedCount = 0
  readonly #random: RandomSource
  readonly #matcher: Matcher<object> | null
  readonly #key = new RoutingKey()
  readonly #targets = new Set<object>()
  /** Whether it wants whatever is published, but for the sample. */
  readonly #isOpen: boolean
  /** Messages to let pass before the next one is taken. */
  #gap: number

  constructor(
    id: number,
    spec: TraceRuleSpec,
    { random, nowMs }: { readonly random: RandomSource; readonly nowMs: number },
  ) {
    this.id = id
    this.spec = spec
    this.startedAtMs = nowMs
    this.#random = random
    this.#matcher = spec.key === undefined ? null : createMatcher('topic', { idOf, random })
    this.#matcher?.add(TARGET, spec.key!)
    const { vhost, destination, exchange, user, header, id: wanted } = spec
    const filters = [vhost ?? undefined, destination, exchange, user, header, wanted, spec.key]
    this.#isOpen = filters.every((each) => each === undefined)
    this.#gap = this.#nextGap()
  }

  get endsAtMs(): number {
    return this.startedAtMs + this.spec.forMs
  }

  /** Whether nothing more is taken by it. */
  isOver(nowMs: number): boolean {
    return this.tracedCount >= this.spec.countMax || nowMs >= this.endsAtMs
  }

  /** HOT while it is on: one message; the candidate is looked at as little as possible. */
  takes(candidate: Candidate): boolean {
    if (!this.#isOpen && !this.#isWanted(candidate)) return false
    return this.takesNext()
  }

  /** The sample's word on a message that is wanted. */
  takesNext(): boolean {
    if (this.#gap > 0) {
      this.#gap--
      return false
    }
    this.#gap = this.#nextGap()
    this.tracedCount++
    return true
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Chance is asked once for each message taken, not for each that passes. */
  #nextGap(): number {
    const { sample } = this.spec
    if (sample >= 1) return 0
    const chance = (this.#random.integer(CHANCES) + 1) / (CHANCES + 1)
    return Math.floor(Math.log(chance) / Math.log(1 - sample))
  }

  #isWanted(candidate: Candidate): boolean {
    const { vhost, destination, exchange, user, header, id } = this.spec
    if (vhost !== null && candidate.vhost !== vhost) return false
    if (exchange !== undefined && candidate.exchange !== exchange) return false
    if (user !== undefined && candidate.user !== user) return false
    if (this.#matcher !== null && !candidate.keys.some((key) => this.#matches(key))) return false
    if (header !== undefined) {
      const value = candidate.headers()?.get(header.name)
      if (value === undefined || typeof value === 'object') return false
      if (String(value) !== header.value) return false
    }
    if (id !== undefined && !hasId(candidate.names(), id)) return false
    return destination === undefined || candidate.goesTo(destination)
  }

  #matches(key: string): boolean {
    this.#targets.clear()
    this.#matcher!.match(this.#key.setText(key), null, this.#targets)
    return this.#targets.size > 0
  }
}

/** Whether a message is known by that id: its own, its correlation id or its trace id. */
export function hasId(names: TraceNames, id: string): boolean {
  if (id === '') return false
  if (names.messageId === id || names.correlationId === id || names.traceparent === id) return true
  return traceIdOf(names.traceparent) === id.toLowerCase()
}

/** `00-<trace id>-<parent id>-<flags>`; '' where it is none (W3C Trace Context). */
function traceIdOf(traceparent: string): string {
  return /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(traceparent)?.[1] ?? ''
}

function idOf(): string {
  return ''
}
