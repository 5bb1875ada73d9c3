import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../lib/clock.ts'
import { LogRing } from './log-ring.ts'
import { silentLog } from './log.ts'

test('the last thousand lines are kept, the oldest first, and all are passed on', () => {
  let passed = 0
  const inner = { ...silentLog, info: () => passed++, debug: () => passed++ }
  const ring = new LogRing(inner, new ManualClock(5))
  for (let at = 1; at <= 1500; at++) ring.log.info({ at }, `line ${at}`)
  ring.log.debug({}, 'passed on only')
  assert.equal(passed, 1501)
  const all = ring.after(0, 5000)
  assert.equal(all.length, 1000)
  assert.deepEqual(all[0], {
    number: 501,
    atMs: 5,
    level: 'info',
    text: 'line 501',
    fields: '{"at":501}',
  })
  assert.deepEqual(
    ring.after(1498, 10).map(({ number }) => number),
    [1499, 1500],
  )
  assert.equal(ring.after(0, 7).length, 7)
  assert.deepEqual(ring.after(1500, 7), [])
})

test('secrets are left out, and what is no JSON stops nobody', () => {
  const ring = new LogRing(silentLog, new ManualClock())
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  ring.log.warn({ user: 'eve', nested: { password: 'p4ss' }, token: 't0k' }, 'refused')
  ring.log.error({ err: new Error('full'), size: 5n }, 'failed')
  ring.log.info(circle, 'odd')
  ring.log.info({ long: 'x'.repeat(10_000) }, 'long')
  const [refused, failed, odd, long] = ring.after(0, 10)
  assert.doesNotMatch(JSON.stringify(refused), /p4ss|t0k/)
  assert.equal(failed?.fields, '{"err":"full","size":"5"}')
  assert.equal(odd?.fields, '')
  assert.ok((long?.fields.length ?? 0) < 1000)
})
