import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../lib/clock.ts'
import { TokenKeeper } from './login-token.ts'

function tokenUntil(endMs: number): string {
  return `head.${Buffer.from(JSON.stringify({ exp: endMs / 1000 })).toString('base64url')}.signature`
}

test('another token is asked for before one ends, and after a failure again', async () => {
  const clock = new ManualClock()
  const beganMs = clock.now()
  const answers = [tokenUntil(beganMs + 600_000), null, tokenUntil(beganMs + 1_200_000)]
  const keeper = new TokenKeeper(async () => {
    const answer = answers.shift()
    if (typeof answer !== 'string') throw new Error('the identity provider is away')
    return answer
  }, clock)
  const seen: string[] = []
  keeper.renewAfter(await keeper.get(), (token) => seen.push(token))
  clock.advance(539_000)
  await settled()
  assert.equal(answers.length, 2)
  clock.advance(1000)
  await settled()
  assert.equal(answers.length, 1)
  assert.deepEqual(seen, [])
  clock.advance(60_000)
  await settled()
  assert.deepEqual(seen, [tokenUntil(beganMs + 1_200_000)])
  keeper.close()
  clock.advance(10_000_000)
  await settled()
  assert.equal(answers.length, 0)
})

test('a token that does not say when it ends is used as long as its connection', async () => {
  const clock = new ManualClock()
  let asked = 0
  const keeper = new TokenKeeper(() => `opaque ${++asked}`, clock)
  keeper.renewAfter(await keeper.get(), () => assert.fail('it was renewed'))
  clock.advance(10_000_000)
  await settled()
  assert.equal(asked, 1)
})

async function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
