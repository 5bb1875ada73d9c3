import type { RandomSource } from '../lib/random.ts'
import { type BalancePolicy, Balancer } from './balancer.ts'
import { type Callee, serviceOf } from './call.ts'
import { CallTally } from './call-tally.ts'
import { ContractTexts } from './contract-texts.ts'
import { type DescriptorSet, DescriptorSets } from './descriptors/descriptor-sets.ts'
import { CAPACITY_MAX, PROVIDERS_PER_SERVICE_MAX, SERVICES_MAX } from './limits.ts'
import { RpcError } from './status.ts'

/** What a provider says of itself. */
export interface ProviderInfo {
  /** Names this instance to people, and to whoever balances by key; unique if that matters. */
  readonly instanceId: string
  /** Such as `1.4.2`; empty: none. */
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  /** How much it gets beside others where calls are given out by weight; 1 is usual. */
  readonly weight: number
  /** Full names, such as `shop.v1.Orders`. */
  readonly services: readonly string[]
  /** How calls are spread; of several providers that name one, the last to come decides. */
  readonly policy?: BalancePolicy
  /** The user who attached it; empty for a part of the broker. */
  readonly user: string
  /** Methods and messages for those who look, as `contracts/description.ts` writes them. */
  readonly contract?: string
  /** Descriptors of its services for reflection: a FileDescriptorSet. */
  readonly descriptors?: Uint8Array
}

/** A label that names, with commas between, the methods that change nothing. */
export const SAFE_METHODS_LABEL = 'waystation.safe-methods'

/** A provider that is registered, from `attach` to `detach`. */
export class Attachment {
  readonly id: number
  readonly info: Omit<ProviderInfo, 'contract' | 'descriptors'>
  /** Null: it said nothing, or too much. */
  readonly contract: string | null
  /** Null: the same of its descriptors. */
  readonly descriptors: DescriptorSet | null
  readonly callee: Callee
  /** How many calls it may have at once. */
  capacity: number
  /** How many it has. */
  outstanding = 0
  /** Its connection takes no more for the moment, so calls wait where they can still go elsewhere. */
  isBlocked = false
  isAttached = true
  /** Since it came. */
  callCount = 0
  readonly tally: CallTally = new CallTally()
  /** For the weighted policy; owned by the balancer. */
  balance = 0

  constructor(id: number, info: Attachment['info'], options: AttachOptions) {
    this.id = id
    this.info = info
    this.contract = options.contract
    this.descriptors = options.descriptors
    this.callee = options.callee
    this.capacity = options.capacity
  }

  get isFree(): boolean {
    return this.outstanding < this.capacity && !this.isBlocked && this.isAttached
  }
}

interface AttachOptions {
  readonly callee: Callee
  readonly capacity: number
  readonly contract: string | null
  readonly descriptors: DescriptorSet | null
}

/** Calls that wait for a provider of a service. */
export interface WaitingCall {
  /** A provider is free. */
  provide(attachment: Attachment): void
  /** Nobody provides the service any more. */
  abandon(): void
}

/** Work of a service that waits elsewhere, and is fetched when somebody can do it. */
export interface Backlog {
  /** A provider may be free, and no call waits for it. */
  providersFree(): void
}

/** A service with at least one provider. */
export class Service {
  readonly name: string
  readonly providers: Attachment[] = []
  /** In the order in which they came. */
  readonly waiting: Set<WaitingCall> = new Set()
  readonly balancer: Balancer
  /** Null: there is none. */
  backlog: Backlog | null = null
  #isPumping = false

  constructor(name: string, random: RandomSource) {
    this.name = name
    this.balancer = new Balancer(random)
  }

  /** Gives calls that wait to providers that are free; called whenever one may have become so. */
  pump(): void {
    if (this.waiting.size === 0) {
      this.backlog?.providersFree()
      return
    }
    if (this.#isPumping) return
    this.#isPumping = true
    for (const call of this.waiting) {
      const attachment = this.balancer.pick(this.providers, null)
      if (attachment === null) break
      this.waiting.delete(call)
      call.provide(attachment)
    }
    this.#isPumping = false
  }
}

export interface RegistryListener {
  attached(attachment: Attachment): void
  detached(attachment: Attachment): void
  /** Its capacity was changed; 0: it drains. */
  changed(attachment: Attachment): void
}

/** Who provides what in one virtual host. */
export class Registry {
  /** Grows whenever a service comes or goes. */
  version = 0
  readonly descriptors: DescriptorSets = new DescriptorSets()
  readonly #services = new Map<string, Service>()
  readonly #attachments = new Set<Attachment>()
  readonly #listeners = new Set<RegistryListener>()
  readonly #random: RandomSource
  readonly #contracts = new ContractTexts()
  #lastId = 0

  constructor(random: RandomSource) {
    this.#random = random
  }

  get attachments(): Iterable<Attachment> {
    return this.#attachments
  }

  get services(): Iterable<Service> {
    return this.#services.values()
  }

  service(name: string): Service | null {
    return this.#services.get(name) ?? null
  }

  /** Whether all providers of a method say that it changes nothing. */
  isSafe(path: string): boolean {
    const name = serviceOf(path) ?? ''
    const providers = this.#services.get(name)?.providers ?? []
    const method = path.slice(name.length + 2)
    const says = ({ info }: Attachment): boolean =>
      (info.labels[SAFE_METHODS_LABEL] ?? '').split(',').includes(method)
    return providers.length > 0 && providers.every(says)
  }

  /** Calls may come before this returns. Throws `RpcError` RESOURCE_EXHAUSTED at a limit. */
  attach(provider: ProviderInfo, callee: Callee, capacity: number): Attachment {
    const { contract, descriptors, ...info } = provider
    for (const name of info.services) this.#requireRoom(name)
    this.#lastId += 1
    const attachment = new Attachment(this.#lastId, info, {
      callee,
      capacity: boundedCapacity(capacity),
      contract: this.#contracts.hold(contract),
      descriptors: this.descriptors.hold(descriptors, info.services),
    })
    this.#attachments.add(attachment)
    for (const name of new Set(info.services)) {
      let service = this.#services.get(name)
      if (service === undefined) {
        service = new Service(name, this.#random)
        this.#services.set(name, service)
        this.version += 1
      }
      service.providers.push(attachment)
      if (info.policy !== undefined) service.balancer.policy = info.policy
    }
    for (const listener of this.#listeners) listener.attached(attachment)
    this.freed(attachment)
    return attachment
  }

  /** It gets no more calls; those it has go on, and are ended by whoever owns its connection. */
  detach(attachment: Attachment): void {
    if (!attachment.isAttached) return
    attachment.isAttached = false
    this.#attachments.delete(attachment)
    this.#contracts.release(attachment.contract)
    this.descriptors.release(attachment.descriptors, attachment.info.services)
    for (const name of new Set(attachment.info.services)) {
      const service = this.#services.get(name)!
      service.providers.splice(service.providers.indexOf(attachment), 1)
      if (service.providers.length > 0) continue
      this.#services.delete(name)
      this.version += 1
      const abandoned = [...service.waiting]
      service.waiting.clear()
      for (const call of abandoned) call.abandon()
    }
    for (const listener of this.#listeners) listener.detached(attachment)
  }

  /** 0: it drains, and keeps the calls it has. */
  setCapacity(attachment: Attachment, capacity: number): void {
    attachment.capacity = boundedCapacity(capacity)
    for (const listener of this.#listeners) listener.changed(attachment)
    this.freed(attachment)
  }

  /** It may have become free: calls that wait for it are given out. */
  freed(attachment: Attachment): void {
    for (const name of attachment.info.services) {
      if (!attachment.isFree) return
      this.#services.get(name)?.pump()
    }
  }

  /** Returns how to end it. */
  watch(listener: RegistryListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #requireRoom(name: string): void {
    const service = this.#services.get(name)
    if (service === undefined && this.#services.size >= SERVICES_MAX) {
      const text = `service '${name}' is one too many: the limit is ${SERVICES_MAX}`
      throw new RpcError('RESOURCE_EXHAUSTED', text)
    }
    if (service !== undefined && service.providers.length >= PROVIDERS_PER_SERVICE_MAX) {
      const text = `service '${name}' has ${PROVIDERS_PER_SERVICE_MAX} providers, which is the limit`
      throw new RpcError('RESOURCE_EXHAUSTED', text)
    }
  }
}

function boundedCapacity(capacity: number): number {
  return Math.min(Math.max(Math.trunc(capacity), 0), CAPACITY_MAX)
}
