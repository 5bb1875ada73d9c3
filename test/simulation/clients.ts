import type { Consumer, DeliverySink, Queue, StoredMessage } from '../../src/broker/index.ts'
import type { ModelQueue } from './model-queue.ts'
import type { Token } from './token.ts'
import type { World } from './world.ts'

/** A delivery that its consumer has not settled. */
export interface Held {
  readonly token: Token
  readonly held: ModelQueue
  readonly queue: Queue
  readonly offset: number
  readonly taker: Taker | null
}

/** A connection with its consumers and what they hold. */
export class Client {
  readonly takers: Set<Taker> = new Set()
  holds: Held[] = []
}

/** A consumer that takes as many messages as it has credit for. */
export class Taker implements DeliverySink {
  readonly client: Client
  readonly noAck: boolean
  consumer: Consumer | null = null
  credit: number
  readonly #world: World
  readonly #life: number
  readonly #held: ModelQueue
  readonly #queue: Queue

  constructor(
    world: World,
    client: Client,
    given: { held: ModelQueue; queue: Queue; credit: number; noAck: boolean },
  ) {
    this.#world = world
    this.#life = world.life
    this.client = client
    this.credit = given.credit
    this.noAck = given.noAck
    this.#held = given.held
    this.#queue = given.queue
  }

  deliver(
    consumer: Consumer,
    message: StoredMessage,
    offset: number,
    redelivered: boolean,
    attempts: number,
  ): void {
    const world = this.#world
    if (world.life !== this.#life) return
    world.events++
    try {
      const seen = world.sightingOf(this.#queue.name, message, { offset, redelivered, attempts })
      const token = world.model.handedOut(this.#held, seen, {
        settles: this.noAck,
        holder: this,
      })
      if (!this.noAck) {
        const { client } = this
        client.holds.push({ token, held: this.#held, queue: this.#queue, offset, taker: this })
      }
    } catch (error) {
      world.fail(error)
    }
    this.credit--
    // Now and then the way out is full although there is credit.
    if (this.credit <= 0 || world.random.integer(16) === 0) consumer.pause()
  }

  cancelled(): void {
    this.client.takers.delete(this)
    this.consumer = null
  }

  /** Something it held was settled. */
  settledOne(): void {
    this.credit++
  }
}
