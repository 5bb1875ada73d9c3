import type { Timer } from '../../lib/clock.ts'
import { CallTally } from '../../rpc/call-tally.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { Sample } from '../../model/shapes/beats.ts'
import { enqueuedCount } from './destination-beats.ts'
import { SAMPLE_MS, SAMPLES_KEPT_MAX } from './limits.ts'

interface Counters {
  published: number
  unrouted: number
  enqueued: number
  delivered: number
  settled: number
  redelivered: number
  called: number
  callsFailed: number
}

/** Told after each beat. */
export interface Viewer {
  sampled(sample: Sample): void
  /** The broker closes. */
  ended(): void
}

/**
 * Reads the broker's counters once a second while somebody looks, however many do; nothing is
 * read, kept or timed when nobody does.
 */
export class Sampler {
  readonly #parts: AdminParts
  readonly #viewers = new Set<Viewer>()
  #samples: Sample[] = []
  #before: Counters | null = null
  #beforeMs = 0
  #timer: Timer | null = null
  #syncMs: number | null = null
  #isProbing = false

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  get viewerCount(): number {
    return this.#viewers.size
  }

  /** Of the last minutes in which somebody looked, the oldest first. */
  get samples(): readonly Sample[] {
    return this.#samples
  }

  /** Returns how to look no more. */
  watch(viewer: Viewer): () => void {
    this.#viewers.add(viewer)
    if (this.#timer === null) {
      this.#take()
      this.#arm()
    }
    return () => {
      this.#viewers.delete(viewer)
      if (this.#viewers.size > 0) return
      this.#timer?.cancel()
      this.#timer = null
      this.#samples = []
      this.#before = null
    }
  }

  /** Ends what every viewer looks at. */
  close(): void {
    for (const viewer of [...this.#viewers]) viewer.ended()
  }

  #arm(): void {
    this.#timer = this.#parts.broker.clock.setTimer(SAMPLE_MS, () => {
      this.#arm()
      const sample = this.#take()
      for (const viewer of [...this.#viewers]) viewer.sampled(sample)
    })
  }

  #take(): Sample {
    const { broker, rpcCore, status } = this.#parts
    const nowMs = broker.clock.monotonicMs()
    const counters = emptyCounters()
    const levels = { ready: 0, unsettled: 0, held: 0, kept: 0, queues: 0, topics: 0, consumers: 0 }
    let topicBytes = 0
    for (const vhost of broker.vhosts()) {
      for (const destination of vhost.destinations()) {
        const { totals, profile, readyCount } = destination
        const enqueued = enqueuedCount(destination)
        counters.enqueued += enqueued
        // What came in batches came through no exchange.
        if (profile === 'topic') counters.published += enqueued - totals.enqueued
        counters.delivered += totals.delivered
        counters.settled += totals.settled
        counters.redelivered += totals.redelivered
        levels.consumers += destination.consumerCount
        if (profile === 'topic') {
          levels.topics++
          levels.kept += readyCount
          topicBytes += destination.readyBytes
          continue
        }
        levels.queues++
        levels.ready += readyCount
        levels.unsettled += destination.unsettledCount
        levels.held += destination.heldCount
      }
      for (const { totals } of vhost.exchanges()) {
        counters.published += totals.published
        counters.unrouted += totals.unrouted
      }
    }
    const tallies: CallTally[] = []
    for (const [, { relay, registry }] of rpcCore?.hosts ?? []) {
      for (const { tally } of registry.attachments) tallies.push(tally)
      counters.called += relay.counts.opened
      counters.callsFailed += relay.counts.failed + relay.counts.deadlineExceeded
    }
    const connections: Record<string, number> = {}
    for (const { name, connections: count } of status().listeners) {
      if (name !== 'http') connections[name] = (connections[name] ?? 0) + count
    }
    const sample: Sample = {
      atMs: broker.clock.now(),
      ...this.#rates(counters, nowMs),
      ...levels,
      callP99Ms: CallTally.of(tallies).quantileMs(0.99),
      storedBytes: broker.storedBytes + topicBytes,
      connections,
      syncMs: this.#syncMs,
      alarm: broker.pressure.alarm,
    }
    this.#samples.push(sample)
    if (this.#samples.length > SAMPLES_KEPT_MAX) this.#samples.shift()
    this.#probe()
    return sample
  }

  /** What was deleted meanwhile takes its counts along: a sum that fell counts as no change. */
  #rates(now: Counters, nowMs: number): Record<RateName, number> {
    const before = this.#before
    const seconds = (nowMs - this.#beforeMs) / 1000
    this.#before = now
    this.#beforeMs = nowMs
    const rate = (name: keyof Counters): number => {
      if (before === null || seconds <= 0) return 0
      return Math.round((Math.max(0, now[name] - before[name]) / seconds) * 10) / 10
    }
    return {
      publishRate: rate('published'),
      unroutedRate: rate('unrouted'),
      enqueueRate: rate('enqueued'),
      deliverRate: rate('delivered'),
      settleRate: rate('settled'),
      redeliverRate: rate('redelivered'),
      callRate: rate('called'),
      callFailRate: rate('callsFailed'),
    }
  }

  /** Waits for the commit of this turn, as a publisher does for its confirm. */
  #probe(): void {
    if (this.#isProbing) return
    this.#isProbing = true
    const { broker } = this.#parts
    const startedMs = broker.clock.monotonicMs()
    broker.requireSync()
    broker.onCommit({
      committed: (_ticket, error) => {
        this.#isProbing = false
        const tookMs = broker.clock.monotonicMs() - startedMs
        this.#syncMs = error === null ? Math.round(tookMs * 100) / 100 : null
      },
    })
  }
}

type RateName =
  | 'publishRate'
  | 'unroutedRate'
  | 'enqueueRate'
  | 'deliverRate'
  | 'settleRate'
  | 'redeliverRate'
  | 'callRate'
  | 'callFailRate'

function emptyCounters(): Counters {
  return {
    ...{ published: 0, unrouted: 0, enqueued: 0, delivered: 0, settled: 0, redelivered: 0 },
    ...{ called: 0, callsFailed: 0 },
  }
}
