import { type Destination, MessageReader, Queue, type StoredMessage } from '../broker/index.ts'
import { exchangeOf, routingKeyOf } from '../model/address.ts'
import { waitFor } from './wait-for.ts'

/** A message as it lies in a queue. */
export interface TestMessage {
  readonly body: Buffer
  /** The body as UTF-8. */
  readonly text: string
  readonly exchange: string
  readonly routingKey: string
  /** Application headers; none: empty. */
  readonly headers: ReadonlyMap<string, unknown>
  readonly persistent: boolean
  readonly priority: number
  /** False: given to a consumer and not settled, or held back until it is tried again. */
  readonly ready: boolean
  /** Attempts that failed and are counted; see the destination's retry settings. */
  readonly attempts: number
  /** Why, where and how often it was dead-lettered, newest first. */
  readonly deaths: readonly {
    readonly queue: string
    readonly reason: string
    readonly count: number
  }[]
}

/** A queue or stream of a test broker, looked up anew each time: it may come and go. */
export class TestDestination {
  readonly name: string
  readonly #find: () => Destination | undefined

  constructor(name: string, find: () => Destination | undefined) {
    this.name = name
    this.#find = find
  }

  get exists(): boolean {
    return this.#find() !== undefined
  }

  /** Messages that wait for a consumer. Like all counts 0 where there is no such destination. */
  get ready(): number {
    return this.#find()?.readyCount ?? 0
  }

  /** Messages that a consumer has and has not settled. */
  get unsettled(): number {
    return this.#find()?.unsettledCount ?? 0
  }

  get consumers(): number {
    return this.#find()?.consumerCount ?? 0
  }

  /**
   * Everything in the queue in order of arrival, given out or not; nothing is changed by looking.
   * Rejects where there is no such queue, and for streams: read those with a consumer.
   */
  async messages(): Promise<TestMessage[]> {
    const queue = this.#find()
    if (!(queue instanceof Queue)) {
      const what = queue === undefined ? 'there is no queue' : 'a stream, not a queue:'
      throw new Error(`${what} '${this.name}'`)
    }
    const offsets: number[] = []
    queue.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      for (let offset = start; offset < start + count; offset++) offsets.push(offset)
    })
    const messages: TestMessage[] = []
    for (const offset of offsets.toSorted((one, other) => one - other)) {
      messages.push(await read(queue, offset))
    }
    return messages
  }

  /**
   * Resolves when all counts that are named are reached; rejects after `timeoutMs` of real time
   * (default 5000), saying what was there instead.
   */
  async waitFor(
    counts: {
      readonly ready?: number
      readonly unsettled?: number
      readonly consumers?: number
    },
    timeoutMs?: number,
  ): Promise<void> {
    const names = Object.keys(counts) as (keyof typeof counts)[]
    const text = (of: (name: (typeof names)[number]) => number | undefined): string =>
      names.map((name) => `${name} ${of(name)}`).join(', ')
    await waitFor(() => names.every((name) => this[name] === counts[name]), {
      timeoutMs,
      expected: () => `'${this.name}' to have ${text((name) => counts[name])}`,
      found: () => (this.exists ? text((name) => this[name]) : 'no such destination'),
    })
  }
}

async function read(queue: Queue, offset: number): Promise<TestMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const reader = new MessageReader(queue.shard, (error) =>
    error === null ? resolve() : reject(error),
  )
  while (!reader.look(offset)) await promise
  return messageOf(queue, offset, reader.view)
}

function messageOf(queue: Queue, offset: number, view: StoredMessage): TestMessage {
  const { data, addressStart, addressEnd, headerStart, headerEnd, bodyStart, bodyEnd } = view
  const body = Buffer.from(data.subarray(bodyStart, bodyEnd))
  return {
    body,
    text: body.toString('utf8'),
    exchange: exchangeOf(data, addressStart),
    routingKey: routingKeyOf(data, addressStart, addressEnd),
    headers: new Map(queue.vhost.form(view.form)?.headers(data, headerStart, headerEnd)),
    persistent: view.persistent,
    priority: view.priority,
    ready: queue.isReady(offset),
    attempts: queue.attemptsOf(offset),
    deaths: (view.annotations?.deaths ?? []).map(({ queue: name, reason, count }) => {
      return { queue: name, reason, count }
    }),
  }
}
