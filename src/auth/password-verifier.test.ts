import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../lib/random.ts'
import type { HashingSource } from './hashing-queue.ts'
import { HASHINGS_WAITING_MAX, type ScryptCost } from './limits.ts'
import { hashPassword, matchesHash } from './password-hash.ts'
import { PasswordVerifier } from './password-verifier.ts'

const CHEAP: ScryptCost = { log2Rounds: 4, blockSize: 8, parallelism: 1 }
const DEAR: ScryptCost = { log2Rounds: 14, blockSize: 8, parallelism: 1 }

/** Each guess from somewhere else, so that only the limit of all together is met. */
function sourceOf(index: number): HashingSource {
  return { address: `192.0.2.${index % 250}`, username: `user-${index}` }
}

test('a hash fits its password only, and no two hashes are alike', async () => {
  const random = new SeededRandom(1)
  const first = await hashPassword('sécret', CHEAP, random)
  const second = await hashPassword('sécret', CHEAP, random)
  assert.match(first, /^\$scrypt\$ln=4,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  assert.notEqual(first, second)
  assert.equal(await matchesHash('sécret', first), true)
  assert.equal(await matchesHash('sécret', second), true)
  assert.equal(await matchesHash('secret', first), false)
  assert.equal(await matchesHash('', first), false)
})

test('the cost of the stored hash is used, not the one of today', async () => {
  const random = new SeededRandom(1)
  const stored = await hashPassword('p', CHEAP, random)
  assert.equal(await new PasswordVerifier(random, DEAR).verify('p', stored), true)
})

test('what is stored and is no hash is an error, not a wrong password', async () => {
  const good = await hashPassword('p', CHEAP, new SeededRandom(1))
  const bad = ['', 'p', good.slice(0, -20), good.replace('ln=4', 'ln=30'), good.replace('4', '0')]
  for (const stored of bad) await assert.rejects(matchesHash('p', stored), /cannot be read/)
})

test('the default cost works with the memory it asks for', async () => {
  const verifier = new PasswordVerifier(new SeededRandom(1))
  assert.equal(await verifier.verify('p', await verifier.hash('p')), true)
})

test('a password found right is answered again without hashing', async () => {
  const verifier = new PasswordVerifier(new SeededRandom(1), CHEAP)
  const stored = await verifier.hash('p')
  assert.equal(await verifier.verify('p', stored), true)
  const guesses = Array.from({ length: HASHINGS_WAITING_MAX + 100 }, (_one, index) =>
    verifier.verify(`guess-${index}`, stored, sourceOf(index)),
  )
  const guessed = Promise.allSettled(guesses)
  // No place is free now: whatever had to be hashed would be refused.
  assert.equal(await verifier.verify('p', stored), true)
  await guessed
  assert.equal(await verifier.verify('q', stored), false)
  assert.equal(await verifier.verify('p', await verifier.hash('q')), false)
})

test('equal questions that come together are hashed once', async () => {
  const verifier = new PasswordVerifier(new SeededRandom(1), DEAR)
  const stored = await verifier.hash('p')
  // Far more than may wait: hashed one by one, most would be refused.
  const answers = await Promise.all(
    Array.from({ length: 5000 }, () => verifier.verify('p', stored)),
  )
  assert.ok(answers.every(Boolean))
})

test('when too many different passwords wait, the next are refused and the others answered', async () => {
  const verifier = new PasswordVerifier(new SeededRandom(1), CHEAP)
  const stored = await verifier.hash('p')
  const results = await Promise.allSettled(
    Array.from({ length: HASHINGS_WAITING_MAX + 100 }, (_, index) =>
      verifier.verify(`guess-${index}`, stored, sourceOf(index)),
    ),
  )
  const refused = results.filter(({ status }) => status === 'rejected')
  assert.equal(refused.length, 98, 'two are hashed, a thousand wait')
  assert.match(String((refused[0] as PromiseRejectedResult).reason), /limit is 1000/)
  assert.equal(await verifier.verify('p', stored), true, 'the places are free again')
  assert.equal(await verifier.verifyNobody('p'), false)
})
