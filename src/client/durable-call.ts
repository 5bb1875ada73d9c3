import type { BoundMethod } from '../rpc/contracts/contract.ts'
import { DURABLE } from '../rpc/durable/durable-metadata.ts'
import { Metadata, type MetadataValue } from '../rpc/metadata.ts'
import { KEY_METADATA } from '../rpc/relay.ts'
import { RpcError, type StatusName } from '../rpc/status.ts'
import type { CallOptions } from './call-options.ts'
import type { Channel } from './channel.ts'
import { ClientPolicy } from './client-policy.ts'
import { DURABLE_ASK_MS, DURABLE_RETRY_MS, DURABLE_RETRY_MS_MAX } from './limits.ts'
import { entriesOf } from './outbound-call.ts'
import { UnaryCall } from './unary-call.ts'

/** What a call that is stored may say beside its input. */
export interface DurableOptions {
  /** Calls of one method with one key are the same call: the second finds the first, or its outcome. */
  readonly key?: string
  /** No provider gets it before so many milliseconds have passed. */
  readonly delayMs?: number
  /** Or before this time, in milliseconds since 1970. */
  readonly notBeforeMs?: number
  /** Calls of a service with one order key are done one after the other, in the order they were stored. */
  readonly orderKey?: string
  /** How long the outcome is kept. Default: as the broker has it, a day. */
  readonly keepResultMs?: number
  /** How long one attempt may take. Default: what the method says, or 10 s. */
  readonly attemptTimeoutMs?: number
  readonly metadata?: CallOptions['metadata']
  /** How long to try to have it stored. Default 10 s. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface DurableWait {
  /** Default 10 s. The call goes on when it is over. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

/** `dead`: in the dead letters. `lost`: somebody has deleted its message. */
export type DurableState = 'waiting' | 'running' | 'done' | 'dead' | 'lost'

/** A call that is stored: its end does not depend on this process. */
export interface DurableCall<Out> {
  /** By which any process finds it again: `client.method.durableCall(id)`. */
  readonly id: string
  /** It was stored before, under the same key. */
  readonly wasKnown: boolean
  /** The answer, or the error that it ended with; waits for it, also over a loss of the connection. */
  result(wait?: DurableWait): Promise<Out>
  state(wait?: DurableWait): Promise<DurableState>
  /** Ends it, if no provider has it; else rejects with FAILED_PRECONDITION. */
  cancel(wait?: DurableWait): Promise<void>
}

/** What may be tried again: the broker was not there, or it takes nothing now. */
const TRIED_AGAIN: ReadonlySet<StatusName> = new Set<StatusName>([
  'UNAVAILABLE',
  'RESOURCE_EXHAUSTED',
  'DEADLINE_EXCEEDED',
])

/** Stores calls of one method, and asks about them. */
export class DurableMethod {
  readonly #channel: Channel
  readonly #storing: BoundMethod
  readonly #waiting: BoundMethod
  readonly #asking: BoundMethod
  readonly #policy: ClientPolicy

  constructor(channel: Channel, bound: BoundMethod) {
    this.#channel = channel
    const { contentType } = bound.request
    // Whatever the method is, what is asked about it has one message and one answer.
    const method = { ...bound.method, kind: 'unary' as const, deadlineMs: null }
    const nothing = {
      contentType,
      takes: () => true,
      encode: () => nothingIn(contentType),
      decode: () => undefined,
    }
    const isOneWay = bound.method.kind === 'oneway'
    this.#storing = { ...bound, method, reply: nothing }
    this.#waiting = { ...bound, method, request: nothing, ...(isOneWay ? { reply: nothing } : {}) }
    this.#asking = { ...bound, method, request: nothing, reply: nothing }
    this.#policy = new ClientPolicy({ retry: false, breaker: false }, channel.clock, channel.random)
  }

  /** Resolves when it is on disk. */
  async store(
    input: unknown,
    options: DurableOptions,
    attemptTimeoutMs: number | null,
  ): Promise<DurableCall<unknown>> {
    // Without a key of the caller's one is drawn: asked twice for want of an answer, it is stored once.
    const key = options.key ?? this.#channel.random.id()
    const entries = storingEntries(options, key, attemptTimeoutMs)
    const { head } = await this.#ask(this.#storing, { input, entries, wait: options })
    const id = head.get(DURABLE.CALL_ID)
    if (id === null) throw new RpcError('UNIMPLEMENTED', 'the other side stores no calls')
    return this.call(id, head.get(DURABLE.KNOWN) === 'true' && options.key !== undefined)
  }

  call(id: string, wasKnown = true): DurableCall<unknown> {
    return {
      id,
      wasKnown,
      result: async (wait = {}) => (await this.#about(this.#waiting, id, 'outcome', wait)).answer,
      state: async (wait = {}) => {
        const { head } = await this.#about(this.#asking, id, 'state', wait)
        return (head.get(DURABLE.STATE) ?? 'lost') as DurableState
      },
      cancel: async (wait = {}) => {
        await this.#about(this.#asking, id, 'cancel', wait)
      },
    }
  }

  async #about(bound: BoundMethod, id: string, ask: string, wait: DurableWait): Promise<Answer> {
    const entries: Entries = [
      [DURABLE.ASK, ask],
      [DURABLE.CALL_ID, id],
    ]
    return this.#ask(bound, { input: undefined, entries, wait })
  }

  /** Asks again, waiting longer each time, until there is an answer or the time is over. */
  async #ask(bound: BoundMethod, { input, entries, wait }: Asked): Promise<Answer> {
    const { clock } = this.#channel
    const endMs = clock.monotonicMs() + (wait.deadlineMs ?? DURABLE_ASK_MS)
    let waitMs = DURABLE_RETRY_MS
    for (;;) {
      let head = Metadata.EMPTY
      let trailers = Metadata.EMPTY
      const leftMs = endMs - clock.monotonicMs()
      try {
        const answer = await new UnaryCall(this.#channel, bound, {
          input,
          options: {
            metadata: entries,
            deadlineMs: Math.min(leftMs, DURABLE_ASK_MS),
            onHead: (metadata) => (head = metadata),
            onTrailers: (metadata) => (trailers = metadata),
            ...(wait.signal === undefined ? {} : { signal: wait.signal }),
          },
          policy: this.#policy,
        }).result
        return { answer, head }
      } catch (error) {
        if (!(error instanceof RpcError) || isOutcome(trailers)) throw error
        if (!TRIED_AGAIN.has(error.code)) throw error
        if (clock.monotonicMs() + waitMs >= endMs) throw error
        if (error.code === 'DEADLINE_EXCEEDED') continue
      }
      await new Promise<void>((resolve) => clock.setTimer(waitMs, resolve))
      waitMs = Math.min(waitMs * 2, DURABLE_RETRY_MS_MAX)
    }
  }
}

type Entries = (readonly [string, MetadataValue])[]

interface Asked {
  readonly input: unknown
  readonly entries: Entries
  readonly wait: DurableWait
}

interface Answer {
  readonly answer: unknown
  readonly head: Metadata
}

function storingEntries(
  options: DurableOptions,
  key: string,
  methodTimeoutMs: number | null,
): Entries {
  const { metadata, delayMs, notBeforeMs, keepResultMs, orderKey } = options
  const attemptTimeoutMs = options.attemptTimeoutMs ?? methodTimeoutMs
  const entries: Entries = metadata === undefined ? [] : [...entriesOf(metadata)]
  entries.push([DURABLE.ASK, 'accept'], [DURABLE.KEY, key])
  const numbers = [
    [DURABLE.DELAY_MS, delayMs],
    [DURABLE.NOT_BEFORE_MS, notBeforeMs],
    [DURABLE.KEEP_MS, keepResultMs],
    [DURABLE.ATTEMPT_TIMEOUT_MS, attemptTimeoutMs],
  ] as const
  for (const [name, ms] of numbers) {
    if (ms !== undefined && ms !== null) entries.push([name, String(Math.ceil(ms))])
  }
  if (orderKey !== undefined) entries.push([KEY_METADATA, orderKey])
  return entries
}

/** The call itself has ended so, and not the question. */
function isOutcome(trailers: Metadata): boolean {
  const state = trailers.get(DURABLE.STATE)
  return state === 'done' || state === 'dead'
}

function nothingIn(contentType: string): Uint8Array {
  return Buffer.from(contentType === 'json' ? '{}' : '')
}
