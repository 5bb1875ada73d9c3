import { createHash, timingSafeEqual } from 'node:crypto'

/**
 * Hashes that other brokers made, which come with their users: the digest of a salt of four octets
 * and the password, with the salt in front. One digest is quick to guess against, so no password
 * that is set here is kept so.
 */
const DIGESTS = {
  sha256: { bytes: 32, prefix: '$salted-sha256$' },
  sha512: { bytes: 64, prefix: '$salted-sha512$' },
  md5: { bytes: 16, prefix: '$salted-md5$' },
} as const

export type SaltedDigest = keyof typeof DIGESTS

const SALT_BYTES = 4

interface SaltedHash {
  readonly digest: SaltedDigest
  readonly salt: Buffer
  readonly key: Buffer
}

/** How such a hash is stored; null: it is none of that digest. */
export function storedSaltedHash(digest: SaltedDigest, base64: string): string | null {
  const stored = DIGESTS[digest].prefix + base64
  return parseSaltedHash(stored) === null ? null : stored
}

/** The opposite; null: what is stored is none. */
export function saltedHashOf(
  stored: string,
): { readonly digest: SaltedDigest; readonly base64: string } | null {
  const parsed = parseSaltedHash(stored)
  if (parsed === null) return null
  const { digest } = parsed
  return { digest, base64: stored.slice(DIGESTS[digest].prefix.length) }
}

/** Null: what is stored is no hash of this kind. */
export function matchesSaltedHash(password: string, stored: string): boolean | null {
  const parsed = parseSaltedHash(stored)
  if (parsed === null) return null
  const key = createHash(parsed.digest).update(parsed.salt).update(password, 'utf8').digest()
  return timingSafeEqual(key, parsed.key)
}

function parseSaltedHash(stored: string): SaltedHash | null {
  for (const digest of Object.keys(DIGESTS) as SaltedDigest[]) {
    const { bytes, prefix } = DIGESTS[digest]
    if (!stored.startsWith(prefix)) continue
    const base64 = stored.slice(prefix.length)
    const all = Buffer.from(base64, 'base64')
    if (all.length !== SALT_BYTES + bytes || all.toString('base64') !== base64) return null
    return { digest, salt: all.subarray(0, SALT_BYTES), key: all.subarray(SALT_BYTES) }
  }
  return null
}
