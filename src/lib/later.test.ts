import assert from 'node:assert/strict'
import { test } from 'node:test'
import { later } from './later.ts'

test('callbacks run in a later turn, in order, and may queue more', async () => {
  const seen: string[] = []
  await new Promise<void>((resolve) => {
    later(() => {
      seen.push('a')
      later(() => {
        seen.push('c')
        resolve()
      })
    })
    later(() => seen.push('b'))
    queueMicrotask(() => seen.push('microtask'))
    seen.push('call')
  })
  assert.deepEqual(seen, ['call', 'microtask', 'a', 'b', 'c'])
})
