import type { Timer } from '../lib/clock.ts'
import { RpcError } from '../rpc/status.ts'
import type { Channel } from './channel.ts'
import { createClient } from './create-client.ts'
import type { Discovery, DiscoveryListener, DiscoveryWatch } from './discovery.ts'
import { INSTANCES_MAX, WATCH_RETRY_MS, WATCH_RETRY_MS_MAX } from './limits.ts'
import { type EventsMessage, type InstanceMessage, RegistryContract } from './registry-contract.ts'

/** An instance as the registry of a broker knows it. */
export interface RegisteredInstance {
  readonly service: string
  readonly instanceId: string
  /** Where it listens; empty: it is called through the broker. */
  readonly address: string
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  readonly weight: number
  /** False: it wants no calls now. */
  readonly isServing: boolean
}

export interface InstanceChange {
  readonly change: 'appeared' | 'changed' | 'gone'
  readonly instance: RegisteredInstance
}

export interface WatchOptions {
  /** Ends it. */
  readonly signal?: AbortSignal
}

/**
 * Who provides a service, at a broker that a channel is connected to: those that are there, and
 * then each that comes, changes or goes. Ends by an error when the connection is lost. Without a
 * name it is about all services that may be called.
 */
export async function* watchInstances(
  channel: Channel,
  service = '',
  options: WatchOptions = {},
): AsyncGenerator<readonly InstanceChange[], void, undefined> {
  for await (const { events } of messagesOf(channel, service, options)) {
    if (events.length > 0) {
      yield events.map(({ change, instance }) => ({
        change: CHANGES[change],
        instance: registeredOf(instance),
      }))
    }
  }
}

function messagesOf(
  channel: Channel,
  service: string,
  options: WatchOptions,
): AsyncIterable<EventsMessage> {
  return createClient(RegistryContract, channel).Watch({ service }, options)
}

const CHANGES = {
  CHANGE_APPEARED: 'appeared',
  CHANGE_CHANGED: 'changed',
  CHANGE_GONE: 'gone',
} as const

function registeredOf({ health, ...instance }: InstanceMessage): RegisteredInstance {
  return { ...instance, isServing: health !== 'HEALTH_NOT_SERVING' }
}

export interface RegistryInstancesOptions {
  /** Only those for which this is true. Default: all. */
  readonly where?: (instance: RegisteredInstance) => boolean
}

/** The instances that listen and are registered for a service at the broker of a channel. */
export function registryInstances(
  channel: Channel,
  service: string,
  options: RegistryInstancesOptions = {},
): Discovery {
  return {
    name: service,
    watch: (listener) => new RegistryWatch(listener, { channel, service, ...options }),
  }
}

interface RegistryWatchOptions extends RegistryInstancesOptions {
  readonly channel: Channel
  readonly service: string
}

class RegistryWatch implements DiscoveryWatch {
  readonly #listener: DiscoveryListener
  readonly #options: RegistryWatchOptions
  readonly #abort = new AbortController()
  #waitMs = WATCH_RETRY_MS
  #timer: Timer | null = null

  constructor(listener: DiscoveryListener, options: RegistryWatchOptions) {
    this.#listener = listener
    this.#options = options
    this.#again()
  }

  /** The registry tells by itself. */
  refresh(): void {}

  stop(): void {
    this.#abort.abort('nobody looks any more')
    this.#timer?.cancel()
  }

  #again(): void {
    this.#look().then(
      () => this.#ended('the registry has ended the watch'),
      (error: unknown) => this.#ended(error instanceof Error ? error.message : String(error)),
    )
  }

  /** What was known before stays until all that is there now has been told. */
  async #look(): Promise<void> {
    const { channel, service, where = () => true } = this.#options
    const { signal } = this.#abort
    const known = new Map<string, RegisteredInstance>()
    for await (const { events, complete } of messagesOf(channel, service, { signal })) {
      for (const { change, instance } of events) {
        const { instanceId, address } = instance
        const key = JSON.stringify([instanceId, address])
        if (change === 'CHANGE_GONE') known.delete(key)
        else known.set(key, registeredOf(instance))
      }
      if (!complete) continue
      this.#waitMs = WATCH_RETRY_MS
      const wanted = [...known.values()].filter(
        (one) => one.address !== '' && one.isServing && where(one),
      )
      const found = wanted.map(({ address: url, weight }) => ({ url, weight }))
      this.#listener.found(found.slice(0, INSTANCES_MAX))
    }
  }

  #ended(reason: string): void {
    if (this.#abort.signal.aborted) return
    this.#listener.failed(reason)
    this.#timer = this.#listener.clock.setTimer(this.#waitMs, () => this.#again())
    this.#waitMs = Math.min(this.#waitMs * 2, WATCH_RETRY_MS_MAX)
  }
}

export interface InstanceOptions {
  readonly service: string
  /** Where callers connect to, such as the `url` of a listening channel with a host they can reach. */
  readonly address: string
  /** Default: drawn by lot. */
  readonly instanceId?: string
  readonly version?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly weight?: number
  /** Gone when it was not renewed for so long. Default 30 s. */
  readonly ttlMs?: number
  /** Told of each failure to renew. */
  readonly onError?: (error: RpcError) => void
}

/** An instance that is registered, and renewed in time, until it is closed. */
export interface RegisteredHandle extends AsyncDisposable {
  /** Resolves when it is registered; rejects when the broker refuses it. */
  readonly ready: Promise<void>
  /** False: it stays registered, and gets no new calls. */
  setServing(isServing: boolean): Promise<void>
  close(): Promise<void>
}

/** Tells the broker of a channel where an instance listens, so that callers find it. */
export function registerInstance(channel: Channel, options: InstanceOptions): RegisteredHandle {
  return new Registration(channel, options)
}

const TTL_MS_DEFAULT = 30_000

class Registration implements RegisteredHandle {
  readonly ready: Promise<void>
  readonly #channel: Channel
  readonly #options: InstanceOptions
  readonly #client: ReturnType<typeof createClient<(typeof RegistryContract)['methods']>>
  readonly #instanceId: string
  readonly #ttlMs: number
  #isServing = true
  #isClosed = false
  #timer: Timer | null = null

  constructor(channel: Channel, options: InstanceOptions) {
    this.#channel = channel
    this.#options = options
    this.#client = createClient(RegistryContract, channel)
    this.#instanceId = options.instanceId ?? channel.random.id()
    this.#ttlMs = options.ttlMs ?? TTL_MS_DEFAULT
    this.ready = this.#register()
    this.ready.catch(() => {})
    this.#renewLater()
  }

  async setServing(isServing: boolean): Promise<void> {
    this.#isServing = isServing
    await this.#register()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    const { service } = this.#options
    // Where it cannot be said, the time runs out.
    await this.#client.Deregister({ service, instanceId: this.#instanceId }).catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #register(): Promise<void> {
    const { service, address, version = '', labels = {}, weight = 1 } = this.#options
    const health = this.#isServing ? 'HEALTH_SERVING' : 'HEALTH_NOT_SERVING'
    const said = { service, address, version, labels, weight, health } as const
    const instance = { ...said, instanceId: this.#instanceId }
    await this.#client.Register({ instance, ttlMs: this.#ttlMs })
  }

  /** Three times in its life, so that two may be lost. */
  #renewLater(): void {
    this.#timer = this.#channel.clock.setTimer(this.#ttlMs / 3, () => {
      if (this.#isClosed) return
      this.#register().catch((error: unknown) => {
        const { onError } = this.#options
        onError?.(error instanceof RpcError ? error : new RpcError('UNKNOWN', String(error)))
      })
      this.#renewLater()
    })
  }
}
