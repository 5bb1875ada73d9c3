import { execFile } from 'node:child_process'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const PRODUCER = 'org.apache.kafka.tools.ProducerPerformance'
const CONSUMER = 'org.apache.kafka.tools.ConsumerPerformance'
/** As the distribution's scripts give them to these tools. */
const JAVA_OPTIONS = ['-Xmx512M', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20']
const WITHIN_MS = 600_000
const CONSUME_WITHIN_MS = 120_000
/** More than one, or its numbers would not be told from those of a run that got stuck. */
const REPORT_EVERY_MS = 3_600_000

export interface ProduceOptions {
  readonly port: number
  readonly topic: string
  readonly recordBytes: number
  readonly count: number
  /** So many records first, which the figures leave out: the tool is a Java program. */
  readonly warmupCount: number
  readonly compression: 'none' | 'lz4'
  /** A second; -1 for as many as go. */
  readonly rate: number
}

export interface ProduceFigures {
  readonly recordsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

/** kafka-producer-perf-test with acks=all; its latency is from send to acknowledgement. */
export async function produce(options: ProduceOptions): Promise<ProduceFigures> {
  const { port, topic, recordBytes, count, warmupCount, compression, rate } = options
  const settings = [`bootstrap.servers=127.0.0.1:${port}`, 'acks=all']
  const output = await java(PRODUCER, [
    ...['--topic', topic, '--record-size', String(recordBytes), '--throughput', String(rate)],
    ...['--num-records', String(warmupCount + count), '--warmup-records', String(warmupCount)],
    ...['--reporting-interval', String(REPORT_EVERY_MS)],
    ...['--command-property', ...settings, `compression.type=${compression}`],
  ])
  return parseProduced(output, count)
}

/** Reads the line over the records behind the warm-up. Throws when some were not acknowledged. */
export function parseProduced(output: string, count: number): ProduceFigures {
  const line = output.split('\n').findLast((text) => /steady state/.test(text))
  const found =
    /^(\d+) steady state records sent, ([\d.]+) records\/sec .*? ([\d.]+) ms max latency, ([\d.]+) ms 50th, [\d.]+ ms 95th, ([\d.]+) ms 99th, ([\d.]+) ms 99\.9th/.exec(
      line ?? '',
    )
  if (found === null) throw new Error(`the producer did not end well: ${output}`)
  const [sent = 0, recordsPerSecond = 0, maxMs = 0, p50Ms = 0, p99Ms = 0, p999Ms = 0] = found
    .slice(1)
    .map(Number)
  if (sent < count) throw new Error(`${sent} records of ${count} were acknowledged`)
  return { recordsPerSecond, p50Ms, p99Ms, p999Ms, maxMs }
}

export interface ConsumeOptions {
  readonly port: number
  readonly topic: string
  readonly count: number
}

/** kafka-consumer-perf-test from the begin of a topic; resolves to records a second of fetching. */
export async function consume({ port, topic, count }: ConsumeOptions): Promise<number> {
  const output = await java(CONSUMER, [
    ...['--bootstrap-server', `127.0.0.1:${port}`, '--topic', topic],
    ...['--num-records', String(count), '--timeout', String(CONSUME_WITHIN_MS)],
    ...['--reporting-interval', String(REPORT_EVERY_MS)],
  ])
  return parseConsumed(output, count)
}

export function parseConsumed(output: string, count: number): number {
  const lines = output.trim().split('\n')
  const head = lines.find((line) => line.startsWith('start.time'))?.split(', ') ?? []
  const values = lines.at(-1)?.split(', ') ?? []
  const value = (name: string): number => Number(values[head.indexOf(name)])
  const consumed = value('data.consumed.in.nMsg')
  if (!(consumed >= count)) throw new Error(`${consumed} records of ${count} came: ${output}`)
  // Joining the group is not counted: Kafka waits three seconds for others to join.
  return value('fetch.nMsg.sec')
}

async function java(tool: string, args: readonly string[]): Promise<string> {
  const caches = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const root = process.env['WAYSTATION_INTEROP_CACHE'] ?? join(caches, 'waystation/interop')
  const quiet = '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'
  const command = [...JAVA_OPTIONS, quiet, '-cp', join(root, 'kafka/*'), tool, ...args]
  const { stdout } = await promisify(execFile)('java', command, {
    timeout: WITHIN_MS,
    maxBuffer: 2 ** 24,
  })
  return stdout
}
