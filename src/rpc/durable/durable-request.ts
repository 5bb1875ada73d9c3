import { BrokerError } from '../../model/errors.ts'
import type { Deadlined } from '../../lib/deadlines.ts'
import { type CallHead, type ReplySink, type RequestSink, serviceOf } from '../call.ts'
import { Metadata } from '../metadata.ts'
import { OK_STATUS, RpcError, type Status, statusOf } from '../status.ts'
import type { CallWaiter, KnownCall } from './call-table.ts'
import type { DurableCalls } from './durable-calls.ts'
import { DURABLE, type DurableOrder } from './durable-metadata.ts'
import { rpcErrorOf } from './refusal.ts'

interface Asked {
  readonly head: CallHead
  readonly reply: ReplySink
  readonly order: DurableOrder
}

const DEADLINE_TEXT = 'the deadline has passed; what was stored goes on'

/** What somebody asks of a durable call, from the first word to the answer. */
export class DurableRequest implements RequestSink, Deadlined, CallWaiter {
  readonly deadlineMs: number
  deadlineNext: Deadlined | null = null
  deadlinePrevious: Deadlined | null = null
  deadlineSlot = -1
  readonly #calls: DurableCalls
  readonly #asked: Asked
  readonly #storesCall: boolean
  #body: Buffer | null = null
  #isAsked = false
  #isOver = false
  #isHeadSent = false
  #call: KnownCall | null = null
  #wasKnown = false

  constructor(calls: DurableCalls, asked: Asked) {
    this.#calls = calls
    this.#asked = asked
    this.deadlineMs = asked.head.deadlineMs
    const { ask } = asked.order
    this.#storesCall = ask === 'accept' || ask === 'wait'
    calls.relay.deadlines.add(this)
  }

  // --- from the caller ---

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#isOver || this.#isAsked) return
    if (this.#body !== null) {
      this.#fail(
        statusOf('INVALID_ARGUMENT', 'a durable call has one message, and this is a stream'),
      )
      return
    }
    const { relay } = this.#calls
    const { keptBytesMax } = relay.limits
    if (relay.keptBytes + bytes.length > keptBytesMax) {
      const text = `calls that wait hold ${relay.keptBytes} bytes, the limit is ${keptBytesMax}`
      this.#fail(statusOf('RESOURCE_EXHAUSTED', text))
      return
    }
    this.#body = Buffer.from(bytes)
    relay.keptBytes += bytes.length
    if (isLast) this.#ask()
  }

  halfClose(): void {
    if (!this.#isOver && !this.#isAsked) this.#ask()
  }

  cancel(): void {
    if (!this.#isOver) this.#leave()
  }

  /** There is one reply at most. */
  creditReplies(): void {}

  deadlinePassed(): void {
    this.#fail(statusOf('DEADLINE_EXCEEDED', DEADLINE_TEXT))
  }

  // --- from the call ---

  stored(call: KnownCall): void {
    this.#look(call)
  }

  failed(cause: Error): void {
    this.#fail(statusOf('UNAVAILABLE', `the call may not be stored: ${cause.message}`))
  }

  // --- inside ---

  #ask(): void {
    this.#isAsked = true
    try {
      if (this.#storesCall) this.#open()
      else this.#find()
    } catch (error) {
      this.#fail(rpcErrorOf(error).status)
    }
  }

  #open(): void {
    if (this.#body === null) {
      throw new RpcError('INVALID_ARGUMENT', 'a durable call has one message, and this has none')
    }
    const service = serviceOf(this.#asked.head.path)
    if (service === null) {
      const text = `'${this.#asked.head.path}' is no /package.Service/Method`
      throw new RpcError('UNIMPLEMENTED', text)
    }
    const queue = this.#calls.queueOf(service)
    if (!(queue instanceof Promise)) {
      this.#accept(queue)
      return
    }
    queue.then(
      (opened) => {
        if (this.#isOver) return
        try {
          this.#accept(opened)
        } catch (error) {
          this.#fail(rpcErrorOf(error).status)
        }
      },
      (error: unknown) => {
        const known = error instanceof RpcError || error instanceof BrokerError
        const status = known
          ? rpcErrorOf(error).status
          : statusOf('UNAVAILABLE', `the queue of ${service} cannot be made`)
        this.#fail(status)
      },
    )
  }

  #accept(queue: Parameters<DurableCalls['accept']>[0]): void {
    const { head, order } = this.#asked
    const { counts } = this.#calls
    const before = counts.known
    const call = this.#calls.accept(queue, head, order, this.#body!)
    this.#wasKnown = counts.known > before
    this.#forgetBody()
    this.#await(call)
  }

  #find(): void {
    const { head, order } = this.#asked
    const call = this.#calls.find(head, order)
    if (order.ask === 'cancel') this.#calls.cancel(call)
    else if (order.ask === 'outcome' && !call.isRunning && this.#calls.isLost(call)) {
      const text = `the message of call '${call.id}' is gone: its queue was purged or deleted`
      throw new RpcError('DATA_LOSS', text)
    }
    this.#await(call)
  }

  #await(call: KnownCall): void {
    this.#call = call
    ;(call.waiters ??= new Set()).add(this)
    if (call.isStored) this.#look(call)
  }

  /** What it became last is on disk: is that what was asked for? */
  #look(call: KnownCall): void {
    if (this.#isOver) return
    const { ask } = this.#asked.order
    const { isOneWay } = this.#asked.head
    if (ask === 'accept' || ask === 'state' || ask === 'cancel' || (ask === 'wait' && isOneWay)) {
      this.#sendHead(call)
      this.#answer(null)
      this.#end(OK_STATUS, Metadata.EMPTY)
    } else if (call.state !== 'waiting') this.#tellOutcome(call)
    else if (ask === 'wait') this.#sendHead(call)
  }

  #tellOutcome(call: KnownCall): void {
    const { head } = this.#asked
    const outcome = this.#calls.table.outcomeOf(call)
    if (outcome === null) {
      this.#fail(statusOf('NOT_FOUND', `the outcome of call '${call.id}' is not kept any more`))
      return
    }
    if (outcome.answer !== null && head.contentType !== call.contentType) {
      const text = `the answer is written in '${call.contentType}', asked for is '${head.contentType}'`
      this.#fail(statusOf('FAILED_PRECONDITION', text))
      return
    }
    this.#sendHead(call)
    const { status, trailers } = outcome
    if (status.code === 'OK') this.#answer(outcome.answer)
    if (call.state !== 'dead') {
      this.#end(status, trailers)
      return
    }
    const message = `${status.message} (the call failed too often and is in the dead letters)`
    this.#end({ ...status, message }, trailers)
  }

  #sendHead(call: KnownCall): void {
    if (this.#isHeadSent) return
    this.#isHeadSent = true
    const known = this.#wasKnown ? [DURABLE.KNOWN, 'true'] : []
    const flat = [DURABLE.CALL_ID, call.id, DURABLE.STATE, this.#stateOf(call), ...known]
    this.#asked.reply.head(Metadata.fromFlat(flat))
  }

  #stateOf(call: KnownCall): string {
    if (call.state !== 'waiting') return call.state
    if (call.isRunning) return 'running'
    return this.#calls.isLost(call) ? 'lost' : 'waiting'
  }

  /** Null: a message that says nothing, for whoever must have one. */
  #answer(bytes: Buffer | null): void {
    const { reply, head } = this.#asked
    if (bytes !== null) reply.reply(bytes)
    else if (!head.isOneWay) reply.reply(head.contentType === 'json' ? EMPTY_JSON : NOTHING)
  }

  #fail(status: Status): void {
    if (!this.#isOver) this.#end(status, Metadata.EMPTY)
  }

  #end(status: Status, trailers: Metadata): void {
    const call = this.#call
    this.#leave()
    const state = call === null ? null : this.#stateOf(call)
    this.#asked.reply.status(
      status,
      state === null ? trailers : trailers.with(DURABLE.STATE, state),
    )
  }

  #leave(): void {
    this.#isOver = true
    this.#calls.relay.deadlines.remove(this)
    this.#forgetBody()
    const call = this.#call
    if (call === null || call.waiters === null) return
    call.waiters.delete(this)
    if (call.waiters.size === 0) call.waiters = null
  }

  #forgetBody(): void {
    if (this.#body === null) return
    this.#calls.relay.keptBytes -= this.#body.length
    this.#body = null
  }
}

const NOTHING: Buffer = Buffer.alloc(0)
const EMPTY_JSON: Buffer = Buffer.from('{}')
