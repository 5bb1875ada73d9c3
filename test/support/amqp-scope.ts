/**
 * One test's own corner of a broker: unique names, connections and channels that are closed, and
 * queues and exchanges that are deleted, when the test ends.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'

import {
  connect,
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type Options,
} from 'amqplib'

import { refusalOfAction, watchRefusal, type Refusal } from './amqp-refusal.ts'
import { RawClient, type OpenOptions } from './raw-client.ts'
import { closeTarget, openTarget, type Target } from './target.ts'

/** A confirm channel whose errors are caught, and the connection it runs on. */
export interface ScopeChannel extends ConfirmChannel {
  readonly model: ChannelModel
}

export class Scope {
  readonly target: Target
  /** The first connection, and a confirm channel on it. */
  readonly connection: ChannelModel
  readonly channel: ScopeChannel
  readonly #connections: ChannelModel[]
  readonly #raws: RawClient[] = []
  readonly #names: string[] = []

  private constructor(target: Target, connection: ChannelModel, channel: ScopeChannel) {
    this.target = target
    this.connection = connection
    this.channel = channel
    this.#connections = [connection]
  }

  static async open(): Promise<Scope> {
    const target = await openTarget()
    const connection = await openConnection(target)
    return new Scope(target, connection, await openChannel(connection))
  }

  get isRabbit(): boolean {
    return this.connection.connection.serverProperties.product === 'RabbitMQ'
  }

  /** A name nobody else uses; whatever bears it is deleted at the end. */
  name(label: string): string {
    const name = `ws.${label}.${randomBytes(5).toString('hex')}`
    this.#names.push(name)
    return name
  }

  /** Declares a queue (durable, as amqplib's default is) and returns its name. */
  async queue(options: Options.AssertQueue = {}, label = 'q'): Promise<string> {
    const name = this.name(label)
    await this.channel.assertQueue(name, options)
    return name
  }

  async exchange(type: string, options: Options.AssertExchange = {}, label = 'x'): Promise<string> {
    const name = this.name(label)
    await this.channel.assertExchange(name, type, options)
    return name
  }

  /** Another connection; `options` as amqplib's. */
  async connect(options: Options.Connect = {}): Promise<ChannelModel> {
    const connection = await openConnection(this.target, options)
    this.#connections.push(connection)
    return connection
  }

  /** Another confirm channel, on the first connection unless told. */
  async open(connection: ChannelModel = this.connection): Promise<ScopeChannel> {
    return openChannel(connection)
  }

  /** Another channel, not in confirm mode. */
  async openPlain(connection: ChannelModel = this.connection): Promise<Channel> {
    const channel = await connection.createChannel()
    watchRefusal(channel, 'channel')
    return channel
  }

  /** A connection of bare frames, for what amqplib hides. */
  async raw(options: OpenOptions = {}): Promise<RawClient> {
    const raw = await RawClient.open(this.target, options)
    this.#raws.push(raw)
    return raw
  }

  /** A connection of bare frames before its handshake. */
  async rawSocket(): Promise<RawClient> {
    const raw = await RawClient.connect(this.target)
    this.#raws.push(raw)
    return raw
  }

  /** Asserts that `action` is refused exactly so; `text` is left out where it may differ. */
  async refused(
    action: (channel: ScopeChannel) => unknown,
    expected: Partial<Refusal>,
    channel?: ScopeChannel,
  ): Promise<void> {
    const own = channel ?? (await this.open(await this.connect()))
    const refusal = await refusalOfAction(own, own.model, () => action(own))
    const seen = Object.fromEntries(
      Object.keys(expected).map((key) => [key, refusal[key as keyof Refusal]]),
    )
    assert.deepEqual(seen, expected)
  }

  async close(): Promise<void> {
    for (const raw of this.#raws) raw.destroy()
    for (const connection of this.#connections.slice(1)) await closeQuietly(connection)
    await this.#deleteNames()
    await closeQuietly(this.connection)
  }

  async #deleteNames(): Promise<void> {
    if (this.#names.length === 0) return
    // The target may have been restarted meanwhile, and the first connection may be closed.
    const connection = await openConnection(await openTarget())
    const channel = await openChannel(connection)
    const names = this.#names
    const deletions = names.flatMap((name) => [
      channel.deleteQueue(name),
      channel.deleteExchange(name),
    ])
    await Promise.allSettled(deletions)
    await closeQuietly(connection)
  }
}

async function openConnection(
  target: Target,
  options: Options.Connect = {},
): Promise<ChannelModel> {
  const url: Options.Connect = {
    protocol: 'amqp',
    hostname: target.host,
    port: target.port,
    username: target.user,
    password: target.password,
    vhost: '/',
    ...options,
  }
  const connection = await connect(url, { noDelay: true })
  watchRefusal(connection, 'connection')
  return connection
}

async function openChannel(connection: ChannelModel): Promise<ScopeChannel> {
  const channel = await connection.createConfirmChannel()
  watchRefusal(channel, 'channel')
  return Object.assign(channel, { model: connection })
}

async function closeQuietly(connection: ChannelModel): Promise<void> {
  // A test may have closed it, or the server may have.
  await connection.close().catch(() => null)
}

export interface ScenarioOptions {
  /** Why the scenario is passed over on this target; null runs it. */
  readonly skipWhen?: (scope: Scope) => string | null
}

let closesTarget = false

/** Registers a test with a scope of its own. */
export function scenario(
  name: string,
  body: (scope: Scope) => Promise<void>,
  options: ScenarioOptions = {},
): void {
  if (!closesTarget) {
    closesTarget = true
    after(closeTarget)
  }
  test(name, { timeout: 20_000 }, async (context) => {
    const scope = await Scope.open()
    try {
      const reason = options.skipWhen?.(scope) ?? null
      if (reason === null) await body(scope)
      else context.skip(reason)
    } finally {
      await scope.close()
    }
  })
}
