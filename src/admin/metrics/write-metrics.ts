import { single } from './exposition.ts'
import type { MetricParts } from './metric-parts.ts'
import type { MetricWriter } from './metric-writer.ts'
import { writeTraffic } from './traffic-metrics.ts'
import { writeVhosts } from './vhost-metrics.ts'

/** All metrics, added up by protocol and virtual host: their number does not grow with queues. */
export function writeMetrics(out: MetricWriter, parts: MetricParts): void {
  const status = parts.status()
  const info = { version: status.version, engine: status.store.engine }
  out.gauge('waystation_build_info', 'Version and engine, always 1.', [[info, 1]])
  writeTraffic(out, parts)
  const topicBytes = writeVhosts(out, parts)
  writeStore(out, parts, topicBytes)
  writeProcess(out, parts)
}

function writeStore(out: MetricWriter, parts: MetricParts, topicBytes: number): void {
  const { broker, figures } = parts
  const { store, diskFreeBytes, diskFreeLimitBytes } = parts.status()
  out.gauge(
    'waystation_store_ready',
    '1 while the store takes messages.',
    single(Number(store.state === 'ready')),
  )
  out.gauge(
    'waystation_alarm',
    '1 while publishers are held back.',
    single(Number(broker.pressure.alarm !== null)),
  )
  out.gauge(
    'waystation_memory_alarm',
    '1 while memory runs out, and publishers are held back for that.',
    single(Number(broker.pressure.isMemoryLow)),
  )
  out.gauge('waystation_stored_bytes', 'Bytes that the store holds.', [
    [{ kind: 'queues' }, broker.storedBytes],
    [{ kind: 'topics' }, topicBytes],
    [{ kind: 'state' }, broker.state.storedBytes],
  ])
  out.gauge('waystation_disk_free_bytes', 'Bytes free where the store is.', single(diskFreeBytes))
  out.gauge(
    'waystation_disk_free_limit_bytes',
    'Below it publishers are held back.',
    single(diskFreeLimitBytes),
  )
  if (figures === undefined) return
  out.histogram(
    'waystation_disk_sync_seconds',
    'How long the device took to make a commit durable.',
    [[{}, figures.syncTimes]],
  )
}

function writeProcess(out: MetricWriter, { figures, status }: MetricParts): void {
  const { memoryBytes, memoryLimitBytes, startedAtMs } = status()
  out.gauge('process_resident_memory_bytes', 'Resident memory.', single(memoryBytes))
  out.gauge(
    'waystation_memory_limit_bytes',
    'Above it publishers are held back.',
    single(memoryLimitBytes),
  )
  out.gauge(
    'process_start_time_seconds',
    'When it started, since 1970.',
    single(startedAtMs / 1000),
  )
  if (figures === undefined) return
  const { user, system } = figures.cpuSeconds()
  out.counter('process_cpu_seconds_total', 'Processor time.', single(user + system))
  const { heapUsed, heapTotal, external } = figures.memory()
  out.gauge('nodejs_heap_used_bytes', 'Heap in use.', single(heapUsed))
  out.gauge('nodejs_heap_size_bytes', 'Heap that is reserved.', single(heapTotal))
  out.gauge('nodejs_external_memory_bytes', 'Memory outside the heap.', single(external))
  out.histogram('waystation_event_loop_delay_seconds', 'How much later than asked a timer came.', [
    [{}, figures.eventLoopDelay],
  ])
  out.histogram(
    'nodejs_gc_duration_seconds',
    'How long collections of garbage took.',
    Array.from(figures.collections, ([kind, histogram]) => [{ kind }, histogram] as const),
  )
}
