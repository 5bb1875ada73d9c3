/**
 * The checks of `checks.ts` over one face that every Node client is given. A client's test file
 * says how each step is done with its own API; what must come out is written here once.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { closeTarget, openTarget } from '../support/target.ts'
import { CHECKS, type CheckName } from './checks.ts'

const ARRIVES_WITHIN_MS = 5_000

/** A message as a client shows it. */
export interface Received {
  readonly body: string
  readonly redelivered: boolean
  readonly headers: Readonly<Record<string, unknown>>
  /** Under the names of `SENT_PROPERTIES`; the timestamp in seconds. */
  readonly properties: Readonly<Record<string, unknown>>
  ack(): unknown
  /** Everything up to this one. */
  ackAll(): unknown
  nack(requeue: boolean): unknown
}

export interface QueueOptions {
  readonly durable?: boolean
  readonly exclusive?: boolean
  readonly passive?: boolean
  readonly arguments?: Readonly<Record<string, unknown>>
}

export interface Properties {
  readonly contentType?: string
  readonly contentEncoding?: string
  readonly deliveryMode?: number
  readonly priority?: number
  readonly correlationId?: string
  readonly replyTo?: string
  readonly expiration?: string
  readonly messageId?: string
  readonly timestamp?: number
  readonly type?: string
  readonly userId?: string
  readonly appId?: string
  readonly headers?: Record<string, unknown>
}

export interface Message extends Properties {
  readonly exchange: string
  readonly key: string
  readonly body: string
  readonly mandatory?: boolean
}

/** One connection with one confirming channel. */
export interface NodeSession {
  declareQueue(name: string, options: QueueOptions): Promise<{ name: string; count: number }>
  deleteQueue(name: string): Promise<unknown>
  purgeQueue(name: string): Promise<unknown>
  bindTopic(queue: string, exchange: string, key: string): Promise<unknown>
  /** Resolves when the broker has confirmed the message. */
  publish(message: Message): Promise<unknown>
  get(queue: string): Promise<Received | null>
  consume(queue: string, deliver: (message: Received) => void): Promise<unknown>
  prefetch(count: number): Promise<unknown>
  /** Bodies of returned messages. */
  readonly returned: readonly string[]
  close(): Promise<unknown>
}

export interface NodeClient {
  readonly name: string
  open(url: string): Promise<NodeSession>
  /** The reply code in an error of this client; null when it bears none. */
  replyCode(error: unknown): number | null
  /** Every type the client can send, as it comes back. */
  readonly headers: Readonly<Record<string, unknown>>
}

const SENT_PROPERTIES: Properties = {
  contentType: 'text/plain',
  contentEncoding: 'utf-8',
  deliveryMode: 2,
  priority: 3,
  correlationId: 'c',
  replyTo: 'r',
  expiration: '60000',
  messageId: 'm',
  timestamp: 1_700_000_000,
  type: 't',
  userId: 'guest',
  appId: 'a',
}

/** What a check works with. */
class Bench {
  readonly client: NodeClient
  readonly session: NodeSession
  readonly #url: string
  readonly #names: string[] = []

  constructor(client: NodeClient, session: NodeSession, url: string) {
    this.client = client
    this.session = session
    this.#url = url
  }

  async queue(options: QueueOptions = {}): Promise<string> {
    const name = `ws.node.${randomBytes(5).toString('hex')}`
    this.#names.push(name)
    await this.session.declareQueue(name, { durable: false, ...options })
    return name
  }

  async send(queue: string, ...bodies: readonly string[]): Promise<void> {
    await Promise.all(
      bodies.map(async (body) => this.session.publish({ exchange: '', key: queue, body })),
    )
  }

  async take(queue: string): Promise<Received> {
    const deadlineMs = performance.now() + ARRIVES_WITHIN_MS
    for (;;) {
      const message = await this.session.get(queue)
      if (message !== null) return message
      assert.ok(performance.now() < deadlineMs, `no message in ${queue}`)
      await sleep(5)
    }
  }

  /** Consumes into a list that `until` waits on. */
  async consume(queue: string): Promise<Received[]> {
    const inbox: Received[] = []
    await this.session.consume(queue, (message) => inbox.push(message))
    return inbox
  }

  async refused(code: number, action: (session: NodeSession) => Promise<unknown>): Promise<void> {
    const other = await this.client.open(this.#url)
    try {
      await assert.rejects(action(other), (error) => {
        assert.equal(this.client.replyCode(error), code, String(error))
        return true
      })
    } finally {
      await other.close()
    }
  }

  async close(): Promise<void> {
    for (const name of this.#names) await this.session.deleteQueue(name)
    await this.session.close()
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + ARRIVES_WITHIN_MS
  while (!condition()) {
    assert.ok(performance.now() < deadlineMs, `no ${what}`)
    await sleep(2)
  }
}

const STEPS: Readonly<Record<CheckName, (bench: Bench) => Promise<void>>> = {
  declare: async (bench) => {
    const options = { durable: true, arguments: { 'x-max-length': 10 } }
    const queue = await bench.queue(options)
    assert.equal((await bench.session.declareQueue(queue, options)).count, 0)
    await bench.session.bindTopic(queue, 'amq.topic', `${queue}.*`)
    await bench.session.publish({ exchange: 'amq.topic', key: `${queue}.b`, body: 'routed' })
    assert.equal((await bench.take(queue)).body, 'routed')
  },
  'server-named': async (bench) => {
    const { name } = await bench.session.declareQueue('', { exclusive: true })
    assert.match(name, /^amq\.gen-/)
    await bench.send(name, 'x')
    assert.equal((await bench.take(name)).body, 'x')
  },
  confirm: async (bench) => {
    const queue = await bench.queue({ durable: true })
    await bench.send(queue, ...Array.from({ length: 200 }, (_value, index) => String(index)))
    assert.equal((await bench.session.declareQueue(queue, { passive: true })).count, 200)
  },
  consume: async (bench) => {
    const queue = await bench.queue()
    const inbox = await bench.consume(queue)
    await bench.send(queue, 'a', 'b', 'c')
    await until(() => inbox.length === 3, 'three deliveries')
    assert.deepEqual(
      inbox.map(({ body }) => body),
      ['a', 'b', 'c'],
    )
    for (const message of inbox) await message.ack()
  },
  ack: async (bench) => {
    const queue = await bench.queue()
    await bench.send(queue, 'a', 'b', 'c')
    await bench.take(queue)
    const second = await bench.take(queue)
    const third = await bench.take(queue)
    await second.ackAll()
    await third.nack(true)
    const last = await bench.take(queue)
    assert.deepEqual([last.body, last.redelivered], ['c', true])
    assert.equal(await bench.session.get(queue), null)
  },
  'nack-requeue': async (bench) => {
    const queue = await bench.queue()
    await bench.send(queue, 'again')
    const first = await bench.take(queue)
    assert.equal(first.redelivered, false)
    await first.nack(true)
    const second = await bench.take(queue)
    assert.deepEqual([second.body, second.redelivered], ['again', true])
    await second.nack(false)
  },
  'dead-letter': async (bench) => {
    const dead = await bench.queue()
    const queue = await bench.queue({
      arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead },
    })
    await bench.send(queue, 'bad')
    await (await bench.take(queue)).nack(false)
    const letter = await bench.take(dead)
    assert.equal(letter.body, 'bad')
    const [death] = letter.headers['x-death'] as Record<string, unknown>[]
    assert.deepEqual([death?.['queue'], death?.['reason']], [queue, 'rejected'])
    assert.equal(Number(death?.['count']), 1)
  },
  'mandatory-return': async (bench) => {
    await bench.session.publish({
      exchange: 'amq.direct',
      key: 'nowhere',
      body: 'back',
      mandatory: true,
    })
    await until(() => bench.session.returned.length > 0, 'return')
    assert.deepEqual(bench.session.returned, ['back'])
  },
  exclusive: async (bench) => {
    const queue = await bench.queue({ exclusive: true })
    await bench.send(queue, 'own')
    assert.equal((await bench.take(queue)).body, 'own')
    await bench.refused(405, async (session) => session.consume(queue, () => {}))
  },
  prefetch: async (bench) => {
    const queue = await bench.queue()
    await bench.send(queue, 'a', 'b', 'c')
    await bench.session.prefetch(2)
    const inbox = await bench.consume(queue)
    await until(() => inbox.length === 2, 'two deliveries')
    await sleep(30)
    assert.equal(inbox.length, 2)
    await inbox[0]?.ack()
    await until(() => inbox.length === 3, 'third delivery')
  },
  'error-403': async (bench) => {
    await bench.refused(403, async (session) => session.declareQueue('amq.mine', {}))
  },
  'error-404': async (bench) => {
    await bench.refused(404, async (session) =>
      session.declareQueue('ws.node.missing', { passive: true }),
    )
  },
  'error-405': async (bench) => {
    const queue = await bench.queue({ exclusive: true })
    await bench.refused(405, async (session) => session.purgeQueue(queue))
  },
  'error-406': async (bench) => {
    const queue = await bench.queue({ durable: true })
    await bench.refused(406, async (session) => session.declareQueue(queue, { durable: false }))
  },
  properties: async (bench) => {
    const queue = await bench.queue()
    await bench.session.publish({ exchange: '', key: queue, body: 'x', ...SENT_PROPERTIES })
    const { properties } = await bench.take(queue)
    for (const [name, value] of Object.entries(SENT_PROPERTIES)) {
      assert.deepEqual(properties[name], value, name)
    }
  },
  'header-types': async (bench) => {
    const queue = await bench.queue()
    const sent = { ...bench.client.headers }
    await bench.session.publish({ exchange: '', key: queue, body: 'x', headers: sent })
    const { headers } = await bench.take(queue)
    assert.deepEqual({ ...headers }, sent)
  },
}

/** Registers the tests of one client. */
export function nodeClientTests(client: NodeClient): void {
  after(closeTarget)
  test(client.name, async (context) => {
    const { url } = await openTarget()
    for (const check of CHECKS) {
      await context.test(check, { timeout: 30_000 }, async () => {
        const bench = new Bench(client, await client.open(url), url)
        try {
          await STEPS[check](bench)
        } finally {
          await bench.close()
        }
      })
    }
  })
}
