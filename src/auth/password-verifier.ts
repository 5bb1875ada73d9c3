import { createHmac } from 'node:crypto'
import type { RandomSource } from '../lib/random.ts'
import { HashingQueue, type HashingSource } from './hashing-queue.ts'
import {
  PASSWORD_COST,
  SCRAM_SALT_BYTES,
  type ScryptCost,
  VERIFICATIONS_CACHED_MAX,
} from './limits.ts'
import { hashPassword, matchesHash } from './password-hash.ts'
import { saltedHashOf } from './salted-hash.ts'
import { deriveScramVerifier, type ScramName, type ScramVerifier } from './scram-verifier.ts'

/** The broker itself, and commands of administrators. */
const OURSELVES: HashingSource = { address: '', username: '' }

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
  readonly #queue = new HashingQueue()
  #nobody: Promise<string> | null = null

  constructor(random: RandomSource, cost: ScryptCost = PASSWORD_COST) {
    this.#random = random
    this.#cost = cost
    this.#secret = random.bytes(32)
  }

  /** Rejects with `UNAVAILABLE` when too many wait. */
  hash(password: string, cost: ScryptCost = this.#cost): Promise<string> {
    return this.#queue.run(OURSELVES, () => hashPassword(password, cost, this.#random))
  }

  /** What SCRAM needs of it. Rejects with `UNAVAILABLE` when too many wait. */
  scram(mechanism: ScramName, password: string, iterations: number): Promise<ScramVerifier> {
    const salt = this.#random.bytes(SCRAM_SALT_BYTES)
    return this.#queue.run(OURSELVES, async () =>
      deriveScramVerifier(mechanism, password, { salt, iterations }),
    )
  }

  /** Rejects with `UNAVAILABLE` when too many wait, `ACCESS_REFUSED` when too many of `source` do. */
  async verify(
    password: string,
    stored: string,
    source: HashingSource = OURSELVES,
  ): Promise<boolean> {
    const question = createHmac('sha256', this.#secret)
      .update(stored)
      .update('\0')
      .update(password)
      .digest('base64')
    if (this.#known.has(question)) return true
    let answer = this.#asked.get(question)
    if (answer === undefined) {
      answer = this.#queue.run(source, async () => matchesHash(password, stored))
      this.#asked.set(question, answer)
    }
    try {
      const right = await answer
      if (right) this.#remember(question)
      // One digest is quick: a guess must not show by its time whose hash came from elsewhere.
      else if (saltedHashOf(stored) !== null) await this.verifyNobody(password, source)
      return right
    } finally {
      this.#asked.delete(question)
    }
  }

  /** Takes the time of `verify`, so that a stranger cannot tell which users there are. */
  async verifyNobody(password: string, source: HashingSource = OURSELVES): Promise<false> {
    this.#nobody ??= hashPassword('', this.#cost, this.#random)
    const stored = await this.#nobody
    await this.#queue.run(source, async () => matchesHash(password, stored))
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
}
