import {
  type Broker,
  type CommitListener,
  PUBLISH,
  type PublishResult,
  Queue,
  type VirtualHost,
} from '../../broker/index.ts'
import { CLOSED_REQUEST, type CallHead, type Callee, type ReplySink, serviceOf } from '../call.ts'
import type { RequestSink } from '../call.ts'
import { isUndelivered } from '../hop.ts'
import { Metadata } from '../metadata.ts'
import type { Attachment, Registry, RegistryListener, Service } from '../registry.ts'
import type { Relay } from '../relay.ts'
import { RpcError, type Status, type StatusName, statusOf } from '../status.ts'
import { draftOfCall, type MessageOfCall } from './call-message.ts'
import { CallTable, type KnownCall } from './call-table.ts'
import { DURABLE, type DurableOrder, durableOrderOf } from './durable-metadata.ts'
import { DurableRequest } from './durable-request.ts'
import type { DurableLimits } from './limits.ts'
import { ServiceBacklog } from './service-backlog.ts'
import { openServiceQueue, serviceQueueName } from './service-queue.ts'

/** What the durable calls of one virtual host came to since the broker started. */
export interface DurableCounts {
  accepted: number
  /** Accepted before: their key was known. */
  known: number
  done: number
  /** Attempts that failed. */
  failed: number
  dead: number
  cancelled: number
}

export interface DurableParts {
  readonly broker: Broker
  readonly vhost: VirtualHost
  readonly registry: Registry
  readonly relay: Relay
  readonly limits: DurableLimits
  readonly deadlineMsMax: number | undefined
}

/** Another attempt may end better; all else is an answer. */
const RETRIED: ReadonlySet<StatusName> = new Set<StatusName>([
  'CANCELLED',
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'RESOURCE_EXHAUSTED',
  'ABORTED',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
])

const STATE_PREFIX = 'durable-call/'

/**
 * Durable calls of one virtual host. A call is a persistent message in the queue of its service,
 * and everything that becomes of it there is the queue's to say: order, retry, dead letters. Here it
 * is given to providers, and its outcome is kept.
 */
export class DurableCalls implements Callee, RegistryListener, CommitListener {
  readonly vhost: VirtualHost
  readonly registry: Registry
  readonly relay: Relay
  readonly table: CallTable
  readonly counts: DurableCounts = {
    ...{ accepted: 0, known: 0, done: 0, failed: 0, dead: 0, cancelled: 0 },
  }
  readonly deadlineMsMax: number | undefined
  /** The broker is being closed: what fails from now on is nobody's fault. */
  isStopping = false
  readonly #broker: Broker
  readonly #limits: DurableLimits
  readonly #backlogs = new Map<string, ServiceBacklog>()
  /** Queues that are being declared, by service. */
  readonly #opening = new Map<string, Promise<Queue>>()
  /** Calls by the ticket of the commit that stores what they are. */
  readonly #storing = new Map<number, KnownCall[]>()
  readonly #unwatch: () => void

  constructor({ broker, vhost, registry, relay, limits, deadlineMsMax }: DurableParts) {
    this.vhost = vhost
    this.registry = registry
    this.relay = relay
    this.deadlineMsMax = deadlineMsMax
    this.#broker = broker
    this.#limits = limits
    this.table = new CallTable({
      prefix: statePrefix(vhost),
      ...{ state: broker.state, timers: vhost.timers, now: () => vhost.now(), limits },
      log: vhost.log,
    })
    this.#unwatch = registry.watch(this)
    for (const service of registry.services) this.#serve(service)
  }

  /** Whether anything of a virtual host was stored. */
  static isUsed(broker: Broker, vhost: VirtualHost): boolean {
    for (const _ of broker.state.entries(statePrefix(vhost))) return true
    return false
  }

  /** Deletes what was stored of virtual hosts that are gone. */
  static forgetLost(broker: Broker): void {
    const known = Array.from(broker.vhosts(), statePrefix)
    for (const [key] of [...broker.state.entries(STATE_PREFIX)]) {
      if (!known.some((prefix) => key.startsWith(prefix))) broker.state.delete(key)
    }
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    try {
      return new DurableRequest(this, { head, reply, order: durableOrderOf(head.metadata) })
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      reply.status(error.status, Metadata.EMPTY)
      return CLOSED_REQUEST
    }
  }

  /** From now on providers get nothing more. */
  stop(): void {
    this.isStopping = true
    for (const backlog of this.#backlogs.values()) backlog.stop()
  }

  /** Its virtual host is gone. */
  dispose(): void {
    this.stop()
    this.#unwatch()
    this.table.dispose()
  }

  // --- accepting ---

  /** The queue of a service, made where there is none. Rejects with `RpcError` or `BrokerError`. */
  queueOf(service: string): Queue | Promise<Queue> {
    const found = this.vhost.destination(serviceQueueName(service))
    if (found instanceof Queue && found.spec.durable && !this.#opening.has(service)) return found
    let opening = this.#opening.get(service)
    if (opening === undefined) {
      opening = openServiceQueue(this.vhost, service)
      this.#opening.set(service, opening)
      const ended = (): void => {
        this.#opening.delete(service)
        const serving = this.registry.service(service)
        if (serving !== null) this.#serve(serving)
      }
      opening.then(ended, ended)
    }
    return opening
  }

  /**
   * Stores a call, or finds the one that was stored under its key. It is accepted when it `isStored`.
   * Throws `RpcError` where it is refused.
   */
  accept(queue: Queue, head: CallHead, order: DurableOrder, body: Buffer): KnownCall {
    const { path, contentType } = head
    const { key, metadata, keepMs, attemptTimeoutMs } = order
    const known = key === null ? null : this.table.withKey(path, key)
    if (known !== null) {
      this.counts.known += 1
      return known
    }
    this.#requireRoom()
    const id = this.vhost.random.id()
    const message: MessageOfCall = { id, path, contentType, metadata, keepMs, attemptTimeoutMs }
    const draft = draftOfCall(this.vhost, queue.name, message, body)
    const nowMs = this.vhost.now()
    const atMs = Math.max(order.delayMs === 0 ? 0 : nowMs + order.delayMs, order.notBeforeMs)
    const isLater = atMs > nowMs
    if (isLater) draft.schedule = { atMs, id, cancels: null, cron: null, zone: null }
    const kept = { acceptedMs: nowMs, keepMs: keepMs ?? this.#limits.keepMs }
    const record = { path, key, contentType, ...kept }
    const route = this.vhost.route(this.vhost.exchange('')!, queue.name)
    const { shard } = queue
    let call: KnownCall
    let result: PublishResult
    // In one entry, so that nothing which this turn stored before moves the message on.
    shard.beginHold()
    try {
      call = this.table.add(id, { ...record, offset: isLater ? -1 : shard.nextOffset })
      result = this.vhost.publish(route, draft)
    } finally {
      shard.endHold()
    }
    if (result !== PUBLISH.ROUTED) {
      this.table.forget(call)
      throw refused(
        `queue '${queue.name}' takes no more: ${queue.heldBackBy ?? 'a limit is reached'}`,
      )
    }
    this.counts.accepted += 1
    this.store(call)
    // Somebody may have declared the queue when its providers were there already.
    const serving = this.registry.service(serviceOf(path)!)
    if (serving !== null && serving.backlog === null) this.#serve(serving)
    return call
  }

  /** Of a message that nobody knows any more, or that no caller of ours has put there. */
  found({ id, path, contentType, metadata, keepMs }: MessageOfCall): KnownCall {
    this.table.makeRoom()
    const key = metadata.get(DURABLE.KEY)
    return this.table.add(id, {
      ...{ path, contentType, acceptedMs: this.vhost.now(), offset: -1 },
      key: key !== null && this.table.withKey(path, key) === null ? key : null,
      keepMs: keepMs ?? this.#limits.keepMs,
    })
  }

  /** Whoever waits for the call is told when what it became in this turn is on disk. */
  store(call: KnownCall): void {
    const { ticket } = this.#broker
    call.isStored = false
    call.ticket = ticket
    this.#broker.requireSync()
    const storing = this.#storing.get(ticket)
    if (storing !== undefined) {
      storing.push(call)
      return
    }
    this.#storing.set(ticket, [call])
    this.#broker.onCommit(this)
  }

  committed(ticket: number, error: Error | null): void {
    const calls = this.#storing.get(ticket) ?? []
    this.#storing.delete(ticket)
    for (const call of calls) {
      if (call.ticket !== ticket) continue
      if (error === null) call.isStored = true
      for (const waiter of [...(call.waiters ?? [])]) {
        if (error === null) waiter.stored(call)
        else waiter.failed(error)
      }
    }
  }

  // --- asking ---

  /** Throws `RpcError` NOT_FOUND, also for one of another service, which a caller may not see. */
  find({ path }: CallHead, { id, key }: DurableOrder): KnownCall {
    const call = id === null ? this.table.withKey(path, key!) : this.table.get(id)
    if (call === null || serviceOf(call.path) !== serviceOf(path)) {
      const name = id === null ? `key '${key}'` : `id '${id}'`
      throw new RpcError('NOT_FOUND', `no durable call with ${name} is known, or no more`)
    }
    if (call.path === path) return call
    throw new RpcError('INVALID_ARGUMENT', `the call with id '${call.id}' is one of ${call.path}`)
  }

  /** Ends a call that no provider has. Throws `RpcError` FAILED_PRECONDITION. */
  cancel(call: KnownCall): void {
    const why = call.isRunning ? 'a provider has it' : ENDED[call.state]
    if (why !== null) {
      throw new RpcError('FAILED_PRECONDITION', `call '${call.id}' cannot be cancelled: ${why}`)
    }
    const queue = this.vhost.destination(serviceQueueName(serviceOf(call.path)!))
    if (!this.vhost.schedules.cancel(call.id) && queue instanceof Queue) {
      // What is held back after a failure is settled when its turn comes.
      if (call.offset >= 0 && queue.isReady(call.offset)) {
        queue.takeReady(call.offset)
        queue.accept(call.offset)
      }
    }
    const status = statusOf('CANCELLED', 'the call was cancelled before a provider took it')
    this.table.end(call, 'done', { status, trailers: Metadata.EMPTY, answer: null })
    this.counts.cancelled += 1
    this.store(call)
  }

  isRetried({ code }: Status): boolean {
    return RETRIED.has(code)
  }

  /** Whether it is certain that no handler saw the attempt. */
  isUnseen(status: Status): boolean {
    return isUndelivered(status)
  }

  // --- providers ---

  attached({ info }: Attachment): void {
    for (const name of info.services) {
      const service = this.registry.service(name)
      if (service !== null) this.#serve(service)
    }
  }

  detached(): void {}

  changed(): void {}

  /** Its queue was deleted. */
  backlogGone(service: string, backlog: ServiceBacklog): void {
    if (this.#backlogs.get(service) !== backlog) return
    this.#backlogs.delete(service)
    const serving = this.registry.service(service)
    if (serving !== null) serving.backlog = null
  }

  #serve(service: Service): void {
    const queue = this.vhost.destination(serviceQueueName(service.name))
    if (this.isStopping || !(queue instanceof Queue)) return
    let backlog = this.#backlogs.get(service.name)
    if (backlog === undefined) {
      backlog = new ServiceBacklog(service.name, queue, this)
      this.#backlogs.set(service.name, backlog)
    }
    service.backlog = backlog
    backlog.providersFree()
  }

  #requireRoom(): void {
    const { alarm, overloaded } = this.#broker.pressure
    if (alarm !== null) throw refused(`the broker takes nothing: ${alarm}`)
    if (overloaded) throw refused('the broker takes nothing until its disk has caught up')
    if (this.table.makeRoom()) return
    this.#dropLost()
    if (this.table.size < this.#limits.callsMax) return
    throw refused(`${this.table.size} durable calls wait, which is the limit`)
  }

  /** Forgets calls whose messages are gone: somebody has purged or deleted their queue. */
  #dropLost(): void {
    for (const call of [...this.table.calls()]) {
      if (!call.isRunning && call.waiters === null && this.isLost(call)) this.table.forget(call)
    }
  }

  /** It waits, and its message is nowhere. */
  isLost(call: KnownCall): boolean {
    if (call.state !== 'waiting') return false
    const queue = this.vhost.destination(serviceQueueName(serviceOf(call.path)!))
    if (this.vhost.schedules.find(call.id) >= 0) return false
    if (!(queue instanceof Queue)) return true
    if (call.offset >= 0) return !queue.isLive(call.offset)
    return queue.readyCount + queue.unsettledCount + queue.heldCount === 0
  }
}

const ENDED = { waiting: null, done: 'it has ended', dead: 'it is in the dead letters' } as const

function statePrefix({ delays }: VirtualHost): string {
  return `${STATE_PREFIX}${delays.id}/`
}

function refused(text: string): RpcError {
  return new RpcError('RESOURCE_EXHAUSTED', text)
}
