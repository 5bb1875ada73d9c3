/** Connect-ES as a client, by each of its protocols, and as a server. */
import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { create, type Message } from '@bufbuild/protobuf'
import {
  type CallOptions as ConnectOptions,
  type Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  decodeBinaryHeader,
  encodeBinaryHeader,
  type HandlerContext,
  type Transport,
} from '@connectrpc/connect'
import {
  connectNodeAdapter,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node'
import { Metadata, type MetadataValue, RpcError } from '../../src/client/index.ts'
import { statusNameOf } from '../../src/rpc/status.ts'
import {
  INITIAL,
  message,
  type Request,
  testService,
  TRAILING,
} from '../support/interop-contract.ts'
import type { Down, Once, Options, TestClient } from './grpc-cases.ts'
import type { Peer } from './grpc-harness.ts'

function metadataOf(headers: Headers): Metadata {
  const entries: [string, MetadataValue][] = []
  for (const [name, value] of headers) {
    if (name === INITIAL) entries.push([name, value])
    else if (name === TRAILING) entries.push([name, decodeBinaryHeader(value)])
  }
  return Metadata.from(entries)
}

function optionsOf({
  deadlineMs,
  signal,
  metadata = [],
  onHead,
  onTrailers,
}: Options): ConnectOptions {
  const headers = new Headers()
  for (const [name, value] of metadata) {
    headers.append(name, typeof value === 'string' ? value : encodeBinaryHeader(value))
  }
  return {
    headers,
    ...(deadlineMs === undefined ? {} : { timeoutMs: deadlineMs }),
    ...(signal === undefined ? {} : { signal }),
    onHeader: (head) => onHead?.(metadataOf(head)),
    onTrailer: (trailers) => onTrailers?.(metadataOf(trailers)),
  }
}

/** As the cases know errors. */
function errorOf(error: unknown): unknown {
  if (!(error instanceof ConnectError)) return error
  const code = statusNameOf(error.code)
  return new RpcError(code === 'OK' ? 'UNKNOWN' : code, error.rawMessage)
}

type AnyClient = Readonly<
  Record<
    string,
    (input: unknown, options: ConnectOptions) => Promise<unknown> & AsyncIterable<unknown>
  >
>

async function* iterated(input: object): AsyncIterable<unknown> {
  yield* input as AsyncIterable<unknown>
}

function clientOf(transport: Transport): TestClient {
  // Made from descriptors at run time: the compiler knows no method.
  const client = createClient(testService('TestService'), transport) as unknown as AnyClient
  const other = createClient(testService('UnimplementedService'), transport) as unknown as AnyClient
  const once =
    (of: AnyClient, name: string): Once =>
    async (input, options = {}) => {
      const isStream = Symbol.iterator in input || Symbol.asyncIterator in input
      try {
        const given = isStream ? iterated(input) : input
        return (await of[name]!(given, optionsOf(options))) as Awaited<ReturnType<Once>>
      } catch (error) {
        throw errorOf(error)
      }
    }
  const many = (name: string): Down =>
    async function* (input, options = {}) {
      const isStream = Symbol.iterator in input || Symbol.asyncIterator in input
      try {
        yield* client[name]!(
          isStream ? iterated(input) : input,
          optionsOf(options),
        ) as ReturnType<Down>
      } catch (error) {
        throw errorOf(error)
      }
    }
  return {
    EmptyCall: once(client, 'emptyCall'),
    UnaryCall: once(client, 'unaryCall'),
    StreamingInputCall: once(client, 'streamingInputCall'),
    StreamingOutputCall: many('streamingOutputCall'),
    FullDuplexCall: many('fullDuplexCall'),
    NoMethod: once(client, 'unimplementedCall'),
    NoService: once(other, 'unimplementedCall'),
  }
}

function echo(context: HandlerContext): void {
  const initial = context.requestHeader.get(INITIAL)
  if (initial !== null) context.responseHeader.set(INITIAL, initial)
  const trailing = context.requestHeader.get(TRAILING)
  if (trailing !== null) context.responseTrailer.set(TRAILING, trailing)
}

function failAsAsked({ responseStatus }: Request): void {
  if (responseStatus === undefined || responseStatus.code === 0) return
  throw new ConnectError(responseStatus.message, responseStatus.code as Code)
}

function reply(name: string, size: number): Message {
  return create(message(name), { payload: { body: new Uint8Array(size) } })
}

function* replies({ responseParameters }: Request): Iterable<Message> {
  for (const { size } of responseParameters) yield reply('StreamingOutputCallResponse', size)
}

const handlers = {
  emptyCall: () => create(message('Empty')),
  unaryCall(request: unknown, context: HandlerContext) {
    echo(context)
    failAsAsked(request as Request)
    return reply('SimpleResponse', (request as Request).responseSize)
  },
  async streamingInputCall(requests: AsyncIterable<unknown>) {
    let size = 0
    for await (const request of requests) size += (request as Request).payload?.body.length ?? 0
    return create(message('StreamingInputCallResponse'), { aggregatedPayloadSize: size })
  },
  async *streamingOutputCall(request: unknown) {
    yield* replies(request as Request)
  },
  async *fullDuplexCall(requests: AsyncIterable<unknown>, context: HandlerContext) {
    echo(context)
    for await (const request of requests) {
      failAsAsked(request as Request)
      yield* replies(request as Request)
    }
  },
}

export const connectEs: Peer = {
  async serve() {
    const routes = (router: ConnectRouter): void => {
      router.service(testService('TestService'), handlers as never)
    }
    const server = createServer(connectNodeAdapter({ routes }))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    return { port, close: () => server.close() }
  },

  clients(address) {
    const baseUrl = `http://${address}`
    return [
      ['gRPC', clientOf(createGrpcTransport({ baseUrl }))],
      ['Connect', clientOf(createConnectTransport({ baseUrl, httpVersion: '2' }))],
      ['gRPC-Web', clientOf(createGrpcWebTransport({ baseUrl, httpVersion: '2' }))],
    ]
  },
}
