import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { IdleConnections } from './churn.ts'
import { Consumer, type ConsumeResult } from '../../src/load/consumer.ts'
import { checkCounts } from './flow.ts'
import { LatencyHistogram } from '../../src/load/histogram.ts'
import { Publisher, type PublishResult } from '../../src/load/publisher.ts'
import { rateBetween } from '../../src/load/sampler.ts'
import { createSink, type SinkFaults } from './sink.ts'

interface FlowThroughSink {
  readonly published: PublishResult
  readonly consumed: ConsumeResult
}

async function flowThroughSink(
  faults: SinkFaults,
  expected: number,
  bodyBytes = 16,
): Promise<FlowThroughSink> {
  const sink = createSink(faults)
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve))
  const endpoint = { host: '127.0.0.1', port: (sink.address() as AddressInfo).port }
  try {
    const consumer = await Consumer.open({
      role: 'consume',
      ...endpoint,
      queues: ['bench.0000'],
      prefetch: 100,
      checkOrder: true,
      measureLatency: true,
      holdFirst: false,
    })
    const publisher = await Publisher.open({
      role: 'publish',
      ...endpoint,
      exchange: '',
      routingKeys: ['bench.0000'],
      bodyBytes,
      window: 7,
      count: 1_000,
      seconds: 30,
      rate: 0,
    })
    const [published, consumed] = await Promise.all([publisher.run(), consumer.finish(expected)])
    return { published, consumed }
  } finally {
    sink.close()
  }
}

test('every message is published, confirmed and consumed once, in order', async () => {
  const { published, consumed } = await flowThroughSink({}, 1_000)
  assert.equal(published.published, 1_000)
  assert.equal(published.confirmed, 1_000)
  assert.equal(consumed.consumed, 1_000)
  assert.equal(consumed.sequenceSum, published.sequenceSum)
  checkCounts(published, consumed, 1)
})

test('a body longer than one socket read is counted once', async () => {
  const { published, consumed } = await flowThroughSink({}, 1_000, 100_000)
  checkCounts(published, consumed, 1)
})

// The fault is planted in the broker: a load program that does not notice measures nothing.
test('a lost message is noticed by the gap it leaves', async () => {
  await assert.rejects(flowThroughSink({ lose: 500 }, 1_000), /message 501 came where 500 was due/)
})

test('a lost last message is noticed by the count', async () => {
  const { published, consumed } = await flowThroughSink({ lose: 999 }, 999)
  assert.throws(() => checkCounts(published, consumed, 1), /1000 to consume, but 999 came/)
})

test('counts that differ, sums that differ and redelivery are refused', () => {
  const published: PublishResult = {
    published: 4,
    confirmed: 4,
    sequenceSum: 6,
    startMs: 0,
    endMs: 1,
    samples: [],
    confirmLatencies: null,
    blocked: 0,
  }
  const consumed: ConsumeResult = {
    consumed: 8,
    redelivered: 0,
    sequenceSum: 12,
    startMs: 0,
    endMs: 1,
    samples: [],
    latencies: null,
  }
  checkCounts(published, consumed, 2)
  assert.throws(() => checkCounts({ ...published, confirmed: 3 }, consumed, 2), /3 confirmed/)
  assert.throws(() => checkCounts(published, { ...consumed, sequenceSum: 11 }, 2), /not the ones/)
  assert.throws(() => checkCounts(published, { ...consumed, redelivered: 1 }, 2), /redelivered/)
})

test('idle connections stay open until they are closed', async () => {
  const sink = createSink()
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve))
  const { port } = sink.address() as AddressInfo
  const idle = await IdleConnections.open({ role: 'idle', host: '127.0.0.1', port, count: 120 })
  assert.equal(await idle.close(), 120)
  sink.close()
})

test('percentiles are upper edges of 10 µs steps', () => {
  const histogram = new LatencyHistogram()
  for (let index = 1; index <= 1_000; index++) histogram.record(index / 100 - 0.005)
  const { p50Ms, p99Ms, p999Ms, count } = histogram.latencies()
  assert.deepEqual(
    { p50Ms, p99Ms, p999Ms, count },
    { p50Ms: 5, p99Ms: 9.9, p999Ms: 9.99, count: 1_000 },
  )
})

test('a rate is taken from the samples inside the span only', () => {
  const samples = [0, 100, 200, 300].map((timeMs) => ({ timeMs, count: timeMs * timeMs }))
  assert.equal(rateBetween(samples, 100, 200), 300_000)
  assert.equal(rateBetween(samples, 100, 150), 0)
})
