import type { Deadlined } from '../lib/deadlines.ts'
import { CLOSED_REQUEST, type CallHead, type ReplySink, type RequestSink } from './call.ts'
import { CallTally } from './call-tally.ts'
import { hopDetail, hopOf, isUndelivered, type HopStage } from './hop.ts'
import { KEPT_BYTES_PER_CALL_MAX, REROUTES_MAX } from './limits.ts'
import { Metadata } from './metadata.ts'
import { choosesProvider } from './provider-choice.ts'
import type { Attachment, Service, WaitingCall } from './registry.ts'
import type { Relay } from './relay.ts'
import { OK_STATUS, type Status, statusOf, type StatusName } from './status.ts'

type State = 'waiting' | 'open' | 'over'

/**
 * One call between its caller and a provider. It keeps the request, if it is not long, until the
 * provider answers in any way, so that a call that was turned away can be made again elsewhere.
 */
export class RelayedCall implements RequestSink, ReplySink, Deadlined, WaitingCall {
  readonly deadlineMs: number
  deadlineNext: Deadlined | null = null
  deadlinePrevious: Deadlined | null = null
  deadlineSlot = -1
  readonly #relay: Relay
  readonly #service: Service
  readonly #head: CallHead
  readonly #caller: ReplySink
  #provider: RequestSink = CLOSED_REQUEST
  #attachment: Attachment | null = null
  #state: State = 'waiting'
  /** The request so far; null: it is not kept, or not any more. */
  #kept: Buffer[] | null = []
  #keptBytes = 0
  #isHalfClosed = false
  /** A one-way call whose caller has its answer: nothing is told any more. */
  #isAnswered = false
  #stage: HopStage = 'queued'
  #waitedSinceMs = -1
  #waitedMs = 0
  /** When its provider got it; -1: it is not timed. */
  #providedAtMs = -1
  #rerouteCount = 0

  constructor(relay: Relay, service: Service, head: CallHead, caller: ReplySink) {
    this.#relay = relay
    this.#service = service
    this.#head = head
    this.#caller = caller
    this.deadlineMs = head.deadlineMs
  }

  wait(): void {
    this.#state = 'waiting'
    this.#waitedSinceMs = this.#relay.clock.monotonicMs()
    this.#service.waiting.add(this)
  }

  provide(attachment: Attachment): void {
    this.#endWaiting()
    this.#state = 'open'
    this.#attachment = attachment
    attachment.outstanding += 1
    const isTimed = CallTally.isTimed(attachment.callCount)
    attachment.callCount += 1
    this.#providedAtMs = isTimed ? this.#relay.clock.monotonicMs() : -1
    this.#stage = 'delivered'
    const provider = attachment.callee.open(this.#head, this)
    // It may have turned the call away at once, and another one has it.
    if (this.#attachment !== attachment || this.#state !== 'open') return
    this.#provider = provider
    const kept = this.#kept
    if (kept === null) return
    for (let index = 0; index < kept.length; index++) {
      provider.message(kept[index]!, this.#isHalfClosed && index === kept.length - 1)
    }
    if (this.#isHalfClosed && kept.length === 0) provider.halfClose()
    if (this.#isHalfClosed) this.#sent()
  }

  abandon(): void {
    this.#endWaiting()
    const text = `the last provider of ${this.#service.name} has gone`
    this.#fail('UNAVAILABLE', text)
  }

  // --- from the caller ---

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#state === 'over' || this.#isHalfClosed) return
    this.#isHalfClosed = isLast
    if (this.#kept !== null && !this.#keep(bytes)) return
    if (this.#state !== 'open') return
    this.#provider.message(bytes, isLast)
    if (isLast) this.#sent()
  }

  halfClose(): void {
    if (this.#state === 'over' || this.#isHalfClosed) return
    this.#isHalfClosed = true
    if (this.#state !== 'open') return
    this.#provider.halfClose()
    this.#sent()
  }

  cancel(reason: string): void {
    if (this.#state === 'over') return
    this.#relay.counts.cancelled += 1
    const provider = this.#provider
    this.#leave()
    provider.cancel(reason)
    this.#free()
  }

  creditReplies(cost: number): void {
    if (this.#state === 'open') this.#provider.creditReplies(cost)
  }

  // --- from the provider ---

  head(metadata: Metadata): void {
    if (this.#state !== 'open' || this.#isAnswered) return
    this.#begun('started')
    this.#caller.head(metadata)
  }

  reply(bytes: Uint8Array): void {
    if (this.#state !== 'open' || this.#isAnswered) return
    this.#begun('reply_lost')
    this.#caller.reply(bytes)
  }

  creditRequests(cost: number): void {
    if (this.#state !== 'open' || this.#isAnswered) return
    this.#begun('started')
    this.#caller.creditRequests(cost)
  }

  status(status: Status, trailers: Metadata): void {
    if (this.#state !== 'open' || this.#isTurnedAway(status)) return
    const { counts } = this.#relay
    if (status.code === 'OK') counts.ok += 1
    else counts.failed += 1
    this.#tally(status.code !== 'OK')
    const isAnswered = this.#isAnswered
    this.#leave()
    if (!isAnswered) this.#caller.status(this.#witnessed(status), trailers)
    this.#free()
  }

  deadlinePassed(): void {
    if (this.#state === 'over') return
    this.#relay.counts.deadlineExceeded += 1
    this.#tally(true)
    const provider = this.#provider
    this.#leave()
    provider.cancel(DEADLINE_TEXT)
    if (!this.#isAnswered) {
      this.#caller.status(this.#ownStatus('DEADLINE_EXCEEDED', DEADLINE_TEXT), Metadata.EMPTY)
    }
    this.#free()
  }

  // --- inside ---

  /** False: what waits cannot be held, and the call is over. */
  #keep(bytes: Uint8Array): boolean {
    const size = this.#keptBytes + bytes.length
    const relay = this.#relay
    const fits = relay.keptBytes + bytes.length <= relay.limits.keptBytesMax
    if (this.#state === 'open' && !(fits && size <= KEPT_BYTES_PER_CALL_MAX)) {
      this.#forget()
      return true
    }
    if (!fits) {
      const text = `calls that wait hold ${relay.keptBytes} bytes; with ${bytes.length} more it would be`
      this.#fail('RESOURCE_EXHAUSTED', `${text} above the limit of ${relay.limits.keptBytesMax}`)
      return false
    }
    this.#kept!.push(Buffer.from(bytes))
    this.#keptBytes = size
    relay.keptBytes += bytes.length
    return true
  }

  #forget(): void {
    if (this.#kept === null) return
    this.#relay.keptBytes -= this.#keptBytes
    this.#kept = null
    this.#keptBytes = 0
  }

  #begun(stage: 'started' | 'reply_lost'): void {
    if (this.#stage !== 'reply_lost') this.#stage = stage
    if (this.#kept !== null) this.#forget()
  }

  /** The whole request is with the provider: all that the caller of a one-way call waits for. */
  #sent(): void {
    if (!this.#head.isOneWay || this.#isAnswered || this.#state !== 'open') return
    this.#isAnswered = true
    this.#forget()
    this.#caller.status(OK_STATUS, Metadata.EMPTY)
  }

  /** Whether another provider has it now, or it waits for one. */
  #isTurnedAway(status: Status): boolean {
    if (this.#kept === null || !isUndelivered(status)) return false
    if (this.#rerouteCount === REROUTES_MAX || this.#service.providers.length === 0) return false
    if (choosesProvider(this.#head.metadata)) return false
    const refuser = this.#attachment!
    this.#rerouteCount += 1
    this.#relay.counts.rerouted += 1
    this.#attachment = null
    this.#provider = CLOSED_REQUEST
    this.#stage = 'queued'
    const other = this.#relay.another(this.#service, this.#head, refuser)
    if (other === null) this.wait()
    else this.provide(other)
    release(refuser)
    this.#relay.registry.freed(refuser)
    return true
  }

  /** What was seen here tells more than what a provider's connection could see. */
  #witnessed(status: Status): Status {
    if (status.code !== 'UNAVAILABLE') return status
    const hop = hopOf(status)
    if (hop === null) return status
    const stage = this.#stage === 'delivered' ? hop.stage : this.#stage
    return this.#ownStatus(status.code, status.message, stage)
  }

  #ownStatus(code: StatusName, message: string, stage: HopStage = this.#stage): Status {
    const { clock } = this.#relay
    const sinceMs = this.#waitedSinceMs
    const waitedMs = this.#waitedMs + (sinceMs < 0 ? 0 : clock.monotonicMs() - sinceMs)
    const provider = this.#attachment?.info.instanceId ?? ''
    return statusOf(code, message, [hopDetail({ stage, provider, waitedMs })])
  }

  #fail(code: StatusName, message: string): void {
    this.#relay.counts.failed += 1
    this.#leave()
    this.#caller.status(this.#ownStatus(code, message, 'queued'), Metadata.EMPTY)
  }

  #tally(isFailed: boolean): void {
    const tally = this.#attachment?.tally
    if (tally === undefined) return
    if (isFailed) tally.failedCount += 1
    const sinceMs = this.#providedAtMs
    if (sinceMs >= 0) tally.add(this.#relay.clock.monotonicMs() - sinceMs)
  }

  #endWaiting(): void {
    if (this.#waitedSinceMs < 0) return
    this.#service.waiting.delete(this)
    this.#waitedMs += this.#relay.clock.monotonicMs() - this.#waitedSinceMs
    this.#waitedSinceMs = -1
  }

  /** Over: nothing comes in or goes out any more. */
  #leave(): void {
    this.#state = 'over'
    this.#service.waiting.delete(this)
    this.#forget()
    this.#provider = CLOSED_REQUEST
    this.#relay.deadlines.remove(this)
  }

  /** Last, because it may begin another call. */
  #free(): void {
    const attachment = this.#attachment
    if (attachment === null) return
    this.#attachment = null
    release(attachment)
    this.#relay.registry.freed(attachment)
  }
}

const DEADLINE_TEXT = 'the deadline has passed'

function release(attachment: Attachment): void {
  attachment.outstanding -= 1
}
