/** gRPC's interop cases with our client, against whatever server a channel leads to. */
import assert from 'node:assert/strict'
import { type Channel, createClient, type Metadata, RpcError } from '../../src/client/index.ts'
import {
  INITIAL,
  TestService,
  TestServiceWithMore,
  TRAILING,
  UnimplementedService,
} from '../support/interop-contract.ts'

/** Clients made from descriptors at run time: the compiler cannot know what is in the messages. */
export interface Options {
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
  readonly metadata?: readonly (readonly [string, string | Uint8Array])[]
  readonly onHead?: (metadata: Metadata) => void
  readonly onTrailers?: (metadata: Metadata) => void
}
export interface Reply {
  readonly payload: { readonly body: Uint8Array }
  readonly aggregatedPayloadSize: number
}
export type Once = (input: object, options?: Options) => Promise<Reply>
export type Down = (input: object, options?: Options) => AsyncIterable<Reply>

/** A client of whomever, as the cases use it: its errors are `RpcError`. */
export interface TestClient {
  readonly EmptyCall: Once
  readonly UnaryCall: Once
  readonly StreamingInputCall: Once
  readonly StreamingOutputCall: Down
  readonly FullDuplexCall: Down
  /** A method that no server has, and one of a service that none has. */
  readonly NoMethod: Once
  readonly NoService: Once
}

const REQUEST_SIZES = [27_182, 8, 1828, 45_904]
const REPLY_SIZES = [31_415, 9, 2653, 58_979]
const SPECIAL = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n'

const body = (size: number): object => ({ payload: { body: new Uint8Array(size) } })
const asks = (sizes: readonly number[], more: object = {}): object => ({
  responseParameters: sizes.map((size) => ({ size })),
  ...more,
})

function isError(code: string, text?: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof RpcError, String(error))
    assert.equal(error.code, code, error.message)
    if (text !== undefined) assert.equal(error.message, text)
    return true
  }
}

async function sizesOf(replies: AsyncIterable<Reply>): Promise<number[]> {
  const sizes: number[] = []
  for await (const { payload } of replies) sizes.push(payload.body.length)
  return sizes
}

/** Sends the next message when the answer to the one before has come. */
async function pingPong(client: TestClient): Promise<number[]> {
  let answered = Promise.withResolvers<void>()
  async function* requests(): AsyncIterable<object> {
    for (const [index, size] of REPLY_SIZES.entries()) {
      yield asks([size], body(REQUEST_SIZES[index]!))
      await answered.promise
      answered = Promise.withResolvers()
    }
  }
  const sizes: number[] = []
  for await (const { payload } of client.FullDuplexCall(requests())) {
    sizes.push(payload.body.length)
    answered.resolve()
  }
  return sizes
}

/** Messages up to here, and then none, and no end. */
async function* endless(...messages: readonly object[]): AsyncIterable<object> {
  yield* messages
  await new Promise(() => {})
}

async function cancelledAfterBegin(client: TestClient): Promise<void> {
  const abort = new AbortController()
  const call = client.StreamingInputCall(endless(), { signal: abort.signal })
  abort.abort()
  await assert.rejects(call, isError('CANCELLED'))
}

async function cancelledAfterFirst(client: TestClient): Promise<void> {
  const abort = new AbortController()
  const requests = endless(asks([31_415], body(27_182)))
  const replies = client.FullDuplexCall(requests, { signal: abort.signal })
  const sizes: number[] = []
  const read = async (): Promise<void> => {
    for await (const { payload } of replies) {
      sizes.push(payload.body.length)
      abort.abort()
    }
  }
  await assert.rejects(read(), isError('CANCELLED'))
  assert.deepEqual(sizes, [31_415])
}

async function echoedMetadata(client: TestClient): Promise<void> {
  const trailing = Buffer.from('0a0b0a0b0a0b', 'hex')
  const seen: Metadata[] = []
  const options: Options = {
    metadata: [
      [INITIAL, 'test_initial_metadata_value'],
      [TRAILING, trailing],
    ],
    onHead: (metadata) => void seen.push(metadata),
    onTrailers: (metadata) => void seen.push(metadata),
  }
  const check = (): void => {
    const [head, trailers] = seen.splice(0)
    assert.equal(head?.get(INITIAL), 'test_initial_metadata_value')
    assert.deepEqual(
      trailers?.all(TRAILING).map((value) => Buffer.from(value)),
      [trailing],
    )
  }
  await client.UnaryCall({ responseSize: 1, ...body(1) }, options)
  check()
  assert.deepEqual(await sizesOf(client.FullDuplexCall([asks([1], body(1))], options)), [1])
  check()
}

async function echoedStatus(client: TestClient): Promise<void> {
  const responseStatus = { code: 2, message: 'test status message' }
  const isIt = isError('UNKNOWN', responseStatus.message)
  await assert.rejects(client.UnaryCall({ responseStatus }), isIt)
  await assert.rejects(sizesOf(client.FullDuplexCall([{ responseStatus }])), isIt)
}

type Case = (client: TestClient) => Promise<void>

export const CASES: Readonly<Record<string, Case>> = {
  async empty_unary(client) {
    await client.EmptyCall({})
  },
  async large_unary(client) {
    const { payload } = await client.UnaryCall({ responseSize: 314_159, ...body(271_828) })
    assert.equal(payload.body.length, 314_159)
  },
  async client_streaming(client) {
    const { aggregatedPayloadSize } = await client.StreamingInputCall(REQUEST_SIZES.map(body))
    assert.equal(aggregatedPayloadSize, 74_922)
  },
  async server_streaming(client) {
    assert.deepEqual(await sizesOf(client.StreamingOutputCall(asks(REPLY_SIZES))), REPLY_SIZES)
  },
  async ping_pong(client) {
    assert.deepEqual(await pingPong(client), REPLY_SIZES)
  },
  async empty_stream(client) {
    assert.deepEqual(await sizesOf(client.FullDuplexCall([])), [])
  },
  async timeout_on_sleeping_server(client) {
    const replies = client.FullDuplexCall(endless(body(27_182)), { deadlineMs: 1 })
    await assert.rejects(sizesOf(replies), isError('DEADLINE_EXCEEDED'))
  },
  cancel_after_begin: cancelledAfterBegin,
  cancel_after_first_response: cancelledAfterFirst,
  custom_metadata: echoedMetadata,
  status_code_and_message: echoedStatus,
  async special_status_message(client) {
    const responseStatus = { code: 2, message: SPECIAL }
    await assert.rejects(client.UnaryCall({ responseStatus }), isError('UNKNOWN', SPECIAL))
  },
  async unimplemented_method(client) {
    await assert.rejects(client.NoMethod({}), isError('UNIMPLEMENTED'))
  },
  async unimplemented_service(client) {
    await assert.rejects(client.NoService({}), isError('UNIMPLEMENTED'))
  },
}

/** Our client on a channel. */
export function ourClient(channel: Channel): TestClient {
  const ofMethod = createClient(TestServiceWithMore, channel)
  const ofService = createClient(UnimplementedService, channel)
  // Made from descriptors at run time, so the compiler cannot know its messages.
  return {
    ...createClient(TestService, channel),
    NoMethod: ofMethod.UnimplementedCall,
    NoService: ofService.UnimplementedCall,
  } as unknown as TestClient
}

export async function runCase(name: string, client: TestClient): Promise<void> {
  await CASES[name]!(client)
}
