/** Publishing with confirms and collecting deliveries, for tests. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Channel, ConfirmChannel, ConsumeMessage, GetMessage, Message, Options } from 'amqplib'

const ARRIVES_WITHIN_MS = 5_000

/** Publishes one message and resolves with the broker's confirm. */
export async function publish(
  channel: ConfirmChannel,
  exchange: string,
  key: string,
  body: string | Buffer,
  options: Options.Publish = {},
): Promise<'ack' | 'nack'> {
  return new Promise((resolve) => {
    channel.publish(exchange, key, Buffer.from(body), options, (error: unknown) => {
      resolve(error === null || error === undefined ? 'ack' : 'nack')
    })
  })
}

/** Publishes to a queue by the default exchange and demands the ack of each. */
export async function send(
  channel: ConfirmChannel,
  queue: string,
  bodies: readonly string[],
  options: Options.Publish = {},
): Promise<void> {
  const confirms = await Promise.all(
    bodies.map(async (body) => publish(channel, '', queue, body, options)),
  )
  assert.deepEqual(new Set(confirms), new Set(['ack']))
}

/** Takes everything that is ready, settled at once, and returns the bodies in order. */
export async function drain(channel: Channel, queue: string): Promise<string[]> {
  return (await drainMessages(channel, queue)).map(text)
}

export async function drainMessages(channel: Channel, queue: string): Promise<GetMessage[]> {
  const messages: GetMessage[] = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return messages
    messages.push(message)
  }
}

/** One message by basic.get, not yet settled; fails when there is none. */
export async function getOne(channel: Channel, queue: string): Promise<GetMessage> {
  const message = await channel.get(queue)
  assert.notEqual(message, false, `queue '${queue}' is empty`)
  return message as GetMessage
}

/** One settled message from a queue that another queue's dead letters reach a little later. */
export async function arriving(channel: Channel, queue: string): Promise<GetMessage> {
  return eventually(async () => {
    const message = await channel.get(queue, { noAck: true })
    return message === false ? null : message
  }, `a message in '${queue}'`)
}

/** Polls until `look` gives something other than null. */
export async function eventually<T>(look: () => Promise<T | null>, what: string): Promise<T> {
  const deadlineMs = performance.now() + ARRIVES_WITHIN_MS
  for (;;) {
    const found = await look()
    if (found !== null) return found
    if (performance.now() > deadlineMs) {
      throw new Error(`no ${what} within ${ARRIVES_WITHIN_MS} ms`)
    }
    await sleep(5)
  }
}

export async function readyCount(channel: Channel, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount
}

/** Waits until a queue holds exactly so many ready messages. */
export async function untilReady(channel: Channel, queue: string, count: number): Promise<void> {
  await eventually(
    async () => ((await readyCount(channel, queue)) === count ? true : null),
    `${count} ready messages in '${queue}'`,
  )
}

export function text(message: Message): string {
  return message.content.toString()
}

export function headersOf(message: Message): Readonly<Record<string, unknown>> {
  return message.properties.headers ?? {}
}

/** A consumer that keeps what it gets. */
export class Inbox {
  readonly channel: Channel
  tag = ''
  /** Deliveries in order, those taken included. */
  readonly all: ConsumeMessage[] = []
  /** True once the server has cancelled the consumer. */
  cancelled = false
  #taken = 0

  private constructor(channel: Channel) {
    this.channel = channel
  }

  static async open(
    channel: Channel,
    queue: string,
    options: Options.Consume = {},
  ): Promise<Inbox> {
    const inbox = new Inbox(channel)
    const ok = await channel.consume(queue, (message) => inbox.#arrived(message), options)
    inbox.tag = ok.consumerTag
    return inbox
  }

  /** The next delivery; fails when none comes. */
  async next(): Promise<ConsumeMessage> {
    const [message] = await this.take(1)
    assert.ok(message)
    return message
  }

  /** The next `count` deliveries. */
  async take(count: number): Promise<ConsumeMessage[]> {
    await this.until(() => this.all.length >= this.#taken + count, `${count} deliveries`)
    const messages = this.all.slice(this.#taken, this.#taken + count)
    this.#taken += count
    return messages
  }

  /** Asserts that nothing more comes: a round trip on the channel, then a short wait. */
  async idle(waitMs = 30): Promise<void> {
    await sleep(waitMs)
    const extra = this.all.slice(this.#taken).map(text)
    assert.deepEqual(extra, [], 'no further delivery was expected')
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const deadlineMs = performance.now() + ARRIVES_WITHIN_MS
    while (!condition()) {
      const leftMs = deadlineMs - performance.now()
      if (leftMs <= 0) {
        const bodies = JSON.stringify(this.all.slice(this.#taken).map(text))
        throw new Error(`no ${what} within ${ARRIVES_WITHIN_MS} ms, only ${bodies}`)
      }
      await sleep(2)
    }
  }

  #arrived(message: ConsumeMessage | null): void {
    if (message === null) this.cancelled = true
    else this.all.push(message)
  }
}
