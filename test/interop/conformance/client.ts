/** The client that the Connect conformance runner gives calls to make, each to a server of its own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import { anyUnpack } from '@bufbuild/protobuf/wkt'
import {
  type CallOptions,
  type Channel,
  connectChannel,
  createClient,
  RpcError,
} from '../../../src/client/index.ts'
import { type AnyMessage, entriesOf, type Header, headersOf, numberOf } from './fields.ts'
import { contractOf, delimited, message, registry, writeDelimited } from './messages.ts'

interface Asked {
  readonly testName: string
  readonly protocol: number
  readonly compression: number
  readonly host: string
  readonly port: number
  readonly serverTlsCert: Uint8Array
  readonly clientTlsCreds?: { readonly cert: Uint8Array; readonly key: Uint8Array }
  readonly messageReceiveLimit: number
  readonly method: string
  readonly streamType: number
  readonly requestHeaders: readonly Header[]
  readonly requestMessages: readonly AnyMessage[]
  readonly timeoutMs?: number
  readonly requestDelayMs: number
  readonly cancel?: { readonly cancelTiming: { readonly case?: string; readonly value?: unknown } }
}

interface Result {
  responseHeaders: Header[]
  payloads: Message[]
  error?: object
  responseTrailers: Header[]
  numUnsentRequests: number
}

/** Of config.proto. */
const FULL_DUPLEX = 5
const COMPRESSIONS = ['', '', 'gzip', 'br', 'zstd', 'deflate'] as const

const channels = new Map<string, Channel>()

function channelOf(asked: Asked): Channel {
  const { host, port, serverTlsCert, clientTlsCreds, messageReceiveLimit, compression } = asked
  const isTls = serverTlsCert.length > 0
  const key = [host, port, isTls, clientTlsCreds !== undefined, messageReceiveLimit, compression]
  const known = channels.get(key.join(' '))
  if (known !== undefined) return known
  const name = COMPRESSIONS[compression] ?? ''
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')
  const channel = connectChannel(`${isTls ? 'grpcs' : 'grpc'}://${host}:${port}`, {
    ...(messageReceiveLimit === 0 ? {} : { messageBytesMax: messageReceiveLimit }),
    ...(name === '' ? {} : { compression: name }),
    ...(isTls
      ? {
          tls: {
            ca: text(serverTlsCert),
            ...(clientTlsCreds === undefined
              ? {}
              : { cert: text(clientTlsCreds.cert), key: text(clientTlsCreds.key) }),
          },
        }
      : {}),
  })
  channels.set(key.join(' '), channel)
  return channel
}

/** One call: what it sends, when it is cancelled, and what came of it. */
class Run {
  readonly #asked: Asked
  readonly #abort = new AbortController()
  readonly #result: Result = {
    ...{ responseHeaders: [], payloads: [], responseTrailers: [] },
    numUnsentRequests: 0,
  }
  #sentCount = 0
  #progress: PromiseWithResolvers<void> | null = null
  #isOver = false

  constructor(asked: Asked) {
    this.#asked = asked
  }

  async result(): Promise<Result> {
    try {
      await this.#call()
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      const { code, message: text, details } = error
      this.#result.error = {
        code: numberOf(code),
        message: text,
        details: details.map(({ type, value }) => ({ typeUrl: type, value })),
      }
      this.#result.numUnsentRequests = this.#asked.requestMessages.length - this.#sentCount
    }
    this.#isOver = true
    this.#progress?.resolve()
    return this.#result
  }

  async #call(): Promise<void> {
    const { method: name, timeoutMs, requestHeaders } = this.#asked
    const contract = contractOf()
    const channel = channelOf(this.#asked)
    // Our calls always have a deadline, and say so. The suite wants nothing said that it did not ask for.
    const silent: Channel = {
      ...{ clock: channel.clock, random: channel.random, deadlines: channel.deadlines },
      open: (head, reply) => channel.open({ ...head, deadlineMs: Infinity }, reply),
      attach: (spec, callee, capacity) => channel.attach(spec, callee, capacity),
      close: async () => channel.close(),
      [Symbol.asyncDispose]: async () => channel.close(),
    }
    const client = createClient(contract, timeoutMs === undefined ? silent : channel, {
      policy: { retry: false, breaker: false },
    }) as unknown as Readonly<Record<string, (input: unknown, options: CallOptions) => unknown>>
    const options: CallOptions = {
      metadata: entriesOf(requestHeaders),
      signal: this.#abort.signal,
      ...(timeoutMs === undefined ? {} : { deadlineMs: timeoutMs }),
      onHead: (head) => void (this.#result.responseHeaders = headersOf(head)),
      onTrailers: (trailers) => void (this.#result.responseTrailers = headersOf(trailers)),
    }
    const { kind } = contract.methods[name]!
    const streams = kind === 'clientStream' || kind === 'bidi'
    const input = streams ? this.#messages() : await this.#only()
    const answer = client[name]!(input, options)
    if (!streams) this.#closed()
    if (answer instanceof Promise) this.#take((await answer) as Message)
    else for await (const reply of answer as AsyncIterable<Message>) this.#take(reply)
  }

  #take(reply: Message): void {
    const { payload } = reply as unknown as { readonly payload?: Message }
    this.#result.payloads.push(payload ?? create(message('ConformancePayload')))
    this.#progress?.resolve()
    const timing = this.#asked.cancel?.cancelTiming
    if (timing?.case === 'afterNumResponses' && timing.value === this.#result.payloads.length) {
      this.#abort.abort()
    }
  }

  async #only(): Promise<Message> {
    await this.#pause()
    this.#sentCount = 1
    return this.#messageAt(0)
  }

  async *#messages(): AsyncIterable<Message> {
    const { length } = this.#asked.requestMessages
    for (let index = 0; index < length; index++) {
      await this.#pause()
      this.#sentCount = index + 1
      yield this.#messageAt(index)
      // Full duplex: each message waits for the answer to the one before.
      if (this.#asked.streamType === FULL_DUPLEX) await this.#answered(index + 1)
    }
    if (this.#asked.cancel?.cancelTiming.case === 'beforeCloseSend') {
      this.#abort.abort()
      await new Promise(() => {})
    }
    this.#closed()
  }

  #messageAt(index: number): Message {
    const any = this.#asked.requestMessages[index]!
    const found = anyUnpack(any as unknown as Parameters<typeof anyUnpack>[0], registry)
    if (found === undefined) throw new TypeError(`${any.typeUrl} is not known`)
    return found
  }

  /** So many answers have come, or the call is over. */
  async #answered(count: number): Promise<void> {
    while (this.#result.payloads.length < count && !this.#isOver) {
      this.#progress = Promise.withResolvers()
      await this.#progress.promise
    }
  }

  async #pause(): Promise<void> {
    if (this.#asked.requestDelayMs > 0) await sleep(this.#asked.requestDelayMs)
  }

  /** Nothing more is sent. */
  #closed(): void {
    const timing = this.#asked.cancel?.cancelTiming
    if (timing === undefined || timing.case === 'afterNumResponses') return
    const afterMs = timing.case === 'afterCloseSendMs' ? (timing.value as number) : 0
    setTimeout(() => this.#abort.abort(), afterMs)
  }
}

async function run(bytes: Uint8Array): Promise<void> {
  const asked = fromBinary(message('ClientCompatRequest'), bytes) as unknown as Asked
  const { testName } = asked
  const type = message('ClientCompatResponse')
  let result: { readonly case: string; readonly value: unknown }
  try {
    const value = create(message('ClientResponseResult'), { ...(await new Run(asked).result()) })
    result = { case: 'response', value }
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const value = create(message('ClientErrorResult'), { message: text })
    result = { case: 'error', value }
  }
  writeDelimited(toBinary(type, create(type, { testName, result })))
}

/** At once; most of them wait for something. */
const CALLS_MAX = 32

const running = new Set<Promise<void>>()
for await (const bytes of delimited(process.stdin)) {
  const call = run(Buffer.from(bytes))
  running.add(call)
  void call.finally(() => running.delete(call))
  if (running.size >= CALLS_MAX) await Promise.race(running)
}
await Promise.all(running)
for (const channel of channels.values()) await channel.close()
