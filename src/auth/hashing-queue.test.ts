import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { test } from 'node:test'
import { HashingQueue } from './hashing-queue.ts'
import {
  HASHINGS_AT_ONCE_MAX,
  HASHINGS_WAITING_MAX,
  HASHINGS_WAITING_PER_ADDRESS_MAX,
  HASHINGS_WAITING_PER_USER_MAX,
} from './limits.ts'

/** Hashings that end when the test says so. */
class Bench {
  readonly queue = new HashingQueue()
  readonly started: string[] = []
  readonly refused: string[] = []
  readonly #ends: (() => void)[] = []

  ask(address: string, username: string): void {
    const work = async (): Promise<void> => {
      this.started.push(`${address} ${username}`)
      await new Promise<void>((resolve) => this.#ends.push(resolve))
    }
    this.queue.run({ address, username }, work).catch((error: unknown) => {
      this.refused.push(String(error))
    })
  }

  /** Ends the hashing that began first, and waits until the next one has begun. */
  async endOne(): Promise<void> {
    this.#ends.shift()?.()
    await setImmediate()
  }
}

test('who comes after a thousand guesses of others is next but one', async () => {
  const bench = new Bench()
  for (let n = 0; n < 400; n++) bench.ask('203.0.113.1', `user-${n}`)
  for (let n = 0; n < 400; n++) bench.ask('203.0.113.2', 'root')
  bench.ask('198.51.100.7', 'honest')
  await setImmediate()
  assert.equal(bench.started.length, HASHINGS_AT_ONCE_MAX)
  for (let n = 0; n < 3; n++) await bench.endOne()
  assert.ok(bench.started.includes('198.51.100.7 honest'), bench.started.join(', '))
})

test('of one address its users take turns, and of one user a few passwords wait', async () => {
  const bench = new Bench()
  const all = HASHINGS_AT_ONCE_MAX + HASHINGS_WAITING_PER_USER_MAX + 3
  for (let n = 0; n < all; n++) bench.ask('127.0.0.1', 'victim')
  bench.ask('127.0.0.1', 'honest')
  await setImmediate()
  assert.equal(bench.refused.length, 3)
  assert.match(bench.refused[0]!, /other passwords of user 'victim' from 127\.0\.0\.1 wait/)
  await bench.endOne()
  await bench.endOne()
  assert.equal(bench.started.at(-1), '127.0.0.1 honest')
  // All that were not refused have their turn.
  for (let n = 0; n < all; n++) await bench.endOne()
  assert.equal(bench.started.length, all - 3 + 1)
  bench.ask('127.0.0.1', 'late')
  await setImmediate()
  assert.equal(bench.started.at(-1), '127.0.0.1 late', 'the places are free again')
})

test('one address takes half of the places, so that others have some', async () => {
  const bench = new Bench()
  for (let n = 0; n < HASHINGS_WAITING_MAX; n++) bench.ask('203.0.113.1', `user-${n}`)
  await setImmediate()
  const held = HASHINGS_AT_ONCE_MAX + HASHINGS_WAITING_PER_ADDRESS_MAX
  assert.equal(bench.refused.length, HASHINGS_WAITING_MAX - held)
  assert.match(bench.refused[0]!, /500 logins from 203\.0\.113\.1 wait to be verified/)
  const before = bench.refused.length
  bench.ask('198.51.100.7', 'honest')
  await setImmediate()
  assert.equal(bench.refused.length, before)
  for (let n = 0; n < 600; n++) bench.ask('203.0.113.2', `user-${n}`)
  await setImmediate()
  assert.match(bench.refused.at(-1)!, /1000 logins wait to be verified, limit is 1000/)
})
