import type { Clock, Timer } from '../lib/clock.ts'
import { TOKEN_RENEWAL_MS, TOKEN_RETRY_MS } from './limits.ts'

/** A token of an identity provider, or how to get one that is good now. */
export type LoginToken = string | (() => string | Promise<string>)

/** Gets a token for each connection, and another one before it ends where the connection can use it. */
export class TokenKeeper {
  readonly #source: LoginToken
  readonly #clock: Clock
  #timer: Timer | null = null
  #isClosed = false

  constructor(source: LoginToken, clock: Clock) {
    this.#source = source
    this.#clock = clock
  }

  /** Rejects as whoever makes tokens does. */
  async get(): Promise<string> {
    const source = this.#source
    return typeof source === 'string' ? source : source()
  }

  /** Calls back with each token that follows this one; the call before it is over by that. */
  renewAfter(token: string, renewed: (token: string) => void): void {
    this.#timer?.cancel()
    const endMs = endOf(token)
    if (typeof this.#source === 'string' || endMs === null || this.#isClosed) return
    const leftMs = Math.max(endMs - this.#clock.now(), 0)
    const waitMs = Math.max(leftMs - Math.min(leftMs / 4, TOKEN_RENEWAL_MS), TOKEN_RETRY_MS)
    this.#timer = this.#clock.setTimer(waitMs, () => {
      this.get().then(
        (next) => {
          if (this.#isClosed) return
          renewed(next)
          this.renewAfter(next, renewed)
        },
        // The one that is there is good for a while, and then the server says what is wrong.
        () => this.renewAfter(token, renewed),
      )
    })
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }
}

/** When a JSON Web Token ends; null: it does not say, or is none. */
function endOf(token: string): number | null {
  const [, claims = ''] = token.split('.')
  try {
    const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8')) as Claims
    return typeof exp === 'number' ? exp * 1000 : null
  } catch {
    // A token of another kind is nobody's business but the server's.
    return null
  }
}

interface Claims {
  readonly exp?: unknown
}
