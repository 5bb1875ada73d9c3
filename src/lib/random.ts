/**
 * Randomness as a parameter: a test hands in a seed and sees the same run again.
 */
import { randomFillSync } from 'node:crypto'
import { mix32 } from './hash32.ts'

export interface RandomSource {
  /** `count` fresh random bytes; the caller owns them. */
  bytes(count: number): Buffer
  /** A whole number from 0 up to, not including, `bound`; every one as likely. */
  integer(bound: number): number
  /** 22 characters of URL-safe base64 that stand for 128 random bits. */
  id(): string
}

const ID_BYTES = 16
/** `integer` draws 32 bits, so it can promise no more values than that. */
const BOUND_MAX = 0x1_0000_0000
const POOL_BYTES = 4096

abstract class WordSource implements RandomSource {
  abstract bytes(count: number): Buffer

  /** 32 random bits as an unsigned number. */
  protected abstract word(): number

  integer(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > BOUND_MAX) {
      throw new RangeError(`the bound ${bound} is not a whole number from 1 to ${BOUND_MAX}`)
    }
    // Values above the last whole multiple of the bound would make small results likelier.
    const fairMax = BOUND_MAX - (BOUND_MAX % bound)
    for (;;) {
      const word = this.word()
      if (word < fairMax) return word % bound
    }
  }

  id(): string {
    return this.bytes(ID_BYTES).toString('base64url')
  }
}

class SystemRandom extends WordSource {
  // Filled in one go, because a call into the operating system a word is slow.
  readonly #pool = Buffer.alloc(POOL_BYTES)
  #used = POOL_BYTES

  bytes(count: number): Buffer {
    return randomFillSync(Buffer.allocUnsafeSlow(count))
  }

  protected word(): number {
    if (this.#used + 4 > POOL_BYTES) {
      randomFillSync(this.#pool)
      this.#used = 0
    }
    const word = this.#pool.readUInt32LE(this.#used)
    this.#used += 4
    return word
  }
}

/** The operating system's random numbers, fit for secrets. */
export const systemRandom: RandomSource = new SystemRandom()

/** The same numbers for the same seed; for tests and simulation, never for secrets. */
export class SeededRandom extends WordSource {
  #state: number

  constructor(seed: number) {
    super()
    this.#state = mix32(seed)
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(count)
    for (let index = 0; index < count; index++) bytes[index] = this.word() & 0xff
    return bytes
  }

  protected word(): number {
    // An odd step visits all 2^32 states before it comes round.
    this.#state = (this.#state + 0x9e37_79b9) | 0
    return mix32(this.#state)
  }
}
