import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UserStore } from './user-store.ts'
import { SeededRandom } from '../lib/random.ts'
import { isPasswordHash } from './password-hash.ts'
import { matchesSaltedHash, saltedHashOf, storedSaltedHash } from './salted-hash.ts'
import type { AuthKvOp } from './user-records.ts'

/** Made by RabbitMQ 4.0.5 for the password `s3kret!`, with each of its three algorithms. */
const HASHES = {
  sha256: 'vFLdwz6ySApfOjAnY6QPShVmgQ54iyHVQZrc0UCWVxAD1Q7c',
  sha512:
    '+bFTceW+4Yk0Mw7pziyY94E00eX6aV0HNWM5akCYDVC+RsLGH/DBBnx4iDpYdHnPUp3z/rE1nC4I0iAgDvf/WCK3WCc=',
  md5: 'Cp2GLg010H+XeMhSYriq48s6+u0=',
} as const

test('hashes that RabbitMQ made know their password and no other', () => {
  for (const digest of ['sha256', 'sha512', 'md5'] as const) {
    const stored = storedSaltedHash(digest, HASHES[digest])
    assert.ok(stored !== null, digest)
    assert.equal(matchesSaltedHash('s3kret!', stored), true, digest)
    assert.equal(matchesSaltedHash('s3kret', stored), false, digest)
    assert.equal(matchesSaltedHash('', stored), false, digest)
    assert.deepEqual(saltedHashOf(stored), { digest, base64: HASHES[digest] })
    assert.equal(isPasswordHash(stored), true)
  }
})

test('what is no such hash is refused', () => {
  assert.equal(storedSaltedHash('sha256', HASHES.sha512), null)
  assert.equal(storedSaltedHash('sha512', HASHES.sha256), null)
  assert.equal(storedSaltedHash('sha256', `${HASHES.sha256}*`), null)
  assert.equal(storedSaltedHash('sha256', ''), null)
  assert.equal(matchesSaltedHash('x', '$scrypt$whatever'), null)
  assert.equal(isPasswordHash('$salted-sha256$x'), false)
  assert.equal(isPasswordHash(''), false)
})

test('a user with such a hash logs in, and a password that is set is kept better', async () => {
  const values = new Map<string, Buffer>()
  const kv = {
    get: async (key: string) => {
      const value = values.get(key)
      return Promise.resolve(value === undefined ? null : { value })
    },
    list: async (prefix: string) => {
      const found = [...values].filter(([key]) => key.startsWith(prefix))
      return Promise.resolve(found.map(([key, value]) => ({ key, value })))
    },
    commit: async (ops: readonly AuthKvOp[]) => {
      for (const { key, value } of ops) {
        if (value === null) values.delete(key)
        else values.set(key, value)
      }
      return Promise.resolve(0)
    },
  }
  const options = {
    random: new SeededRandom(1),
    scrypt: { log2Rounds: 4, blockSize: 8, parallelism: 1 },
  }
  const users = await UserStore.open(kv, options)
  const passwordHash = storedSaltedHash('sha512', HASHES.sha512)
  await users.putSecrets('moved', { passwordHash, tags: ['monitoring'] })
  assert.equal(await users.verifyPassword('moved', 's3kret!'), true)
  assert.equal(await users.verifyPassword('moved', 'other'), false)
  const again = await UserStore.open(kv, options)
  assert.equal(await again.verifyPassword('moved', 's3kret!'), true)
  assert.deepEqual(again.get('moved')?.tags, ['monitoring'])
  await again.setPassword('moved', 'new')
  assert.match(again.secrets('moved')?.passwordHash ?? '', /^\$scrypt\$/)
  assert.equal(await again.verifyPassword('moved', 's3kret!'), false)
  await assert.rejects(again.putSecrets('bad', { passwordHash: 'plain', tags: [] }), /hash/)
})
