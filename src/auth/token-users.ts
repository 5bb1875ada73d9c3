import { createHash } from 'node:crypto'
import { BrokerError } from '../model/errors.ts'
import { TOKEN_GRANT_KEPT_MS, TOKEN_GRANTS_MAX } from './limits.ts'
import { TokenScopes } from './token-scopes.ts'

/** What a token that was found good says. */
export interface TokenClaims {
  readonly name: string
  /** Those meant for this broker, without their prefix. */
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number
}

/** Tells good tokens from others. */
export interface TokenSource {
  /** Rejects with a reason for the log, which never holds the token. */
  claimsOf(token: string): Promise<TokenClaims>
}

/** Whether a password is one; header, claims and signature of a JSON Web Token. */
export function isTokenForm(password: string): boolean {
  return TOKEN_FORM.test(password)
}

const TOKEN_FORM = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/

/** Divides the name from what tells grants of one name apart; no name of a stored user has it. */
const DIVIDER = '\0'

/** The name by which a principal is shown. */
export function nameOfPrincipal(principal: string): string {
  const at = principal.indexOf(DIVIDER)
  return at < 0 ? principal : principal.slice(0, at)
}

/**
 * What the bearers of tokens may do. The same name with other scopes is another principal, so that
 * a token of a program that may do little gains nothing from one that may do more. Kept in memory
 * only, until some time behind the end of the token.
 */
export class TokenUsers {
  readonly #grants = new Map<string, { readonly scopes: TokenScopes; expiresAtMs: number }>()

  get size(): number {
    return this.#grants.size
  }

  /** Returns the principal. Throws `UNAVAILABLE` when there are too many. */
  grant({ name, scopes, expiresAtMs }: TokenClaims, nowMs: number): string {
    const digest = createHash('sha256')
      .update(JSON.stringify([...new Set(scopes)].toSorted()))
      .digest('base64url')
    const principal = `${name}${DIVIDER}${digest}`
    const known = this.#grants.get(principal)
    if (known !== undefined) {
      known.expiresAtMs = Math.max(known.expiresAtMs, expiresAtMs)
      return principal
    }
    if (this.#grants.size >= TOKEN_GRANTS_MAX) this.#forgetExpired(nowMs)
    this.#grants.set(principal, { scopes: new TokenScopes(scopes), expiresAtMs })
    return principal
  }

  scopesOf(principal: string): TokenScopes | null {
    return this.#grants.get(principal)?.scopes ?? null
  }

  #forgetExpired(nowMs: number): void {
    for (const [principal, { expiresAtMs }] of this.#grants) {
      if (expiresAtMs + TOKEN_GRANT_KEPT_MS < nowMs) this.#grants.delete(principal)
    }
    if (this.#grants.size < TOKEN_GRANTS_MAX) return
    const text = `${this.#grants.size} different tokens are in use, limit is ${TOKEN_GRANTS_MAX}`
    throw new BrokerError('UNAVAILABLE', text)
  }
}
