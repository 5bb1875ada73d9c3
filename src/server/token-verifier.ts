import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import type { TokenClaims, TokenSource } from '../auth/index.ts'
import type { Clock } from '../lib/clock.ts'
import type { OAuth2Input } from './config-schema.ts'
import { StartupError } from './startup-error.ts'
import { keysOfFile, keysOfUrl } from './token-keys.ts'

/** Only those with a public key: with a shared one, whoever checks tokens could make them. */
const ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]

/** A token with more is refused: it would have to be looked through at each permission. */
const SCOPES_MAX = 1000

const NAME_LENGTH_MAX = 255

/** Checks tokens as the configuration says. Throws `StartupError`. */
export async function openTokenSource(input: OAuth2Input, clock: Clock): Promise<TokenSource> {
  try {
    const keys =
      input.keysFile === undefined
        ? keysOfUrl(new URL(input.keysUrl ?? ''))
        : await keysOfFile(input.keysFile)
    return new Verifier(input, keys, clock)
  } catch (cause) {
    const where = input.keysFile === undefined ? 'oauth2.keysUrl' : 'oauth2.keysFile'
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new StartupError('config', `${where} cannot be used: ${reason}`, { cause })
  }
}

class Verifier implements TokenSource {
  readonly #input: OAuth2Input
  readonly #keys: JWTVerifyGetKey
  readonly #clock: Clock
  readonly #prefix: string
  readonly #aliases: ReadonlyMap<string, readonly string[]>

  constructor(input: OAuth2Input, keys: JWTVerifyGetKey, clock: Clock) {
    this.#input = input
    this.#keys = keys
    this.#clock = clock
    this.#prefix = input.scopePrefix ?? `${input.resourceServerId}.`
    this.#aliases = new Map(
      (input.scopeAliases ?? []).map((text) => {
        const at = text.indexOf('=')
        return [text.slice(0, at), text.slice(at + 1).split(/\s+/)]
      }),
    )
  }

  async claimsOf(token: string): Promise<TokenClaims> {
    const { issuer, resourceServerId, verifyAudience = true } = this.#input
    const payload = await jwtVerify(token, this.#keys, {
      algorithms: [...ALGORITHMS],
      currentDate: new Date(this.#clock.now()),
      requiredClaims: ['exp'],
      ...(issuer === undefined ? {} : { issuer }),
      ...(verifyAudience ? { audience: resourceServerId ?? '' } : {}),
    }).then(
      (verified) => verified.payload,
      (error: unknown) => {
        throw new Error(`the token was refused: ${reasonOf(error)}`)
      },
    )
    // `exp` is required above.
    return {
      name: this.#nameIn(payload),
      scopes: this.#scopesIn(payload),
      expiresAtMs: payload.exp! * 1000,
    }
  }

  #nameIn(payload: JWTPayload): string {
    const { userClaims = ['sub', 'client_id'] } = this.#input
    for (const claim of userClaims) {
      const name = valueAt(payload, claim)
      if (typeof name !== 'string' || name === '') continue
      if (name.length > NAME_LENGTH_MAX || name.includes('\0')) break
      return name
    }
    throw new Error(`the token names nobody in ${userClaims.join(' or ')}`)
  }

  #scopesIn(payload: JWTPayload): readonly string[] {
    const { scopeClaims = ['scope'] } = this.#input
    const given = scopeClaims.flatMap((claim) => textsOf(valueAt(payload, claim)))
    const texts = given.flatMap((text) => this.#aliases.get(text) ?? [text])
    if (texts.length > SCOPES_MAX) {
      throw new Error(`the token has ${texts.length} scopes, limit is ${SCOPES_MAX}`)
    }
    return texts
      .filter((text) => text.startsWith(this.#prefix))
      .map((text) => text.slice(this.#prefix.length))
  }
}

/** What is wrong, without a word of the token. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JOSEError) return `${error.message} (${error.code})`
  return error instanceof Error ? error.message : 'unknown'
}

/** `a.b` is a claim of that name, or one inside another. */
function valueAt(payload: JWTPayload, claim: string): unknown {
  if (Object.hasOwn(payload, claim)) return payload[claim]
  let value: unknown = payload
  for (const part of claim.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

/** A list, or text with blanks. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return value.split(/\s+/).filter((text) => text !== '')
  if (!Array.isArray(value)) return []
  return value.filter((text): text is string => typeof text === 'string')
}
