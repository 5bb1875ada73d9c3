import type { Clock } from '../lib/clock.ts'
import type { Deadlined, Deadlines } from '../lib/deadlines.ts'
import type { CallHead, ReplySink, RequestSink } from '../rpc/call.ts'
import type { BoundMethod } from '../rpc/contracts/contract.ts'
import { declaredError } from '../rpc/contracts/declared-errors.ts'
import { MessageFault } from '../rpc/contracts/message-codec.ts'
import { DURABLE } from '../rpc/durable/durable-metadata.ts'
import { Metadata, type MetadataValue } from '../rpc/metadata.ts'
import { OK_STATUS, RpcError, type Status, type StatusName, statusOf } from '../rpc/status.ts'
import { type CallScope, runInScope } from './call-scope.ts'
import { MessageQueue } from './message-queue.ts'
import { SendWindow } from './send-window.ts'

/** What a handler knows of a call that is stored. It may come again: after a crash, or late. */
export interface DurableContext {
  /** The same at each attempt. */
  readonly id: string
  /** From 1. */
  readonly attempt: number
  /** What the caller names it by; if he does not, it is drawn by lot. */
  readonly key: string | null
}

/** What a handler knows of its call beside the input. */
export interface HandlerContext {
  readonly path: string
  readonly metadata: Metadata
  /** How long the caller still waits. */
  readonly remainingMs: number
  /** Of a call that is stored; null: nobody stored it, and nobody makes it again by himself. */
  readonly durable: DurableContext | null
  /** Aborted when the caller has given up or the time is over. */
  readonly signal: AbortSignal
  /** Sent ahead of the first answer; later it does nothing. */
  sendHead(entries: Iterable<readonly [string, MetadataValue]>): void
  /** Sent with the end. */
  setTrailers(entries: Iterable<readonly [string, MetadataValue]>): void
  /** One of the errors that the method declares, to be thrown. */
  error(
    name: string,
    data: unknown,
    options?: { readonly message?: string; readonly code?: Exclude<StatusName, 'OK'> },
  ): RpcError
}

/** `input` is a message, or an async iterable of them; so is what it returns. */
export type AnyHandler = (input: unknown, context: HandlerContext) => unknown

const NOTHING: Buffer = Buffer.alloc(0)
const EMPTY_JSON: Buffer = Buffer.from('{}')

/** What all calls of one provider share. */
export interface HandlerParts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** Told of errors that are no `RpcError`: callers learn only that there was one. */
  readonly onError: (error: unknown, path: string) => void
  readonly ended: () => void
}

/** One call at its provider, from the first message to the status. */
export class HandlerCall implements RequestSink, Deadlined, CallScope, HandlerContext {
  readonly deadlineMs: number
  deadlineNext: Deadlined | null = null
  deadlinePrevious: Deadlined | null = null
  deadlineSlot = -1
  readonly #head: CallHead
  readonly #reply: ReplySink
  readonly #bound: BoundMethod
  readonly #handler: AnyHandler
  readonly #parts: HandlerParts
  #requests: MessageQueue | null = null
  #window: SendWindow | null = null
  /** Of a method with one message: it has come. */
  #hasInput = false
  /** It, until it is certain that there is no second one. */
  #input: unknown = null
  #isStarted = false
  #isOver = false
  #trailers: Metadata = Metadata.EMPTY
  #abort: AbortController | null = null
  #abortReason: string | null = null
  #listeners: Set<(reason: string) => void> | null = null

  constructor(
    { head, reply }: { readonly head: CallHead; readonly reply: ReplySink },
    { bound, handler }: { readonly bound: BoundMethod; readonly handler: AnyHandler },
    parts: HandlerParts,
  ) {
    this.#head = head
    this.#reply = reply
    this.#bound = bound
    this.#handler = handler
    this.#parts = parts
    this.deadlineMs = head.deadlineMs
    parts.deadlines.add(this)
    const { kind } = bound.method
    if (kind === 'clientStream' || kind === 'bidi') this.#startStream()
  }

  // --- what a handler sees ---

  get path(): string {
    return this.#head.path
  }

  get metadata(): Metadata {
    return this.#head.metadata
  }

  get clock(): Clock {
    return this.#parts.clock
  }

  get remainingMs(): number {
    return Math.max(this.deadlineMs - this.clock.monotonicMs(), 0)
  }

  get durable(): DurableContext | null {
    const { metadata } = this
    const id = metadata.size === 0 ? null : metadata.get(DURABLE.CALL_ID)
    if (id === null) return null
    return { id, attempt: Number(metadata.get(DURABLE.ATTEMPT)), key: metadata.get(DURABLE.KEY) }
  }

  /** Made when asked for: most handlers never look. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#abortReason !== null) this.#abort.abort(new RpcError('CANCELLED', this.#abortReason))
    return this.#abort.signal
  }

  sendHead(entries: Iterable<readonly [string, MetadataValue]>): void {
    if (!this.#isOver) this.#reply.head(Metadata.from(entries))
  }

  setTrailers(entries: Iterable<readonly [string, MetadataValue]>): void {
    this.#trailers = Metadata.from(entries)
  }

  error(
    name: string,
    data: unknown,
    options: { readonly message?: string; readonly code?: Exclude<StatusName, 'OK'> } = {},
  ): RpcError {
    return declaredError(this.path.slice(1, this.path.lastIndexOf('/')), { name, data, ...options })
  }

  onAbort(listener: (reason: string) => void): void {
    if (this.#abortReason === null) (this.#listeners ??= new Set()).add(listener)
    else listener(this.#abortReason)
  }

  offAbort(listener: (reason: string) => void): void {
    this.#listeners?.delete(listener)
  }

  // --- from the caller ---

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#isOver) return
    if (this.#requests !== null) {
      this.#requests.push(bytes)
      if (isLast) this.#requests.end(null)
    } else if (this.#hasInput) {
      this.#fail(new RpcError('UNIMPLEMENTED', 'a second message, where the contract has one'))
    } else this.#take(bytes, isLast)
  }

  halfClose(): void {
    if (this.#requests !== null) this.#requests.end(null)
    else if (this.#hasInput) this.#startUnary()
    else if (!this.#isOver) {
      this.#fail(new RpcError('UNIMPLEMENTED', 'no message, where the contract has one'))
    }
  }

  cancel(reason: string): void {
    if (!this.#isOver) this.#aborted(reason)
  }

  creditReplies(cost: number): void {
    this.#window?.credit(cost)
  }

  deadlinePassed(): void {
    if (this.#isOver) return
    const text = 'the deadline has passed'
    this.#aborted(text)
    this.#reply.status(statusOf('DEADLINE_EXCEEDED', text), Metadata.EMPTY)
  }

  // --- inside ---

  #take(bytes: Uint8Array, isLast: boolean): void {
    this.#hasInput = true
    try {
      this.#input = this.#bound.request.decode(bytes, this.#head.contentType)
    } catch (error) {
      this.#fail(error)
      return
    }
    if (isLast) this.#startUnary()
  }

  #startUnary(): void {
    if (this.#isOver || this.#isStarted) return
    this.#isStarted = true
    const input = this.#input
    this.#input = null
    if (!(input instanceof Promise)) this.#run(input)
    else {
      input.then(
        (value) => this.#run(value),
        (error: unknown) => this.#fail(error),
      )
    }
  }

  #startStream(): void {
    const requests = new MessageQueue({
      decode: (bytes) => this.#bound.request.decode(bytes, this.#head.contentType),
      credit: (cost) => {
        if (!this.#isOver) this.#reply.creditRequests(cost)
      },
      stopped: () => {},
    })
    this.#requests = requests
    // Not before the other side of the call is known to whoever opened it.
    queueMicrotask(() => {
      if (!this.#isOver) this.#run(requests)
    })
  }

  #run(input: unknown): void {
    if (this.#isOver) return
    const { kind } = this.#bound.method
    const repliesStream = kind === 'serverStream' || kind === 'bidi'
    try {
      const result = runInScope(this, () => {
        const made = this.#handler(input, this)
        return repliesStream ? this.#sendAll(made) : made
      })
      if (!(result instanceof Promise)) {
        this.#done(result, repliesStream)
        return
      }
      result.then(
        (value: unknown) => this.#done(value, repliesStream),
        (error: unknown) => this.#fail(error),
      )
    } catch (error) {
      this.#fail(error)
    }
  }

  async #sendAll(made: unknown): Promise<void> {
    const window = new SendWindow()
    this.#window = window
    const { reply: codec } = this.#bound
    await window.sendAll((await made) as AsyncIterable<unknown>, (message) => {
      const bytes = codec.encode(message, this.#head.contentType)
      if (!this.#isOver) this.#reply.reply(bytes)
      return bytes.length
    })
  }

  #done(value: unknown, repliesStream: boolean): void {
    if (this.#isOver) return
    if (this.#bound.method.kind === 'oneway') {
      // A caller of gRPC or Connect waits for a message all the same.
      const { isOneWay, contentType } = this.#head
      if (!isOneWay) this.#reply.reply(contentType === 'json' ? EMPTY_JSON : NOTHING)
    } else if (!repliesStream) {
      let bytes: Uint8Array
      try {
        bytes = this.#bound.reply.encode(value, this.#head.contentType)
      } catch (error) {
        this.#fail(error)
        return
      }
      this.#reply.reply(bytes)
    }
    this.#end()
    this.#reply.status(OK_STATUS, this.#trailers)
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#end()
    this.#reply.status(this.#statusOf(error), this.#trailers)
  }

  #statusOf(error: unknown): Status {
    if (error instanceof RpcError) return error.status
    if (error instanceof MessageFault) return statusOf('INVALID_ARGUMENT', error.message)
    this.#parts.onError(error, this.path)
    return statusOf('UNKNOWN', 'the handler failed')
  }

  #aborted(reason: string): void {
    this.#abortReason = reason
    this.#requests?.end(new RpcError('CANCELLED', reason))
    this.#end()
    this.#abort?.abort(new RpcError('CANCELLED', reason))
    const listeners = this.#listeners
    this.#listeners = null
    for (const listener of listeners ?? []) listener(reason)
  }

  #end(): void {
    this.#isOver = true
    this.#parts.deadlines.remove(this)
    this.#window?.end()
    this.#requests?.end(null)
    this.#parts.ended()
  }
}
