import type { DeathReason } from '../annotations.ts'
import type { Consumer } from '../consumer.ts'
import type { Queue } from '../queue.ts'
import { NO_FACTS, type Step, type StepFacts } from './trace-log.ts'

/** Made once for each: what is made anew for every message has to be collected. */
const CONSUMER_NAMES: WeakMap<Consumer, string> = new WeakMap()

/** What a queue tells of those of its messages that are traced; asked only while some are. */
export class QueueTrace {
  readonly #queue: Queue

  constructor(queue: Queue) {
    this.#queue = queue
  }

  step(offset: number, step: Step, facts: StepFacts = {}): number {
    const { vhost, shard, name } = this.#queue
    const trace = vhost.tracer.traceOf(shard, offset)
    if (trace !== 0) vhost.tracer.step(trace, step, { at: name, offset, ...facts })
    return trace
  }

  delivered(offset: number, attempts: number, consumer: Consumer): void {
    const { vhost, name: at } = this.#queue
    const trace = this.of(offset)
    if (trace === 0) return
    const detail = nameOf(consumer)
    const by = consumer.actor
    vhost.tracer.note(trace, 'delivered', { ...NO_FACTS, at, offset, attempts, by, detail })
    if (consumer.noAck) this.#done(offset)
  }

  /** Somebody asked for one message. */
  gotten(offset: number, attempts: number, noAck: boolean): void {
    const detail = noAck ? 'by get, settled as it was given out' : 'by get'
    this.step(offset, 'delivered', { attempts, detail })
    if (noAck) this.#done(offset)
  }

  /** The trace of a message; 0: it has none. */
  of(offset: number): number {
    return this.#queue.vhost.tracer.traceOf(this.#queue.shard, offset)
  }

  /** When a message was given out last; null: it is not known, for it is not traced. */
  deliveredAtMs(offset: number): number | null {
    const { vhost, name } = this.#queue
    const steps = vhost.tracer.stepsOf(this.of(offset))
    const last = steps.findLast(({ step, at }) => step === 'delivered' && at === name)
    return last?.atMs ?? null
  }

  /** The queue is done with it. */
  ended(offset: number, step: 'accepted' | 'dropped', detail = ''): void {
    const { vhost, name: at } = this.#queue
    const trace = this.of(offset)
    if (trace === 0) return
    vhost.tracer.note(trace, step, { ...NO_FACTS, at, offset, detail })
    this.#done(offset)
  }

  /** `error`: what its consumer said of it. */
  failed(offset: number, step: 'failed' | 'rejected', attempts: number, error?: string): void {
    this.step(offset, step, { attempts, detail: error ?? '' })
  }

  held(offset: number, notBeforeMs: number): void {
    this.step(offset, 'held', { detail: `until ${new Date(notBeforeMs).toISOString()}` })
  }

  /** It died, and nobody is named to take it. */
  died(offset: number, reason: DeathReason): void {
    this.ended(offset, 'dropped', reason)
  }

  /** It is about to be buried; its trace goes on with its copy. */
  dying(offset: number, reason: DeathReason): number {
    const { deadLetterExchange: exchange, deadLetterRoutingKey: key } = this.#queue.settings
    if (exchange === undefined) return this.step(offset, 'dropped', { detail: reason })
    const withKey = key === undefined ? '' : ` with key '${key}'`
    const detail = `${reason}, to exchange '${exchange}'${withKey}`
    return this.step(offset, 'dead-lettered', { detail })
  }

  buried(offset: number, trace: number, isDone: boolean): void {
    if (isDone) this.#done(offset)
    else {
      const { vhost, name: at } = this.#queue
      vhost.tracer.step(trace, 'kept', { at, offset, detail: 'nobody takes the dead letter' })
    }
  }

  /** Returns the trace that goes on with the message. */
  redriven(offset: number, to: { readonly exchange: string; readonly routingKey: string }): number {
    if (this.#queue.shard.traced === null) return 0
    const detail = `to exchange '${to.exchange}' with key '${to.routingKey}'`
    return this.step(offset, 'redriven', { detail })
  }

  /** It is somewhere else now, and what is left here is of no interest. */
  moved(offset: number): void {
    if (this.#queue.shard.traced !== null) this.#done(offset)
  }

  /** All that waits, or all there is, goes. */
  emptied(step: 'purged' | 'dropped'): void {
    const queue = this.#queue
    const gone: number[] = []
    queue.shard.traced?.visit((offset) => {
      const isGone = step === 'purged' ? queue.isReady(offset) : queue.isLive(offset)
      if (isGone) gone.push(offset)
    })
    for (const offset of gone) {
      this.step(offset, step, step === 'dropped' ? { detail: 'the queue was deleted' } : {})
      this.#done(offset)
    }
  }

  #done(offset: number): void {
    this.#queue.vhost.tracer.ended(this.#queue.shard, offset)
  }
}

function nameOf(consumer: Consumer): string {
  const known = CONSUMER_NAMES.get(consumer)
  if (known !== undefined) return known
  const { tag, noAck } = consumer
  const name = `consumer '${tag}'${noAck ? ', settled as it was given out' : ''}`
  CONSUMER_NAMES.set(consumer, name)
  return name
}
