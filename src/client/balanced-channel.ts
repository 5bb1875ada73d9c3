import { type Clock, systemClock } from '../lib/clock.ts'
import { Deadlines } from '../lib/deadlines.ts'
import { type RandomSource, systemRandom } from '../lib/random.ts'
import type { BalancePolicy } from '../rpc/balancer.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
} from '../rpc/call.ts'
import { hopDetail } from '../rpc/hop.ts'
import { CAPACITY_MAX } from '../rpc/limits.ts'
import { Metadata } from '../rpc/metadata.ts'
import { PROVIDER_METADATA } from '../rpc/provider-choice.ts'
import { type Attachment, Registry, type Service } from '../rpc/registry.ts'
import { Relay } from '../rpc/relay.ts'
import { RpcError, type Status, statusOf } from '../rpc/status.ts'
import type { Attached, Channel } from './channel.ts'
import type { Discovery, DiscoveryWatch, Instance } from './discovery.ts'
import { PENDING_CALLS_MAX, RETIRE_CHECK_MS } from './limits.ts'
import { PendingCall } from './pending-call.ts'
import { type ConnectOptions, openChannel } from './remote-channel.ts'

export interface BalancedOptions extends Omit<ConnectOptions, 'onLost'> {
  /** How calls are spread over the instances. Default `least-outstanding`. */
  readonly policy?: BalancePolicy
  /** Told whenever an instance is lost or cannot be reached, or none can be looked up. */
  readonly onLost?: (error: RpcError, instance: Instance | null) => void
}

/**
 * A channel to all instances that a discovery knows of, without a broker between: it connects to
 * each, gives calls to those that are connected, and makes a call that certainly nobody has seen
 * again elsewhere. An instance that is gone from the list keeps the calls it has.
 */
export function balancedChannel(discovery: Discovery, options: BalancedOptions = {}): Channel {
  return new BalancedChannel(discovery, options)
}

/** Whatever service a call is for, all instances have it. */
class InstanceRegistry extends Registry {
  readonly #name: string

  constructor(random: RandomSource, name: string) {
    super(random)
    this.#name = name
  }

  override service(): Service | null {
    return super.service(this.#name)
  }
}

/** A connection to one instance. */
interface Endpoint {
  readonly instance: Instance
  readonly channel: Channel
  /** Null: it is not connected. */
  attachment: Attachment | null
  /** It has never been connected, nor failed. */
  isNew: boolean
}

class BalancedChannel implements Channel {
  readonly clock: Clock
  readonly random: RandomSource
  readonly deadlines: Deadlines
  readonly #name: string
  readonly #options: BalancedOptions
  readonly #registry: Registry
  readonly #relay: Relay
  readonly #watch: DiscoveryWatch
  readonly #endpoints = new Map<string, Endpoint>()
  /** Gone from the list, with calls that have not ended. */
  readonly #retired = new Set<Endpoint>()
  readonly #pending = new Set<PendingCall>()
  #isLookedUp = false
  #isClosed = false
  #lastError: RpcError

  constructor(discovery: Discovery, options: BalancedOptions) {
    this.#name = discovery.name
    this.#options = options
    this.clock = options.clock ?? systemClock
    this.random = options.random ?? systemRandom
    this.deadlines = new Deadlines(this.clock)
    this.#registry = new InstanceRegistry(this.random, this.#name)
    this.#relay = new Relay(this.#registry, this.clock)
    // An instance may be a broker, which stores them.
    this.#relay.durable = { open: (head, reply) => this.#openAnywhere(head, reply) }
    this.#lastError = new RpcError('UNAVAILABLE', `no instance of ${this.#name} yet`)
    this.#watch = discovery.watch({
      clock: this.clock,
      found: (instances) => this.#found(instances),
      failed: (reason) => this.#lost(new RpcError('UNAVAILABLE', reason), null),
    })
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    if (this.#isClosed) return refuse(reply, unsent('UNAVAILABLE', 'the channel is closed'))
    if (this.#registry.service(this.#name) !== null) return this.#relay.open(head, reply)
    if (!this.#isTrying) {
      return refuse(reply, unsent(this.#lastError.code, this.#lastError.message))
    }
    if (this.#pending.size >= PENDING_CALLS_MAX) {
      const text = `${PENDING_CALLS_MAX} calls wait for a connection, which is the limit`
      return refuse(reply, unsent('RESOURCE_EXHAUSTED', text))
    }
    const call = new PendingCall(head, reply, this.#pending)
    this.#pending.add(call)
    return call
  }

  attach(): Attached {
    const text = 'a channel to several instances takes no providers; serve through a broker'
    const ready = Promise.reject(new RpcError('UNIMPLEMENTED', text))
    ready.catch(() => {})
    return { ready, setCapacity: () => {}, detach: () => {} }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#watch.stop()
    this.#failPending(unsent('UNAVAILABLE', 'the channel is closed'))
    const endpoints = [...this.#endpoints.values(), ...this.#retired]
    this.#endpoints.clear()
    for (const endpoint of endpoints) this.#detach(endpoint)
    await Promise.all(endpoints.map(async ({ channel }) => channel.close()))
    this.#relay.deadlines.close()
    this.deadlines.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // --- instances ---

  get #isTrying(): boolean {
    if (!this.#isLookedUp) return true
    for (const { isNew } of this.#endpoints.values()) if (isNew) return true
    return false
  }

  #found(instances: readonly Instance[]): void {
    this.#isLookedUp = true
    const wanted = new Map(instances.map((one) => [keyOf(one), one]))
    for (const [key, endpoint] of this.#endpoints) {
      if (wanted.has(key)) continue
      this.#endpoints.delete(key)
      this.#retire(endpoint)
    }
    for (const [key, instance] of wanted) {
      if (!this.#endpoints.has(key)) this.#connect(key, instance)
    }
    if (wanted.size > 0) return
    this.#lastError = new RpcError('UNAVAILABLE', `${this.#name} has no instances`)
    this.#failPending(unsent('UNAVAILABLE', this.#lastError.message))
  }

  #connect(key: string, instance: Instance): void {
    const { tls, policy: _policy, onLost: _onLost, ...options } = this.#options
    const { serverName } = instance
    const named = { ...(serverName === undefined ? {} : { serverName }), ...tls }
    try {
      const channel = openChannel(
        instance.url,
        { ...options, tls: named, clock: this.clock, random: this.random },
        {
          ready: () => this.#ready(endpoint),
          gone: (error) => this.#gone(endpoint, error),
        },
      )
      const endpoint: Endpoint = { instance, channel, attachment: null, isNew: true }
      this.#endpoints.set(key, endpoint)
    } catch (error) {
      // An address that cannot be read must not take the others with it.
      if (!(error instanceof TypeError)) throw error
      this.#lost(new RpcError('UNAVAILABLE', error.message, { cause: error }), instance)
    }
  }

  #ready(endpoint: Endpoint): void {
    endpoint.isNew = false
    if (endpoint.attachment !== null || !this.#isCurrent(endpoint)) return
    const { instance, channel } = endpoint
    const { policy } = this.#options
    const info = {
      ...{ instanceId: instance.url, version: '', labels: {}, weight: instance.weight ?? 1 },
      ...{ services: [this.#name], user: '' },
      ...(policy === undefined ? {} : { policy }),
    }
    const callee: Callee = { open: (head, reply) => channel.open(unchosen(head), reply) }
    endpoint.attachment = this.#registry.attach(info, callee, CAPACITY_MAX)
    for (const call of [...this.#pending]) call.go(this.#relay)
  }

  #gone(endpoint: Endpoint, error: RpcError): void {
    endpoint.isNew = false
    this.#detach(endpoint)
    if (!this.#isCurrent(endpoint)) return
    this.#watch.refresh()
    this.#lost(error, endpoint.instance)
  }

  #lost(error: RpcError, instance: Instance | null): void {
    this.#isLookedUp = true
    this.#lastError = error
    if (this.#registry.service(this.#name) === null && !this.#isTrying) {
      this.#failPending(unsent(error.code, error.message))
    }
    this.#options.onLost?.(error, instance)
  }

  #isCurrent(endpoint: Endpoint): boolean {
    return this.#endpoints.get(keyOf(endpoint.instance)) === endpoint
  }

  #detach(endpoint: Endpoint): void {
    if (endpoint.attachment !== null) this.#registry.detach(endpoint.attachment)
    endpoint.attachment = null
  }

  /** It gets no more calls, and is closed when those it has have ended, at the latest by their deadline. */
  #retire(endpoint: Endpoint): void {
    const { attachment } = endpoint
    this.#detach(endpoint)
    this.#retired.add(endpoint)
    const look = (): void => {
      if (this.#isClosed) return
      if (attachment !== null && attachment.outstanding > 0) {
        this.clock.setTimer(RETIRE_CHECK_MS, look)
        return
      }
      this.#retired.delete(endpoint)
      void endpoint.channel.close()
    }
    look()
  }

  // --- calls ---

  #openAnywhere(head: CallHead, reply: ReplySink): RequestSink {
    const service = this.#registry.service(this.#name)
    const attachment = service?.balancer.pick(service.providers, null) ?? null
    if (attachment !== null) return attachment.callee.open(head, reply)
    return refuse(reply, unsent('UNAVAILABLE', `no instance of ${this.#name} is connected`))
  }

  #failPending(status: Status): void {
    for (const call of [...this.#pending]) call.fail(status)
  }
}

function keyOf({ url, weight = 1, serverName = '' }: Instance): string {
  return `${url} ${weight} ${serverName}`
}

/** Which instance is meant has been seen to; a broker or a provider there would choose again. */
function unchosen(head: CallHead): CallHead {
  const { metadata } = head
  if (metadata.size === 0 || metadata.get(PROVIDER_METADATA) === null) return head
  const rest = [...metadata].filter(([name]) => name !== PROVIDER_METADATA)
  return { ...head, metadata: Metadata.from(rest) }
}

function refuse(reply: ReplySink, status: Status): RequestSink {
  reply.status(status, Metadata.EMPTY)
  return CLOSED_REQUEST
}

/** It never left this process, so it may be made again. */
function unsent(code: RpcError['code'], text: string): Status {
  return statusOf(code, text, [hopDetail({ stage: 'queued', provider: '', waitedMs: 0 })])
}
