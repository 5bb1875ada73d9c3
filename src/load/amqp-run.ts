import { sleep } from './clock.ts'
import { Consumer } from './consumer.ts'
import { LatencyHistogram } from './histogram.ts'
import { Publisher, type PublishResult } from './publisher.ts'
import type { Endpoint } from './raw-socket.ts'
import { RunMeter, type RunCounts, type RunResult } from './run-meter.ts'
import { declareTopology, deleteTopology, type Topology } from './topology.ts'

export interface AmqpRunSpec extends Endpoint {
  readonly publishers: number
  /** 0: what is published stays, until the queues are deleted at the end. */
  readonly consumers: number
  readonly queues: number
  /** What names of the queues begin with: ones of that name are deleted first. */
  readonly prefix: string
  readonly bodyBytes: number
  /** Messages of one publisher that may be unconfirmed at once. */
  readonly window: number
  /** Unacknowledged messages of one consumer. */
  readonly prefetch: number
  /** Of all publishers together. */
  readonly count: number
  readonly seconds: number
  /** Of all publishers together, a second; 0: as many as confirms allow. */
  readonly rate: number
}

const DRAIN_POLL_MS = 20
/** Nothing came for so long although something was left. */
const STALL_MS = 60_000

/** Publishers and consumers of AMQP 0-9-1 in this process, on durable queues of their own. */
export class AmqpRun {
  readonly #spec: AmqpRunSpec
  readonly #topology: Topology
  readonly #publishers: readonly Publisher[]
  readonly #consumers: readonly Consumer[]
  readonly #confirms: LatencyHistogram
  readonly #deliveries: LatencyHistogram

  private constructor(
    spec: AmqpRunSpec,
    topology: Topology,
    { publishers, consumers, confirms, deliveries }: RunParts,
  ) {
    this.#spec = spec
    this.#topology = topology
    this.#publishers = publishers
    this.#consumers = consumers
    this.#confirms = confirms
    this.#deliveries = deliveries
  }

  static async open(spec: AmqpRunSpec): Promise<AmqpRun> {
    const { queues: queueCount, prefix } = spec
    const options = { queueCount, fanOut: false, queueArguments: {}, prefix }
    const topology = await declareTopology(spec, options)
    const confirms = new LatencyHistogram()
    const deliveries = new LatencyHistogram()
    const consumers: Consumer[] = []
    const publishers: Publisher[] = []
    for (let index = 0; index < spec.consumers; index++) {
      consumers.push(
        await Consumer.open({
          ...spec,
          role: 'consume',
          queues: queuesOf(topology.queues, index, spec.consumers),
          checkOrder: spec.publishers === 1 && spec.consumers === 1 && spec.queues === 1,
          measureLatency: true,
          holdFirst: false,
          histogram: deliveries,
        }),
      )
    }
    for (let index = 0; index < spec.publishers; index++) {
      publishers.push(
        await Publisher.open({
          ...spec,
          role: 'publish',
          exchange: topology.exchange,
          routingKeys: topology.routingKeys,
          count: shareOf(spec.count, index, spec.publishers),
          rate: spec.rate / spec.publishers,
          confirmHistogram: confirms,
        }),
      )
    }
    return new AmqpRun(spec, topology, { publishers, consumers, confirms, deliveries })
  }

  get counts(): RunCounts {
    return {
      published: sum(this.#publishers.map(({ confirmed }) => confirmed)),
      consumed: sum(this.#consumers.map(({ consumed }) => consumed)),
    }
  }

  /** Publishes no more; what was published is still consumed. */
  stop(): void {
    for (const publisher of this.#publishers) publisher.stop()
  }

  /** Throws unless all that was confirmed was consumed once. Deletes its queues in any case. */
  async run(): Promise<RunResult> {
    const meter = new RunMeter(() => this.counts)
    try {
      const results = await Promise.all(this.#publishers.map((publisher) => publisher.run()))
      const end = meter.published()
      const redelivered = await this.#drain(results)
      return {
        ...end,
        ...meter.end(),
        ...this.counts,
        redelivered,
        confirmLatencies: this.#confirms.latencies(),
        deliveryLatencies: this.#consumers.length === 0 ? null : this.#deliveries.latencies(),
      }
    } finally {
      meter.stop()
      for (const one of [...this.#publishers, ...this.#consumers]) one.abort()
      // What went wrong before is what must be told.
      await deleteTopology(this.#spec, this.#topology).catch(() => undefined)
    }
  }

  async #drain(results: readonly PublishResult[]): Promise<number> {
    if (this.#consumers.length === 0) return 0
    const expected = sum(results.map(({ confirmed }) => confirmed))
    let seen = -1
    let waitedMs = 0
    for (;;) {
      const failure = this.#consumers.find((consumer) => consumer.failure !== null)?.failure
      if (failure !== undefined && failure !== null) throw failure
      const { consumed } = this.counts
      if (consumed >= expected) break
      waitedMs = consumed === seen ? waitedMs + DRAIN_POLL_MS : 0
      if (waitedMs >= STALL_MS) {
        throw new Error(`no message for ${STALL_MS} ms, ${consumed} of ${expected} came`)
      }
      seen = consumed
      await sleep(DRAIN_POLL_MS)
    }
    const ends = await Promise.all(this.#consumers.map((one) => one.finish(one.consumed)))
    const sequences = sum(ends.map(({ sequenceSum }) => sequenceSum))
    const redelivered = sum(ends.map((end) => end.redelivered))
    if (redelivered === 0 && sequences !== sum(results.map(({ sequenceSum }) => sequenceSum))) {
      throw new Error('what came is not what was published')
    }
    return redelivered
  }
}

interface RunParts {
  readonly publishers: readonly Publisher[]
  readonly consumers: readonly Consumer[]
  readonly confirms: LatencyHistogram
  readonly deliveries: LatencyHistogram
}

/** All queues have a consumer, and all consumers a queue. */
function queuesOf(queues: readonly string[], index: number, consumers: number): readonly string[] {
  if (consumers >= queues.length) return [queues[index % queues.length] ?? '']
  return queues.filter((_, at) => at % consumers === index)
}

function shareOf(count: number, index: number, parts: number): number {
  const whole = Math.floor(count / parts)
  return whole + (index < count - whole * parts ? 1 : 0)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
