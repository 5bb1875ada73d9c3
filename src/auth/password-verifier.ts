import { createHmac } from 'node:crypto'
import type { RandomSource } from '../lib/random.ts'
import { BrokerError } from '../model/errors.ts'
import {
  HASHINGS_AT_ONCE_MAX,
  HASHINGS_WAITING_MAX,
  PASSWORD_COST,
  SCRAM_SALT_BYTES,
  type ScryptCost,
  VERIFICATIONS_CACHED_MAX,
} from './limits.ts'
import { hashPassword, matchesHash } from './password-hash.ts'
import { saltedHashOf } from './salted-hash.ts'
import { deriveScramVerifier, type ScramName, type ScramVerifier } from './scram-verifier.ts'

/**
 * Checks passwords against stored hashes without paying for scrypt at each connection.
 *
 * What was found right is remembered as an HMAC under a key of this process, over stored hash
 * and password: nothing that is kept can be turned back, and a changed password is not found.
 * What is wrong is never remembered. Equal questions that come together are answered together.
 */
export class PasswordVerifier {
  readonly #random: RandomSource
  readonly #cost: ScryptCost
  readonly #secret: Buffer
  readonly #known = new Set<string>()
  readonly #asked = new Map<string, Promise<boolean>>()
  readonly #waiting: (() => void)[] = []
  #running = 0
  #nobody: Promise<string> | null = null

  constructor(random: RandomSource, cost: ScryptCost = PASSWORD_COST) {
    this.#random = random
    this.#cost = cost
    this.#secret = random.bytes(32)
  }

  /** Rejects with `UNAVAILABLE` when too many wait. */
  hash(password: string, cost: ScryptCost = this.#cost): Promise<string> {
    return this.#inTurn(() => hashPassword(password, cost, this.#random))
  }

  /** What SCRAM needs of it. Rejects with `UNAVAILABLE` when too many wait. */
  scram(mechanism: ScramName, password: string, iterations: number): Promise<ScramVerifier> {
    const salt = this.#random.bytes(SCRAM_SALT_BYTES)
    return this.#inTurn(() => deriveScramVerifier(mechanism, password, { salt, iterations }))
  }

  /** Rejects with `UNAVAILABLE` when too many wait. */
  async verify(password: string, stored: string): Promise<boolean> {
    const question = createHmac('sha256', this.#secret)
      .update(stored)
      .update('\0')
      .update(password)
      .digest('base64')
    if (this.#known.has(question)) return true
    let answer = this.#asked.get(question)
    if (answer === undefined) {
      answer = this.#inTurn(() => matchesHash(password, stored))
      this.#asked.set(question, answer)
    }
    try {
      const right = await answer
      if (right) this.#remember(question)
      // One digest is quick: a guess must not show by its time whose hash came from elsewhere.
      else if (saltedHashOf(stored) !== null) await this.verifyNobody(password)
      return right
    } finally {
      this.#asked.delete(question)
    }
  }

  /** Takes the time of `verify`, so that a stranger cannot tell which users there are. */
  async verifyNobody(password: string): Promise<false> {
    this.#nobody ??= hashPassword('', this.#cost, this.#random)
    const stored = await this.#nobody
    await this.#inTurn(() => matchesHash(password, stored))
    return false
  }

  #remember(question: string): void {
    if (this.#known.size >= VERIFICATIONS_CACHED_MAX) {
      for (const oldest of this.#known) {
        this.#known.delete(oldest)
        break
      }
    }
    this.#known.add(question)
  }

  async #inTurn<R>(work: () => Promise<R>): Promise<R> {
    if (this.#running >= HASHINGS_AT_ONCE_MAX) {
      if (this.#waiting.length >= HASHINGS_WAITING_MAX) {
        throw new BrokerError(
          'UNAVAILABLE',
          `${this.#waiting.length} logins wait to be verified, limit is ${HASHINGS_WAITING_MAX}`,
        )
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.push(resolve)
      await promise
    } else this.#running += 1
    try {
      return await work()
    } finally {
      // The place is handed on, so that nobody slips in between.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }
}
