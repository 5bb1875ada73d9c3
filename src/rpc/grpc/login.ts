import type { Callee } from '../call.ts'
import type { Status } from '../status.ts'

/** Who calls, and what they reach. */
export interface Caller {
  readonly user: string
  readonly vhost: string | null
  /** What providers serve. */
  readonly relay: Callee
  /** Health and reflection. */
  readonly own: Callee
  /** Null: it may be called. */
  refusalOf(path: string): Status | null
  /** Its provider says that it has no side effects. */
  isSafe(path: string): boolean
  /** Permissions have changed. */
  forget(): void
  /** The connection takes no more calls; those without an end of their own are to end. */
  drain(reason: string): void
}

/** What came of a login: who it is, or why it is nobody. */
export type LoginOutcome = Caller | Status

/** A login that is under way, or is over. */
export class Login {
  outcome: LoginOutcome | null = null
  /** It holds no longer, by the clock on the wall. */
  expiresAtMs: number = Infinity
  #waiting: ((outcome: LoginOutcome) => void)[] = []

  /** Not for one that is over. The calls of a connection are limited, and so are these. */
  whenOver(then: (outcome: LoginOutcome) => void): void {
    this.#waiting.push(then)
  }

  end(outcome: LoginOutcome): void {
    this.outcome = outcome
    const waiting = this.#waiting
    this.#waiting = []
    for (const then of waiting) then(outcome)
  }
}

/** The logins of one connection, by what its requests say in `authorization`. */
export interface Logins {
  readonly callers: readonly Caller[]
  /** Whether a value of `authorization` is for whoever listens, and so not for who provides a service. */
  isOurs(authorization: string): boolean
  /** `vhost` null: nothing was said. */
  of(authorization: string, vhost: string | null): Login
}

export function isCaller(outcome: LoginOutcome): outcome is Caller {
  return 'relay' in outcome
}

/** Whether a value of `authorization` has name and password of HTTP Basic. */
export function isBasic(authorization: string): boolean {
  return /^basic /i.test(authorization)
}

/** The token of `Bearer` (RFC 6750), empty when there is none; null: it is another scheme. */
export function bearerOf(authorization: string): string | null {
  const found = /^bearer(?: (.*))?$/i.exec(authorization)
  return found === null ? null : (found[1] ?? '').trim()
}

/** Name and password of HTTP Basic; null: it is another scheme. */
export function basicOf(authorization: string): { username: string; password: string } | null {
  if (!isBasic(authorization)) return null
  const text = Buffer.from(authorization.slice(6), 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return { username: text, password: '' }
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}
