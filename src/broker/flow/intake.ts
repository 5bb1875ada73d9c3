import type { Clock } from '../../lib/clock.ts'
import type { DestinationPolicy } from '../policy.ts'
import type { Flow } from './flow.ts'
import { Meter } from './meter.ts'
import type { Room } from './vhost-room.ts'

/** What becomes of a message at a destination that has limits. PASS_OVER: dropped and counted. */
export const INTAKE: { readonly TAKE: 0; readonly REFUSE: 1; readonly PASS_OVER: 2 } = {
  TAKE: 0,
  REFUSE: 1,
  PASS_OVER: 2,
}
export type IntakeResult = 0 | 1 | 2

/** How much a destination may hold. */
export interface Capacity extends Room {
  refuses(bodyBytes: number): boolean
  passesOver(bodyBytes: number): boolean
}

/** Whose intake it is. */
export interface IntakeHome {
  readonly name: string
  readonly profile: 'queue' | 'topic'
  consumers(): Iterable<{ readonly owner: object }>
}

/** Takes messages into a destination as fast and as many as its limits allow. */
export class Intake {
  /** Refused and passed over since the broker started. */
  readonly totals = { refused: 0, passedOver: 0 }
  readonly #home: IntakeHome
  readonly #clock: Clock
  readonly #capacity: Capacity | null
  #meter: Meter | null = null
  #overflow: DestinationPolicy['overflow']

  /** `capacity` null: it makes room by itself. */
  constructor(home: IntakeHome, clock: Clock, capacity: Capacity | null) {
    this.#home = home
    this.#clock = clock
    this.#capacity = capacity
  }

  /** Whether it must be asked at all. */
  get isLimited(): boolean {
    if (this.#meter !== null) return true
    const keepsAll = this.#overflow === undefined || this.#overflow === 'drop-head'
    return this.#capacity !== null && !keepsAll
  }

  apply(settings: DestinationPolicy): void {
    const { publishRateMax, publishBytesRateMax, rateBurstMs, overflow } = settings
    const { profile, name } = this.#home
    this.#overflow = overflow
    this.#meter = Meter.for(
      this.#meter,
      `publish rate of ${profile} '${name}'`,
      { messages: publishRateMax, bytes: publishBytesRateMax, burstMs: rateBurstMs },
      this.#clock.monotonicMs(),
    )
  }

  /** So many messages at once; `flow`: who publishes; null: the broker, which no rate holds. */
  takes(flow: Flow | null, bodyBytes: number, count = 1): IntakeResult {
    const result = this.#decide(flow, bodyBytes, count)
    if (result === INTAKE.REFUSE) this.totals.refused += count
    else if (result === INTAKE.PASS_OVER) this.totals.passedOver += count
    return result
  }

  /** Why it holds or refuses publishers now, and when to come again; null: it does neither. */
  get heldBackBy(): string | null {
    const meter = this.#meter
    const nowMs = this.#clock.monotonicMs()
    if (meter !== null && !meter.admits(nowMs)) {
      return `${meter.toString()}, again in ${meter.waitMs(nowMs)} ms`
    }
    return this.isLimited ? (this.#capacity?.fullBecause ?? null) : null
  }

  #decide(flow: Flow | null, bodyBytes: number, count: number): IntakeResult {
    const capacity = this.#capacity
    if (capacity !== null && this.#overflow !== undefined) {
      if (flow !== null && capacity.passesOver(bodyBytes)) return INTAKE.PASS_OVER
      if (capacity.refuses(bodyBytes)) {
        if (this.#overflow !== 'block' || flow === null || this.#consumes(flow)) {
          return INTAKE.REFUSE
        }
        flow.isFull(capacity)
      }
    }
    if (this.#meter === null || flow === null) return INTAKE.TAKE
    return this.#measure(this.#meter, flow, bodyBytes, count)
  }

  #measure(meter: Meter, flow: Flow, bodyBytes: number, count: number): IntakeResult {
    const nowMs = this.#clock.monotonicMs()
    const overflow = this.#overflow ?? 'drop-head'
    const holds = overflow === 'drop-head' || overflow === 'block'
    if (!holds && !meter.admits(nowMs)) {
      return overflow === 'sample' ? INTAKE.PASS_OVER : INTAKE.REFUSE
    }
    meter.use(count, bodyBytes, nowMs)
    if (holds && !meter.admits(nowMs)) flow.usedUp(meter)
    return INTAKE.TAKE
  }

  /** Whoever consumes here too cannot wait: to be read again is how it makes room. */
  #consumes(flow: Flow): boolean {
    for (const { owner } of this.#home.consumers()) if (owner === flow.names.owner) return true
    return false
  }
}
