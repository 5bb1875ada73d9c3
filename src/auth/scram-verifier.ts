/** What SCRAM stores of a password: RFC 5802, for SHA-256 and SHA-512 (RFC 7677). */
import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto'
import { SCRAM_ITERATIONS_MAX, SCRAM_ITERATIONS_MIN, SCRAM_SALT_BYTES } from './limits.ts'

export type ScramName = 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

/** Strongest first, as a peer that may choose should see them. */
export const SCRAM_NAMES: readonly ScramName[] = ['SCRAM-SHA-512', 'SCRAM-SHA-256']

interface Hash {
  readonly name: 'sha256' | 'sha512'
  readonly bytes: number
}

const HASHES: Readonly<Record<ScramName, Hash>> = {
  'SCRAM-SHA-256': { name: 'sha256', bytes: 32 },
  'SCRAM-SHA-512': { name: 'sha512', bytes: 64 },
}

/** Proves that a peer knows the password, and that we do; the password does not follow from it. */
export interface ScramVerifier {
  readonly mechanism: ScramName
  readonly salt: Buffer
  readonly iterations: number
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/**
 * Derives on a worker thread. The password is taken as its UTF-8 bytes, without SASLprep, as
 * Kafka's brokers and clients do; for ASCII and for most other text that is the same.
 */
export function deriveScramVerifier(
  mechanism: ScramName,
  password: string,
  { salt, iterations }: { readonly salt: Buffer; readonly iterations: number },
): Promise<ScramVerifier> {
  const hash = HASHES[mechanism]
  const { promise, resolve, reject } = Promise.withResolvers<ScramVerifier>()
  pbkdf2(password, salt, iterations, hash.bytes, hash.name, (error, salted) => {
    if (error !== null) {
      reject(error)
      return
    }
    const storedKey = createHash(hash.name)
      .update(hmac(hash, salted, 'Client Key'))
      .digest()
    const serverKey = hmac(hash, salted, 'Server Key')
    resolve({ mechanism, salt, iterations, storedKey, serverKey })
  })
  return promise
}

/**
 * What a user who has none is asked with: always the same for a name and a secret, like the salt
 * of a user who is there. Nothing is known that would answer it.
 */
export function fakeScramVerifier(
  mechanism: ScramName,
  username: string,
  { secret, iterations }: { readonly secret: Buffer; readonly iterations: number },
): ScramVerifier {
  const hash = HASHES[mechanism]
  const salt = hmac(hash, secret, `salt ${mechanism} ${username}`).subarray(0, SCRAM_SALT_BYTES)
  const key = hmac(hash, secret, `key ${mechanism} ${username}`)
  return { mechanism, salt, iterations, storedKey: key, serverKey: key }
}

/** Compares in constant time. */
export function provesScram(verifier: ScramVerifier, authMessage: string, proof: Buffer): boolean {
  const hash = HASHES[verifier.mechanism]
  if (proof.length !== hash.bytes) return false
  const signature = hmac(hash, verifier.storedKey, authMessage)
  for (let index = 0; index < hash.bytes; index++) signature[index]! ^= proof[index]!
  const found = createHash(hash.name).update(signature).digest()
  return timingSafeEqual(found, verifier.storedKey)
}

export function scramServerSignature(verifier: ScramVerifier, authMessage: string): Buffer {
  return hmac(HASHES[verifier.mechanism], verifier.serverKey, authMessage)
}

/**
 * The text of RFC 5803, as other servers keep it:
 *
 *     SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
 */
export function formatScramVerifier(verifier: ScramVerifier): string {
  const { mechanism, iterations } = verifier
  const [salt, storedKey, serverKey] = [verifier.salt, verifier.storedKey, verifier.serverKey].map(
    (bytes) => bytes.toString('base64'),
  )
  return `${mechanism}$${iterations}:${salt}$${storedKey}:${serverKey}`
}

/** Throws when the stored text is no verifier of that mechanism. */
export function parseScramVerifier(mechanism: ScramName, stored: string): ScramVerifier {
  const parts = /^([\w-]+)\$(\d{1,7}):([\w+/=]{1,200})\$([\w+/=]{1,100}):([\w+/=]{1,100})$/.exec(
    stored,
  )
  const iterations = Number(parts?.[2])
  const [salt, storedKey, serverKey] = [3, 4, 5].map((index) =>
    Buffer.from(parts?.[index] ?? '', 'base64'),
  ) as [Buffer, Buffer, Buffer]
  const { bytes } = HASHES[mechanism]
  const isWhole = storedKey.length === bytes && serverKey.length === bytes && salt.length > 0
  const isCostSane = iterations >= SCRAM_ITERATIONS_MIN && iterations <= SCRAM_ITERATIONS_MAX
  if (parts?.[1] !== mechanism || !isWhole || !isCostSane) {
    throw new Error(`a stored ${mechanism} verifier cannot be read`)
  }
  return { mechanism, salt, iterations, storedKey, serverKey }
}

function hmac(hash: Hash, key: Buffer, text: string): Buffer {
  return createHmac(hash.name, key).update(text).digest()
}
