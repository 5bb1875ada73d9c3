import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_TRACE_LIMITS, TRACE_TEXT_MAX } from './limits.ts'
import { NO_FACTS, TraceLog, type TraceNames } from './trace-log.ts'

function names(messageId: string): TraceNames {
  return { vhost: '/', messageId, correlationId: '', traceparent: '', tracestate: '' }
}

test('it grows to its limit, and then the oldest steps are overwritten and counted', () => {
  const log = new TraceLog({ ...DEFAULT_TRACE_LIMITS, stepsMax: 5000, tracesMax: 10 })
  for (let n = 1; n <= 20; n++) assert.equal(log.open(names(`m-${n}`)), n)
  for (let n = 0; n < 7000; n++) {
    log.add(n % 2 === 0 ? 19 : 20, n, 'stored', { ...NO_FACTS, at: 'q', offset: n })
  }
  assert.deepEqual([log.traceCount, log.stepCount, log.overwrittenCount], [10, 5000, 2000])
  assert.deepEqual([log.names(10), log.names(11)?.messageId], [undefined, 'm-11'])
  const steps = log.stepsOf(20)
  assert.deepEqual([steps.length, steps[0]!.offset, steps.at(-1)!.offset], [2500, 2001, 6999])
  assert.deepEqual(log.findPlace({ at: 'q', partition: -1, offset: 1999 }, 5), [])
  assert.deepEqual(log.findPlace({ at: 'q', partition: -1, offset: 2000 }, 5), [19])
  assert.deepEqual(
    log.find(() => true, 3),
    [20, 19, 18],
  )
})

test('texts are cut, and together never take more than they may', () => {
  const textBytesMax = 20 * TRACE_TEXT_MAX
  const log = new TraceLog({ ...DEFAULT_TRACE_LIMITS, textBytesMax })
  const trace = log.open(names('m'))
  for (let n = 0; n < 100; n++) {
    log.add(trace, n, 'failed', { ...NO_FACTS, detail: 'x'.repeat(1000) })
  }
  const steps = log.stepsOf(trace)
  assert.ok(steps.length >= 18 && steps.length <= 20, `${steps.length} steps`)
  assert.equal(steps.at(-1)!.detail.length, TRACE_TEXT_MAX)
  assert.equal(steps.at(-1)!.atMs, 99)
})
