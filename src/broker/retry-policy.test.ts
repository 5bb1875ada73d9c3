import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRetrySetting, retryDefinition, retryDelayMs, retries } from './retry-policy.ts'

const attempts = [1, 2, 3, 4]

test('each backoff grows as its name says and stops at the most', () => {
  const delays = (policy: Parameters<typeof retryDelayMs>[0]): number[] =>
    attempts.map((attempt) => retryDelayMs(policy, attempt, 0))
  assert.deepEqual(delays({ retryDelayMs: 10 }), [10, 10, 10, 10])
  assert.deepEqual(delays({ retryDelayMs: 10, retryBackoff: 'linear' }), [10, 20, 30, 40])
  assert.deepEqual(delays({ retryDelayMs: 10, retryBackoff: 'exponential' }), [10, 20, 40, 80])
  const capped = { retryDelayMs: 10, retryBackoff: 'exponential', retryDelayMsMax: 25 } as const
  assert.deepEqual(delays(capped), [10, 20, 25, 25])
  assert.deepEqual(delays({ retryLadderMs: [5, 50] }), [5, 50, 50, 50])
  const ages = retryDelayMs({ retryDelayMs: 1000, retryBackoff: 'exponential' }, 4000, 0)
  assert.equal(ages, 30 * 86_400_000)
})

test('jitter takes off up to its share', () => {
  const policy = { retryDelayMs: 1000, retryJitter: 50 }
  assert.equal(retryDelayMs(policy, 1, 0), 1000)
  assert.equal(retryDelayMs(policy, 1, 0.5), 750)
  assert.equal(retryDelayMs(policy, 1, 0.99), 505)
})

test('settings are read, written back and refused with what was expected', () => {
  assert.equal(parseRetrySetting('max-length', 1), null)
  assert.deepEqual(parseRetrySetting('retry-ladder', '1000, 5000'), { retryLadderMs: [1000, 5000] })
  assert.deepEqual(retryDefinition('retryLadderMs', [1000, 5000]), ['retry-ladder', '1000,5000'])
  assert.deepEqual(retryDefinition('retryDelayMs', 7), ['retry-delay', 7])
  assert.equal(retryDefinition('messagesMax', 7), null)
  for (const [key, value] of [
    ['retry-backoff', 'quick'],
    ['retry-delay', -1],
    ['retry-delay', 1.5],
    ['retry-delay-max', 30 * 86_400_000 + 1],
    ['retry-jitter', 101],
    ['retry-ladder', ''],
    ['retry-ladder', '1,,2'],
    ['retry-ladder', Array.from({ length: 65 }, () => 1).join(',')],
    ['retry-ladder', 5],
  ] as const) {
    assert.throws(() => parseRetrySetting(key, value), /expected/, `${key} ${value}`)
  }
  assert.equal(retries({ retryJitter: 5 }), false)
  assert.equal(retries({ retryBackoff: 'linear' }), true)
})
