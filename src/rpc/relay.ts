import type { Clock } from '../lib/clock.ts'
import { Deadlines } from '../lib/deadlines.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
  serviceOf,
} from './call.ts'
import { hopDetail, type HopStage, NOT_FOUND_DETAILS } from './hop.ts'
import { KEPT_BYTES_MAX, PATHS_CACHED_MAX, WAITING_CALLS_MAX } from './limits.ts'
import { Metadata } from './metadata.ts'
import { RelayedCall } from './relayed-call.ts'
import {
  chosenProvider,
  choosesProvider,
  PROVIDERS_METADATA,
  tellProviders,
} from './provider-choice.ts'
import type { Attachment, Registry, Service } from './registry.ts'
import { statusOf, type StatusName } from './status.ts'

export interface RelayLimits {
  /** Calls of one service that wait at once. */
  readonly waitingCallsMax: number
  /** Requests kept for calls that wait or may go elsewhere. */
  readonly keptBytesMax: number
  /**
   * What a call gets whose service nobody provides: UNAVAILABLE of a broker, to which a provider
   * may come, and UNIMPLEMENTED of a provider that listens itself, as of any server.
   */
  readonly unroutedCode: 'UNAVAILABLE' | 'UNIMPLEMENTED'
}

/** What one virtual host's calls came to. */
export interface RelayCounts {
  opened: number
  ok: number
  failed: number
  cancelled: number
  deadlineExceeded: number
  /** Turned away by one provider and given to another. */
  rerouted: number
}

/** Metadata of calls that are to be stored, and of what is asked about them. */
export const DURABLE_METADATA = 'waystation-durable'

/** Metadata whose value is the key of calls that belong together. */
export const KEY_METADATA = 'waystation-key'

/**
 * Gives each call to a provider that can take it, and stands between the two until it ends. Calls
 * wait, bounded in count, bytes and time, while all are busy.
 */
export class Relay implements Callee {
  readonly registry: Registry
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly limits: RelayLimits
  readonly counts: RelayCounts = {
    ...{ opened: 0, ok: 0, failed: 0, cancelled: 0, deadlineExceeded: 0, rerouted: 0 },
  }
  /** Of all calls together. */
  keptBytes = 0
  /** Takes calls that are to be stored; null: nobody stores any. */
  durable: Callee | null = null
  /** Services by path, as long as no service comes or goes. */
  readonly #byPath = new Map<string, Service>()
  #version = -1

  constructor(registry: Registry, clock: Clock, limits: Partial<RelayLimits> = {}) {
    this.registry = registry
    this.clock = clock
    this.deadlines = new Deadlines(clock)
    this.limits = {
      waitingCallsMax: WAITING_CALLS_MAX,
      keptBytesMax: KEPT_BYTES_MAX,
      unroutedCode: 'UNAVAILABLE',
      ...limits,
    }
  }

  /** Calls that were opened and have not ended. */
  get openCount(): number {
    return this.deadlines.size
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    this.counts.opened += 1
    if (head.metadata.size > 0 && head.metadata.get(DURABLE_METADATA) !== null) {
      if (this.durable !== null) return this.durable.open(head, reply)
      const text = 'durable calls are stored by a broker, and here is none'
      return this.#refuse(reply, ['UNIMPLEMENTED', text, 'unrouted'])
    }
    const service = this.#serviceFor(head.path)
    if (service === null) return this.#refuse(reply, this.#unrouted(head.path))
    if (head.metadata.size > 0 && choosesProvider(head.metadata)) {
      return this.#openChosen(service, head, reply)
    }
    const call = new RelayedCall(this, service, head, reply)
    const attachment = service.balancer.pick(service.providers, keyOf(service, head))
    if (attachment !== null) {
      this.deadlines.add(call)
      call.provide(attachment)
      return call
    }
    if (service.waiting.size >= this.limits.waitingCallsMax) {
      const busy = `all ${service.providers.length} providers of ${service.name} are busy`
      const text = `${busy}, and ${service.waiting.size} calls wait, which is the limit`
      return this.#refuse(reply, ['RESOURCE_EXHAUSTED', text, 'queued'])
    }
    this.deadlines.add(call)
    call.wait()
    return call
  }

  /** To the provider that the call names, or to none; or who there is, where that is asked. */
  #openChosen(service: Service, head: CallHead, reply: ReplySink): RequestSink {
    if (head.metadata.get(PROVIDERS_METADATA) !== null) return tellProviders(service, head, reply)
    const attachment = chosenProvider(service, head)
    if (attachment === null) {
      const text = `that provider of ${service.name} has gone`
      return this.#refuse(reply, ['UNAVAILABLE', text, 'unrouted'])
    }
    if (!attachment.isFree) {
      const text = `provider '${attachment.info.instanceId}' of ${service.name} is busy`
      return this.#refuse(reply, ['RESOURCE_EXHAUSTED', text, 'queued'])
    }
    const call = new RelayedCall(this, service, head, reply)
    this.deadlines.add(call)
    call.provide(attachment)
    return call
  }

  /** Another provider than the one that turned a call away; null: there is none that is free. */
  another(service: Service, head: CallHead, not: Attachment): Attachment | null {
    const others = service.providers.filter((provider) => provider !== not)
    return others.length === 0 ? null : service.balancer.pick(others, keyOf(service, head))
  }

  #serviceFor(path: string): Service | null {
    if (this.#version !== this.registry.version || this.#byPath.size > PATHS_CACHED_MAX) {
      this.#byPath.clear()
      this.#version = this.registry.version
    }
    const known = this.#byPath.get(path)
    if (known !== undefined) return known
    const name = serviceOf(path)
    const service = name === null ? null : this.registry.service(name)
    if (service !== null) this.#byPath.set(path, service)
    return service
  }

  #unrouted(path: string): [StatusName, string, HopStage] {
    const name = serviceOf(path)
    if (name !== null) {
      return [this.limits.unroutedCode, `no provider of ${name} is registered`, 'unrouted']
    }
    return ['UNIMPLEMENTED', `'${path}' is no /package.Service/Method`, 'unrouted']
  }

  #refuse(reply: ReplySink, [code, message, stage]: [StatusName, string, HopStage]): RequestSink {
    this.counts.failed += 1
    const details =
      code === 'UNIMPLEMENTED'
        ? NOT_FOUND_DETAILS
        : [hopDetail({ stage, provider: '', waitedMs: 0 })]
    reply.status(statusOf(code, message, details), Metadata.EMPTY)
    return CLOSED_REQUEST
  }
}

function keyOf(service: Service, head: CallHead): string | null {
  return service.balancer.policy === 'consistent-hash' ? head.metadata.get(KEY_METADATA) : null
}
