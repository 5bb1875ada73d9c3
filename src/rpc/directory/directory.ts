import type { Clock } from '../../lib/clock.ts'
import { type Deadlined, Deadlines } from '../../lib/deadlines.ts'
import type { Attachment, Registry, RegistryListener } from '../registry.ts'
import { RpcError } from '../status.ts'
import {
  LEASE_BYTES_MAX,
  LEASE_MS_DEFAULT,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  LEASES_MAX,
} from './limits.ts'

/** One instance of one service, whether it is attached or listens itself. */
export interface ServiceInstance {
  readonly service: string
  readonly instanceId: string
  /** Where it listens; empty: it is called through the broker. */
  readonly address: string
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  readonly weight: number
  /** False: it is there, and wants no calls now. */
  readonly isServing: boolean
}

export interface DirectoryListener {
  /** It came, or something about it has changed. `key` names it for as long as it is there. */
  present(key: string, instance: ServiceInstance, isNew: boolean): void
  gone(key: string, instance: ServiceInstance): void
}

/** Whoever listens himself and has said so, until its time is over. */
class Lease implements Deadlined {
  readonly instance: ServiceInstance
  readonly user: string
  readonly deadlineMs: number
  deadlineNext: Deadlined | null = null
  deadlinePrevious: Deadlined | null = null
  deadlineSlot = -1
  readonly #over: (lease: Lease) => void

  constructor(
    instance: ServiceInstance,
    user: string,
    options: { readonly deadlineMs: number; readonly over: (lease: Lease) => void },
  ) {
    this.instance = instance
    this.user = user
    this.deadlineMs = options.deadlineMs
    this.#over = options.over
  }

  deadlinePassed(): void {
    this.#over(this)
  }
}

/**
 * Who provides what in a virtual host, for those who call instances themselves: providers that are
 * attached, and leases of those that listen. Leases are in memory only: they are renewed by saying
 * all of them again, so that after a restart they are there as soon as the next renewal.
 */
export class Directory implements RegistryListener {
  readonly #registry: Registry
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #leases = new Map<string, Lease>()
  readonly #listeners = new Set<DirectoryListener>()

  constructor(registry: Registry, clock: Clock) {
    this.#registry = registry
    this.#clock = clock
    this.#deadlines = new Deadlines(clock)
  }

  get leaseCount(): number {
    return this.#leases.size
  }

  /** Whether an instance that listens is registered. */
  has(service: string, instanceId: string): boolean {
    return this.#leases.has(leaseKey({ service, instanceId }))
  }

  /** Of one service, or of all when the name is empty; `key` as listeners are told. */
  *instances(service: string): Iterable<readonly [string, ServiceInstance]> {
    for (const attachment of this.#registry.attachments) {
      for (const name of new Set(attachment.info.services)) {
        if (service === '' || service === name) yield attached(attachment, name)
      }
    }
    for (const [key, { instance }] of this.#leases) {
      if (service === '' || service === instance.service) yield [key, instance]
    }
  }

  /**
   * Registers an instance that listens, or renews it, and returns for how long. Throws `RpcError`
   * when another user has it, and at a limit.
   */
  register(instance: ServiceInstance, user: string, ttlMs = 0): number {
    const key = leaseKey(instance)
    const known = this.#leases.get(key)
    if (known !== undefined && known.user !== user) throw foreign(instance)
    checkSize(instance)
    if (known === undefined && this.#leases.size >= LEASES_MAX) {
      const text = `${LEASES_MAX} instances are registered, which is the limit`
      throw new RpcError('RESOURCE_EXHAUSTED', text)
    }
    const boundedMs = ttlMs === 0 ? LEASE_MS_DEFAULT : clamp(ttlMs)
    const lease = new Lease(instance, user, {
      deadlineMs: this.#clock.monotonicMs() + boundedMs,
      over: (over) => this.#end(key, over),
    })
    if (known !== undefined) this.#deadlines.remove(known)
    this.#leases.set(key, lease)
    this.#deadlines.add(lease)
    if (known === undefined || !isSame(known.instance, instance)) {
      for (const listener of this.#listeners) listener.present(key, instance, known === undefined)
    }
    return boundedMs
  }

  /** Throws `RpcError` NOT_FOUND, or PERMISSION_DENIED when another user has it. */
  deregister(service: string, instanceId: string, user: string | null): void {
    const key = leaseKey({ service, instanceId })
    const lease = this.#leases.get(key)
    if (lease === undefined) {
      throw new RpcError('NOT_FOUND', `no instance '${instanceId}' of ${service} is registered`)
    }
    if (user !== null && lease.user !== user) throw foreign(lease.instance)
    this.#deadlines.remove(lease)
    this.#end(key, lease)
  }

  /** Returns how to end it. */
  watch(listener: DirectoryListener): () => void {
    if (this.#listeners.size === 0) this.#stop = this.#registry.watch(this)
    this.#listeners.add(listener)
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return
      this.#stop()
    }
  }

  close(): void {
    this.#deadlines.close()
  }

  // --- of the registry ---

  attached(attachment: Attachment): void {
    this.#tell(attachment, true)
  }

  changed(attachment: Attachment): void {
    if (attachment.isAttached) this.#tell(attachment, false)
  }

  detached(attachment: Attachment): void {
    for (const name of new Set(attachment.info.services)) {
      const [key, instance] = attached(attachment, name)
      for (const listener of this.#listeners) listener.gone(key, instance)
    }
  }

  // --- inside ---

  #stop: () => void = () => {}

  #tell(attachment: Attachment, isNew: boolean): void {
    for (const name of new Set(attachment.info.services)) {
      const [key, instance] = attached(attachment, name)
      for (const listener of this.#listeners) listener.present(key, instance, isNew)
    }
  }

  #end(key: string, { instance }: Lease): void {
    this.#leases.delete(key)
    for (const listener of this.#listeners) listener.gone(key, instance)
  }
}

function attached(
  { id, info, capacity }: Attachment,
  service: string,
): readonly [string, ServiceInstance] {
  const { instanceId, version, labels, weight } = info
  const isServing = capacity > 0
  const said = { instanceId, version, labels, weight, isServing }
  return [`${id} ${service}`, { service, address: '', ...said }]
}

/** No service has a blank, and no attachment is without a number. */
function leaseKey(instance: Pick<ServiceInstance, 'service' | 'instanceId'>): string {
  return `${instance.service} ${instance.instanceId}`
}

function foreign({ service, instanceId }: ServiceInstance): RpcError {
  const text = `instance '${instanceId}' of ${service} was registered by another user`
  return new RpcError('PERMISSION_DENIED', text)
}

function clamp(ttlMs: number): number {
  return Math.min(Math.max(ttlMs, LEASE_MS_MIN), LEASE_MS_MAX)
}

function checkSize({ instanceId, address, version, labels }: ServiceInstance): void {
  const texts = [instanceId, address, version, ...Object.entries(labels).flat()]
  const size = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  if (size <= LEASE_BYTES_MAX) return
  const text = `a registration of ${size} octets, the limit is ${LEASE_BYTES_MAX}`
  throw new RpcError('INVALID_ARGUMENT', text)
}

function isSame(one: ServiceInstance, other: ServiceInstance): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
