import type { Consumer, DeliverySink, Standing } from '../broker/consumer.ts'
import type { Destination } from '../broker/destination.ts'
import { Queue } from '../broker/queue.ts'
import type { StoredMessage } from '../broker/stored-message.ts'
import type { Topic } from '../broker/topics/topic.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import type { Actor } from '../model/actor.ts'
import { BrokerError } from '../model/errors.ts'
import { NO_HEADERS } from '../model/header-value.ts'
import type { DeliveryView } from '../model/shapes/messages.ts'
import { messageView } from './console/message-views.ts'
import { DELIVERY_BYTES_AHEAD } from './limits.ts'
import type { DeliveriesBody, SettleBody } from './schemas.ts'

/** How often it is looked whether all was given out that there is. */
const END_CHECK_MS = 250
/** Of those looks, so many to an empty line: a client may take a long silence for a lost connection. */
const LOOKS_PER_SIGN = 120
const SIGN = '\n'
const ENCODER = new TextEncoder()
const PREFETCH = 100

export interface DeliveryStreamOptions {
  readonly id: number
  readonly destination: Queue | Topic
  readonly asked: DeliveriesBody
  readonly actor: Actor
  readonly clock: Clock
  /** Called once, when nothing more comes. */
  readonly onEnd: () => void
}

/**
 * One consumer over HTTP: each delivery is a line of JSON with a tag, and settled by other requests;
 * what is not goes back when the stream ends.
 */
export class DeliveryStream implements DeliverySink {
  readonly body: ReadableStream<Uint8Array>
  readonly #options: DeliveryStreamOptions
  readonly #prefetch: number
  readonly #noAck: boolean
  /** Offsets by their tags, the oldest first. */
  readonly #unsettled: Map<number, number> = new Map()
  #consumer: Consumer | null = null
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null
  #timer: Timer | null = null
  #tag = 0
  /** Messages it may still be given. */
  #left: number

  /** Throws `BrokerError` where somebody's exclusive use is in the way. */
  constructor(options: DeliveryStreamOptions) {
    const { destination, asked, actor, id } = options
    this.#options = options
    this.#noAck = asked.noAck ?? false
    this.#left = asked.count ?? Infinity
    this.#prefetch = asked.prefetch ?? PREFETCH
    this.#consumer = destination.consume({
      sink: this,
      tag: `http-${id}`,
      noAck: this.#noAck,
      exclusive: false,
      priority: 0,
      owner: this,
      actor,
      startAt: startOf(asked.from),
      arguments: NO_HEADERS,
    })
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
          controller.enqueue(ENCODER.encode(`${JSON.stringify({ id })}\n`))
        },
        pull: () => this.#refresh(),
        cancel: () => this.#end(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: DELIVERY_BYTES_AHEAD }),
    )
    this.#look(1)
  }

  deliver(
    consumer: Consumer,
    message: StoredMessage,
    offset: number,
    redelivered: boolean,
    attempts: number,
  ): void {
    const { vhost } = this.#options.destination
    const tag = ++this.#tag
    this.#left--
    if (!this.#noAck) this.#unsettled.set(tag, offset)
    const view = messageView(vhost, offset, message, Infinity)
    const delivery: DeliveryView = { tag, redelivered, attempts, ...view }
    const line = JSON.stringify(delivery)
    this.#controller?.enqueue(ENCODER.encode(`${line}\n`))
    if (!this.#canTake()) consumer.pause()
  }

  standing(): Standing {
    return {
      unsettled: this.#unsettled.size,
      unsettledMax: this.#noAck ? 0 : this.#prefetch,
      isOutputFull: (this.#controller?.desiredSize ?? 0) <= 0,
    }
  }

  holds(offset: number): boolean {
    return [...this.#unsettled.values()].includes(offset)
  }

  cancelled(): void {
    this.#consumer = null
    this.#unsettled.clear()
    this.close()
  }

  /** All deliveries up to a tag; throws for one that was never given out. */
  settle({ upTo, outcome }: SettleBody): void {
    if (upTo > this.#tag || this.#controller === null) {
      throw new BrokerError('PRECONDITION_FAILED', `no delivery has the tag ${upTo}`)
    }
    for (const [tag, offset] of this.#unsettled) {
      if (tag > upTo) break
      this.#unsettled.delete(tag)
      this.#options.destination[outcome](offset)
    }
    this.#refresh()
    this.#endIfDone()
  }

  /** No more comes; what is not settled goes back. */
  close(): void {
    const controller = this.#controller
    this.#end()
    controller?.close()
  }

  #canTake(): boolean {
    if (this.#left <= 0 || (this.#controller?.desiredSize ?? 0) <= 0) return false
    return this.#noAck || this.#unsettled.size < this.#prefetch
  }

  #refresh(): void {
    if (this.#canTake()) this.#consumer?.resume()
    else this.#consumer?.pause()
  }

  #look(count: number): void {
    this.#timer = this.#options.clock.setTimer(END_CHECK_MS, () => {
      this.#endIfDone()
      const controller = this.#controller
      if (controller === null) return
      const isSignDue = count % LOOKS_PER_SIGN === 0 && (controller.desiredSize ?? 0) > 0
      if (isSignDue) controller.enqueue(ENCODER.encode(SIGN))
      this.#look(count + 1)
    })
  }

  /** Only where nobody asked for what comes later. */
  #endIfDone(): void {
    if (this.#options.asked.follow === true && this.#left > 0) return
    const { atEnd } = this.#options.asked
    if (this.#unsettled.size > 0 && atEnd === undefined) return
    if (this.#left > 0 && !this.#isEmpty()) return
    // It must not be given at once what it gives back.
    this.#left = 0
    this.#consumer?.pause()
    if (atEnd !== undefined) this.#settleAll(atEnd)
    this.close()
  }

  #isEmpty(): boolean {
    const { destination } = this.#options
    if (destination instanceof Queue) return destination.readyCount === 0
    return this.#consumer === null || destination.lagOf(this.#consumer) === 0
  }

  #end(): void {
    if (this.#controller === null) return
    this.#controller = null
    this.#timer?.cancel()
    const consumer = this.#consumer
    this.#consumer = null
    consumer?.pause()
    this.#settleAll('release')
    consumer?.cancel()
    this.#options.onEnd()
  }

  #settleAll(outcome: 'release' | 'fail'): void {
    const offsets = [...this.#unsettled.values()]
    this.#unsettled.clear()
    for (const offset of offsets) this.#options.destination[outcome](offset)
  }
}

function startOf(from: DeliveriesBody['from']): NonNullable<ConsumeStart> {
  if (from === undefined) return { kind: 'first' }
  if (typeof from === 'string') return { kind: from }
  return 'offset' in from ? { kind: 'offset', ...from } : { kind: 'time', ...from }
}

type ConsumeStart = Parameters<Destination['consume']>[0]['startAt']
