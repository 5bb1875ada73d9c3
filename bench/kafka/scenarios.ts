import { randomBytes } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { nowMs } from '../../src/load/clock.ts'
import { cpuSeconds, residentBytes } from '../load/process-stats.ts'
import type { Metrics } from '../load/target.ts'
import type { KafkaBroker } from './broker.ts'
import { consume, produce } from './perf-tools.ts'

export interface KafkaSettings {
  /** Record values that each throughput run sends. */
  readonly megabytes: number
  /** How long the run at a fixed rate takes. */
  readonly seconds: number
}

export interface KafkaScenario {
  readonly name: string
  readonly about: string
  run(broker: KafkaBroker, settings: KafkaSettings): Promise<Metrics>
}

interface Flow {
  readonly recordBytes: number
  readonly compression: 'none' | 'lz4'
  /** Of the topic. Default 1. */
  readonly partitionCount?: number
}

const MEGABYTE = 1_000_000
/**
 * So much of a run is warm-up. The compilers of the tool's machine, and of Kafka's, work for some
 * fifteen seconds on two processors and take them from everybody meanwhile.
 */
const WARMUP_SHARE = 0.5
const LATENCY_RECORD_BYTES = 1_000
const LATENCY_BYTES_PER_SECOND = 10 * MEGABYTE

export const KAFKA_SCENARIOS: readonly KafkaScenario[] = [
  flow('kafka-100', '100 B records, acks=all', { recordBytes: 100, compression: 'none' }),
  flow('kafka-1024', '1 KiB records, acks=all', { recordBytes: 1_024, compression: 'none' }),
  flow('kafka-100-lz4', 'the same, lz4', { recordBytes: 100, compression: 'lz4' }),
  flow('kafka-1024-lz4', 'the same, lz4', { recordBytes: 1_024, compression: 'lz4' }),
  flow('kafka-100-6', '100 B records into 6 partitions', {
    ...{ recordBytes: 100, compression: 'none', partitionCount: 6 },
  }),
  {
    name: 'kafka-latency',
    about: '10 MB/s of 1 kB records, acks=all: from send to acknowledgement',
    run: async (broker, { seconds }) => runLatency(broker, seconds),
  },
  {
    name: 'kafka-start',
    about: 'from start to the first answer, and memory while idle',
    run: runStart,
  },
]

function flow(name: string, about: string, options: Flow): KafkaScenario {
  return { name, about, run: async (broker, settings) => runFlow(broker, options, settings) }
}

/** Produces, then consumes the same records; every one must be acknowledged and come. */
async function runFlow(
  broker: KafkaBroker,
  { recordBytes, compression, partitionCount = 1 }: Flow,
  { megabytes }: KafkaSettings,
): Promise<Metrics> {
  const all = Math.ceil((megabytes * MEGABYTE) / recordBytes)
  const warmupCount = Math.ceil(all * WARMUP_SHARE)
  const { port, pid } = broker
  return withTopic({ port, partitionCount }, async (topic) => {
    const atFirst = cpuSeconds(pid)
    const sent = await produce({
      port,
      topic,
      recordBytes,
      compression,
      count: all - warmupCount,
      warmupCount,
      rate: -1,
    })
    const between = cpuSeconds(pid)
    const consumedPerSecond = await consume({ port, topic, count: all })
    const atLast = cpuSeconds(pid)
    return {
      records: all,
      'produced MB/s': (sent.recordsPerSecond * recordBytes) / MEGABYTE,
      'produced records/s': sent.recordsPerSecond,
      'consumed MB/s': (consumedPerSecond * recordBytes) / MEGABYTE,
      'consumed records/s': consumedPerSecond,
      'broker CPU µs/record produced': ((between - atFirst) * 1e6) / all,
      'broker CPU µs/record consumed': ((atLast - between) * 1e6) / all,
      'resident MB afterwards': residentBytes(pid) / MEGABYTE,
    }
  })
}

async function runLatency(broker: KafkaBroker, seconds: number): Promise<Metrics> {
  const { port, pid } = broker
  const rate = LATENCY_BYTES_PER_SECOND / LATENCY_RECORD_BYTES
  const count = rate * seconds
  return withTopic({ port, partitionCount: 1 }, async (topic) => {
    const startedMs = nowMs()
    const cpuAtFirst = cpuSeconds(pid)
    const figures = await produce({
      port,
      topic,
      recordBytes: LATENCY_RECORD_BYTES,
      count,
      warmupCount: count * WARMUP_SHARE,
      compression: 'none',
      rate,
    })
    const cpuSecondsUsed = cpuSeconds(pid) - cpuAtFirst
    return {
      'produced records/s': figures.recordsPerSecond,
      'p50 ms': figures.p50Ms,
      'p99 ms': figures.p99Ms,
      'p99.9 ms': figures.p999Ms,
      'max ms': figures.maxMs,
      'broker CPU %': (cpuSecondsUsed * 1e5) / (nowMs() - startedMs),
    }
  })
}

/** Restarts it, on all that the scenarios before have left. */
async function runStart(broker: KafkaBroker): Promise<Metrics> {
  await broker.stop()
  const readyMs = await broker.start()
  return { 'ready ms': readyMs, 'resident MB': residentBytes(broker.pid) / MEGABYTE }
}

async function withTopic(
  { port, partitionCount }: { readonly port: number; readonly partitionCount: number },
  work: (topic: string) => Promise<Metrics>,
): Promise<Metrics> {
  const brokers = [`127.0.0.1:${port}`]
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin()
  const topic = `bench-${randomBytes(4).toString('hex')}`
  try {
    await admin.connect()
    const spec = { topic, numPartitions: partitionCount, replicationFactor: 1 }
    await admin.createTopics({ topics: [spec], waitForLeaders: true })
    return await work(topic)
  } finally {
    await admin.deleteTopics({ topics: [topic] }).catch(() => {
      // What the run failed for is the better thing to report.
    })
    await admin.disconnect()
  }
}
