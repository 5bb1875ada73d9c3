import { scrypt, timingSafeEqual } from 'node:crypto'
import type { RandomSource } from '../lib/random.ts'
import { LOG2_ROUNDS_MAX, type ScryptCost } from './limits.ts'
import { matchesSaltedHash, saltedHashOf } from './salted-hash.ts'

const SALT_BYTES = 16
const KEY_BYTES = 32

interface StoredHash {
  readonly cost: ScryptCost
  readonly salt: Buffer
  readonly key: Buffer
}

/**
 * Hashes a password with a fresh salt, on a worker thread. The text names its own cost, so that
 * a dearer one may be chosen later:
 *
 *     $scrypt$ln=15,r=8,p=1$<salt in base64>$<key in base64>
 */
export async function hashPassword(
  password: string,
  cost: ScryptCost,
  random: RandomSource,
): Promise<string> {
  const salt = random.bytes(SALT_BYTES)
  const key = await derive(password, { cost, salt }, KEY_BYTES)
  const { log2Rounds, blockSize, parallelism } = cost
  const parameters = `ln=${log2Rounds},r=${blockSize},p=${parallelism}`
  return `$scrypt$${parameters}$${shown(salt)}$${shown(key)}`
}

/** Rejects when the stored text is not a hash at all. */
export async function matchesHash(password: string, stored: string): Promise<boolean> {
  const isSalted = matchesSaltedHash(password, stored)
  if (isSalted !== null) return isSalted
  const hash = parseHash(stored)
  const key = await derive(password, hash, hash.key.byteLength)
  return timingSafeEqual(key, hash.key)
}

/** Whether `matchesHash` can read it. */
export function isPasswordHash(stored: string): boolean {
  if (saltedHashOf(stored) !== null) return true
  try {
    parseHash(stored)
    return true
  } catch {
    // That it is none is the answer.
    return false
  }
}

function parseHash(stored: string): StoredHash {
  const parts =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w+/]{16,90})\$([\w+/]{40,90})$/.exec(
      stored,
    )
  const log2Rounds = Number(parts?.[1])
  if (parts === null || log2Rounds < 1 || log2Rounds > LOG2_ROUNDS_MAX) {
    throw new Error('a stored password hash cannot be read')
  }
  const cost = { log2Rounds, blockSize: Number(parts[2]), parallelism: Number(parts[3]) }
  const salt = Buffer.from(parts[4] ?? '', 'base64')
  return { cost, salt, key: Buffer.from(parts[5] ?? '', 'base64') }
}

function derive(
  password: string,
  { cost, salt }: Pick<StoredHash, 'cost' | 'salt'>,
  keyBytes: number,
): Promise<Buffer> {
  const rounds = 2 ** cost.log2Rounds
  const options = {
    N: rounds,
    r: cost.blockSize,
    p: cost.parallelism,
    // OpenSSL counts some bytes beside the 128 * N * r that the algorithm asks for.
    maxmem: 128 * cost.blockSize * (rounds + cost.parallelism + 64),
  }
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  scrypt(password, salt, keyBytes, options, (error, key) => {
    if (error === null) resolve(key)
    else reject(error)
  })
  return promise
}

function shown(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
