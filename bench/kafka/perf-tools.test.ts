import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConsumed, parseProduced } from './perf-tools.ts'

const PRODUCED = `Warmup first 100000 records. Steady state results will print after the complete test summary.
600000 records sent, 27150.549799 records/sec (2.59 MB/sec), 5566.48 ms avg latency, 6699.00 ms max latency, 6105 ms 50th, 6539 ms 95th, 6678 ms 99th, 6695 ms 99.9th.
500000 steady state records sent, 28104.097577 records/sec (2.68 MB/sec), 6147.14 ms avg latency, 6699.00 ms max latency, 6145 ms 50th, 6553 ms 95th, 6682 ms 99th, 6695 ms 99.9th.
`

const CONSUMED = `start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
2026-11-28 03:59:21:693, 2026-11-28 03:59:28:471, 57.2205, 8.4421, 600000, 88521.6878, 2467, 4311, 13.2731, 139178.8448
`

test('figures of the producer are those behind its warm-up', () => {
  assert.deepEqual(parseProduced(PRODUCED, 500_000), {
    recordsPerSecond: 28_104.097577,
    p50Ms: 6_145,
    p99Ms: 6_682,
    p999Ms: 6_695,
    maxMs: 6_699,
  })
})

test('records that are missing fail the run', () => {
  assert.throws(() => parseProduced(PRODUCED, 500_001), /500000 records of 500001/)
  assert.throws(() => parseProduced('org.apache.kafka.common.errors.TimeoutException', 1))
  assert.throws(() => parseConsumed(CONSUMED, 600_001), /600000 records of 600001/)
})

test('figures of the consumer are those of fetching alone', () => {
  assert.equal(parseConsumed(CONSUMED, 600_000), 139_178.8448)
})
