import type { DeathReason } from '../../src/broker/index.ts'
import type { ModelQueue } from './model-queue.ts'

export interface Death {
  readonly queue: string
  readonly reason: DeathReason
}

/** Where a copy of a message may be. `delayed`: held back by an exchange. */
export type Place = ModelQueue | 'delayed' | 'gone'

/** A stretch in the life of a token. The commit that began it lies from `from` up to `to`. */
export interface Stay {
  readonly place: Place
  readonly from: number
  readonly to: number
  /** Newest first, one for each pair of queue and reason. */
  readonly deaths: readonly Death[]
  /** Between these moments it expires; Infinity: never. */
  readonly expiresMin: number
  readonly expiresMax: number
  /** When it came, at the earliest. */
  readonly sinceMs: number
}

/**
 * One copy of one message: what one queue was given at first, wherever it wanders from there. The
 * broker's dead letters say where they died first, so every delivery shows whose token it is.
 */
export class Token {
  readonly id: number
  readonly origin: string
  readonly size: number
  readonly priority: number
  /** What keeps its order in a key-shared queue; empty: nothing does. */
  readonly orderKey: string
  /** Milliseconds since the epoch; 0: it was not held back. */
  readonly dueMs: number
  /** By which it is replaced and cancelled while it is held back; null: by nothing. */
  scheduleId: string | null = null
  /** The order in which the program published; dead letters keep that of the message. */
  readonly sequence: number
  readonly history: Stay[]
  /** Its offset in the queue where it is; -1 until it was seen there. */
  offset = -1
  isOut = false
  /** Who has it, while it is out. */
  holder: object | null = null
  /** Why it must leave its queue, and the commit from which on it may have. */
  dying: {
    readonly reason: DeathReason
    readonly ticket: number
    readonly sinceMs: number
  } | null = null
  /** How often it failed in the queue where it is, after which commit. */
  attempts: { readonly ticket: number; readonly count: number }[] = []
  /** Handed out in this queue: in this life of the broker, or before, when nobody knows. */
  delivered: 'never' | 'surely' | 'perhaps' = 'never'

  constructor(given: {
    readonly id: number
    readonly origin: string
    readonly size: number
    readonly priority: number
    readonly orderKey: string
    readonly dueMs: number
    readonly sequence: number
    readonly stay: Stay
  }) {
    this.id = given.id
    this.origin = given.origin
    this.size = given.size
    this.priority = given.priority
    this.orderKey = given.orderKey
    this.dueMs = given.dueMs
    this.sequence = given.sequence
    this.history = [given.stay]
  }

  get key(): string {
    return tokenKey(this.id, this.origin)
  }

  get stay(): Stay {
    return this.history.at(-1)!
  }

  get place(): Place {
    return this.stay.place
  }

  get attemptCount(): number {
    return this.attempts.at(-1)?.count ?? 0
  }

  /** Whether the program's order tells where it stands: dead and delayed ones came otherwise. */
  get isDirect(): boolean {
    return this.history.length === 1 && this.dueMs === 0 && this.stay.deaths.length === 0
  }

  enter(stay: Stay): void {
    this.history.push(stay)
    this.offset = -1
    this.isOut = false
    this.dying = null
    this.attempts = []
    this.delivered = 'never'
  }

  /** Stays in which the log up to and including commit `ticket` may have left it. */
  staysAt(ticket: number): Stay[] {
    const found: Stay[] = []
    for (const [index, stay] of this.history.entries()) {
      if (stay.from > ticket) continue
      const next = this.history[index + 1]
      if (next === undefined || next.to > ticket) found.push(stay)
    }
    return found
  }

  attemptsAt(ticket: number): number {
    return this.attempts.findLast((entry) => entry.ticket <= ticket)?.count ?? 0
  }

  toString(): string {
    const stays = this.history.map(({ place, from, to }) => {
      return `${typeof place === 'string' ? place : place.label}@${from}..${to}`
    })
    const state = `${this.isOut ? ', out' : ''}${this.dying === null ? '' : ', dying'}`
    return `message ${this.id} of '${this.origin}' (${stays.join(' > ')}${state})`
  }
}

export function tokenKey(id: number, origin: string): string {
  return `${id}/${origin}`
}

/** Adds a death as the newest. */
export function withDeath(deaths: readonly Death[], death: Death): Death[] {
  const others = deaths.filter((d) => d.queue !== death.queue || d.reason !== death.reason)
  return [death, ...others]
}

/** Whether a dead letter may not go there: it died there, and no rejection broke the circle. */
export function isCircle(deaths: readonly Death[], queue: string): boolean {
  const at = deaths.findIndex((d) => d.queue === queue)
  return at >= 0 && deaths.slice(0, at + 1).every((d) => d.reason !== 'rejected')
}
