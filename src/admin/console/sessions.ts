import { createHash, timingSafeEqual } from 'node:crypto'
import { principalOf, type User, type UserStore } from '../../auth/index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { RandomSource } from '../../lib/random.ts'
import { SESSION_MS, SESSIONS_MAX } from './limits.ts'

/** Only users of this tag may look at the console. */
export const ADMINISTRATOR = 'administrator'

/** Says that a change comes from the console's own page, which alone can read what it must hold. */
export const CSRF_HEADER = 'x-waystation-csrf'

const COOKIE = 'waystation-session'
const TOKEN_BYTES = 32

/** Somebody who logged in on the page. */
export interface ConsoleSession {
  readonly user: string
  /** Whom to ask permissions for. */
  readonly principal: string
  /** What each change must bear in `CSRF_HEADER`. */
  readonly csrf: string
  readonly endsAtMs: number
}

interface SessionParts {
  readonly users: UserStore
  readonly random: RandomSource
  readonly clock: Clock
}

/**
 * Who is logged in, known by a cookie that no script can read. Kept in memory as the digest of the
 * cookie alone, so a restart ends all of them and a dump of the heap opens nothing.
 */
export class ConsoleSessions {
  readonly #parts: SessionParts
  /** By digest of the cookie, the oldest first. */
  readonly #sessions = new Map<string, ConsoleSession>()
  readonly #open = new Set<ConsoleSession>()

  constructor(parts: SessionParts) {
    this.#parts = parts
    parts.users.onChange((name) => this.#userChanged(name))
  }

  /** Returns the session and the cookie that stands for it. */
  open(opener: User, isSecure: boolean): { session: ConsoleSession; cookie: string } {
    const { random, clock } = this.#parts
    const { name: user, expiresAtMs = Infinity } = opener
    const token = random.bytes(TOKEN_BYTES).toString('base64url')
    const csrf = random.bytes(TOKEN_BYTES).toString('base64url')
    const endsAtMs = Math.min(clock.now() + SESSION_MS, expiresAtMs)
    const session = { user, principal: principalOf(opener), csrf, endsAtMs }
    for (const [oldest] of this.#sessions) {
      if (this.#sessions.size < SESSIONS_MAX) break
      this.#end(oldest)
    }
    this.#sessions.set(digest(token), session)
    this.#open.add(session)
    return { session, cookie: cookieOf(token, SESSION_MS / 1000, isSecure) }
  }

  /** Who sends this request; null: nobody who is logged in. */
  find(request: Request): ConsoleSession | null {
    const token = tokenOf(request)
    if (token === null) return null
    const session = this.#sessions.get(digest(token))
    return session !== undefined && this.isOpen(session) ? session : null
  }

  /** Whether it has neither run out nor been ended. */
  isOpen(session: ConsoleSession): boolean {
    if (session.endsAtMs <= this.#parts.clock.now()) return false
    return this.#open.has(session)
  }

  /** Returns the cookie that takes the other one away. */
  close(request: Request, isSecure: boolean): string {
    const token = tokenOf(request)
    if (token !== null) this.#end(digest(token))
    return cookieOf('', 0, isSecure)
  }

  /** A new password, other tags, or gone: whoever it is logs in again. */
  #userChanged(name: string): void {
    for (const [key, { user }] of this.#sessions) if (user === name) this.#end(key)
  }

  #end(key: string): void {
    const session = this.#sessions.get(key)
    this.#sessions.delete(key)
    if (session !== undefined) this.#open.delete(session)
  }
}

/** Whether the request shows that it comes from the page of this session. */
export function isFromPage(request: Request, session: ConsoleSession): boolean {
  const given = Buffer.from(request.headers.get(CSRF_HEADER) ?? '')
  const wanted = Buffer.from(session.csrf)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

/** Whether it bears the cookie at all, good or bad. */
export function isOfBrowser(request: Request): boolean {
  return tokenOf(request) !== null || request.headers.has(CSRF_HEADER)
}

function tokenOf(request: Request): string | null {
  for (const pair of (request.headers.get('cookie') ?? '').split(';')) {
    const equals = pair.indexOf('=')
    if (pair.slice(0, equals).trim() === COOKIE) return pair.slice(equals + 1).trim()
  }
  return null
}

function cookieOf(token: string, seconds: number, isSecure: boolean): string {
  const secure = isSecure ? '; Secure' : ''
  return `${COOKIE}=${token}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
