import { Metadata } from '../metadata.ts'
import type { StandingCall, StandingCalls } from '../standing-calls.ts'
import type { Status } from '../status.ts'
import { CALL_WINDOW, messageCost, type ReplySink, type RequestSink } from '../call.ts'
import type { Directory, DirectoryListener, ServiceInstance } from './directory.ts'
import { EVENTS_PER_MESSAGE_MAX } from './limits.ts'
import { type EventJson, EVENTS, jsonOf } from './messages.ts'

interface Pending {
  readonly change: EventJson['change']
  readonly instance: ServiceInstance
}

export interface WatchOptions {
  readonly directory: Directory
  /** Empty: all. */
  readonly service: string
  readonly maySee: (service: string) => boolean
  readonly contentType: string
  readonly reply: ReplySink
  readonly watches: StandingCalls
}

/**
 * Tells one client of instances until it goes. What happens faster than it reads becomes one event
 * for each instance, so that at most all instances wait to be told.
 */
export class InstanceWatch implements RequestSink, DirectoryListener, StandingCall {
  readonly #options: WatchOptions
  readonly #stop: () => void
  readonly #pending = new Map<string, Pending>()
  /** What the client has been told of and is still there. */
  readonly #told = new Set<string>()
  #room = CALL_WINDOW
  #isScheduled = false
  /** The client knows all that was there at the beginning. */
  #isComplete = false
  #isOver = false

  constructor(options: WatchOptions) {
    this.#options = options
    const { directory, service, watches } = options
    watches.add(this)
    this.#stop = directory.watch(this)
    for (const [key, instance] of directory.instances(service)) this.present(key, instance)
    this.#schedule()
  }

  // --- of the directory ---

  present(key: string, instance: ServiceInstance): void {
    if (!this.#isWanted(instance)) return
    const change = this.#told.has(key) ? 'CHANGE_CHANGED' : 'CHANGE_APPEARED'
    this.#pending.set(key, { change, instance })
    this.#schedule()
  }

  gone(key: string, instance: ServiceInstance): void {
    if (!this.#told.has(key)) {
      this.#pending.delete(key)
      return
    }
    this.#pending.set(key, { change: 'CHANGE_GONE', instance })
    this.#schedule()
  }

  // --- of the client ---

  message(): void {}
  halfClose(): void {}

  cancel(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stop()
    this.#pending.clear()
    this.#options.watches.delete(this)
  }

  drain(status: Status): void {
    if (this.#isOver) return
    this.cancel()
    this.#options.reply.status(status, Metadata.EMPTY)
  }

  creditReplies(cost: number): void {
    this.#room += cost
    this.#schedule()
  }

  // --- inside ---

  #isWanted({ service }: ServiceInstance): boolean {
    const { service: wanted, maySee } = this.#options
    return wanted === '' ? maySee(service) : wanted === service
  }

  /** What comes in one turn is told together. */
  #schedule(): void {
    if (this.#isScheduled || this.#isOver) return
    if (this.#isComplete && this.#pending.size === 0) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#send()
    })
  }

  #send(): void {
    const { contentType, reply } = this.#options
    while (this.#room > 0 && !this.#isOver) {
      if (this.#isComplete && this.#pending.size === 0) return
      const events: EventJson[] = []
      for (const [key, { change, instance }] of this.#pending) {
        if (events.length === EVENTS_PER_MESSAGE_MAX) break
        this.#pending.delete(key)
        if (change === 'CHANGE_GONE') this.#told.delete(key)
        else this.#told.add(key)
        events.push({ change, instance: jsonOf(instance) })
      }
      if (this.#pending.size === 0) this.#isComplete = true
      const bytes = EVENTS.encode({ events, complete: this.#isComplete }, contentType)
      this.#room -= messageCost(bytes.length)
      reply.reply(bytes)
    }
  }
}
