/** gRPC for Node (grpc-js) as a client and as a server. */
import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import {
  Client,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  Metadata as GrpcMetadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type ServiceError,
} from '@grpc/grpc-js'
import { Metadata, type MetadataValue, RpcError } from '../../src/client/index.ts'
import { statusNameOf } from '../../src/rpc/status.ts'
import {
  INITIAL,
  message,
  type Request,
  testService,
  TRAILING,
} from '../support/interop-contract.ts'
import type { Down, Once, Options, Reply, TestClient } from './grpc-cases.ts'
import type { Peer } from './grpc-harness.ts'

const SERVICE = '/grpc.testing.TestService'

function writer(type: DescMessage): (value: object) => Buffer {
  return (value) => Buffer.from(toBinary(type, create(type, value as Record<string, unknown>)))
}

function reader(type: DescMessage): (bytes: Buffer) => Message {
  return (bytes) => fromBinary(type, bytes)
}

/** As the cases know errors. */
function errorOf({ code, details }: ServiceError): RpcError {
  const name = statusNameOf(code)
  return new RpcError(name === 'OK' ? 'UNKNOWN' : name, details)
}

function metadataOf(given: GrpcMetadata): Metadata {
  const entries: [string, MetadataValue][] = []
  for (const name of [INITIAL, TRAILING]) {
    for (const value of given.get(name)) entries.push([name, value])
  }
  return Metadata.from(entries)
}

interface Settings {
  readonly metadata: GrpcMetadata
  readonly deadline: { readonly deadline?: number }
}

function settingsOf({ metadata = [], deadlineMs }: Options): Settings {
  const fields = new GrpcMetadata()
  for (const [name, value] of metadata) {
    fields.add(name, typeof value === 'string' ? value : Buffer.from(value))
  }
  return {
    metadata: fields,
    deadline: deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
  }
}

interface Watched {
  on(event: 'metadata', listener: (metadata: GrpcMetadata) => void): unknown
  on(event: 'status', listener: (status: { metadata: GrpcMetadata }) => void): unknown
  cancel(): void
}

function watch(call: Watched, { signal, onHead, onTrailers }: Options): void {
  call.on('metadata', (head) => onHead?.(metadataOf(head)))
  call.on('status', ({ metadata }) => onTrailers?.(metadataOf(metadata)))
  if (signal?.aborted === true) call.cancel()
  signal?.addEventListener('abort', () => call.cancel())
}

async function pour(input: object, call: ClientWritableStream<object>): Promise<void> {
  for await (const one of input as AsyncIterable<object>) call.write(one)
  call.end()
}

class GrpcJs implements TestClient {
  readonly #client: Client

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure())
  }

  readonly EmptyCall: Once = (input, options) => {
    return this.#unary(`${SERVICE}/EmptyCall`, ['Empty', 'Empty'], { input, options })
  }

  readonly UnaryCall: Once = (input, options) => {
    const types = ['SimpleRequest', 'SimpleResponse'] as const
    return this.#unary(`${SERVICE}/UnaryCall`, types, { input, options })
  }

  readonly NoMethod: Once = (input, options) => {
    return this.#unary(`${SERVICE}/UnimplementedCall`, ['Empty', 'Empty'], { input, options })
  }

  readonly NoService: Once = (input, options) => {
    const path = '/grpc.testing.UnimplementedService/UnimplementedCall'
    return this.#unary(path, ['Empty', 'Empty'], { input, options })
  }

  readonly StreamingInputCall: Once = (input, options = {}) => {
    const { metadata, deadline } = settingsOf(options)
    return new Promise((resolve, reject) => {
      const call = this.#client.makeClientStreamRequest(
        `${SERVICE}/StreamingInputCall`,
        writer(message('StreamingInputCallRequest')),
        reader(message('StreamingInputCallResponse')),
        metadata,
        deadline,
        (error, reply) => {
          if (error === null) resolve(reply as unknown as Reply)
          else reject(errorOf(error))
        },
      )
      watch(call, options)
      pour(input, call).catch(reject)
    })
  }

  readonly StreamingOutputCall: Down = (input, options = {}) => {
    const { metadata, deadline } = settingsOf(options)
    const call = this.#client.makeServerStreamRequest(
      `${SERVICE}/StreamingOutputCall`,
      writer(message('StreamingOutputCallRequest')),
      reader(message('StreamingOutputCallResponse')),
      input,
      metadata,
      deadline,
    )
    watch(call, options)
    return read(call)
  }

  readonly FullDuplexCall: Down = (input, options = {}) => {
    const { metadata, deadline } = settingsOf(options)
    const call = this.#client.makeBidiStreamRequest(
      `${SERVICE}/FullDuplexCall`,
      writer(message('StreamingOutputCallRequest')),
      reader(message('StreamingOutputCallResponse')),
      metadata,
      deadline,
    )
    watch(call, options)
    void pour(input, call)
    return read(call)
  }

  #unary(
    path: string,
    [request, reply]: readonly [string, string],
    { input, options = {} }: { readonly input: object; readonly options: Options | undefined },
  ): Promise<Reply> {
    const { metadata, deadline } = settingsOf(options)
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path,
        writer(message(request)),
        reader(message(reply)),
        input,
        metadata,
        deadline,
        (error, value) => {
          if (error === null) resolve(value as unknown as Reply)
          else reject(errorOf(error))
        },
      )
      watch(call, options)
    })
  }
}

async function* read(call: ClientReadableStream<Message>): AsyncIterable<Reply> {
  try {
    yield* call as unknown as AsyncIterable<Reply>
  } catch (error) {
    throw errorOf(error as ServiceError)
  }
}

interface Answering {
  readonly metadata: GrpcMetadata
  sendMetadata(metadata: GrpcMetadata): void
}

/** Sends the head, and returns the trailers. */
function echo(call: Answering): GrpcMetadata {
  const [initial] = call.metadata.get(INITIAL)
  const [trailing] = call.metadata.get(TRAILING)
  const trailers = new GrpcMetadata()
  if (trailing !== undefined) trailers.add(TRAILING, trailing)
  if (initial !== undefined) {
    const head = new GrpcMetadata()
    head.add(INITIAL, initial)
    call.sendMetadata(head)
  }
  return trailers
}

function asked({ responseStatus }: Request): Partial<ServiceError> | null {
  if (responseStatus === undefined || responseStatus.code === 0) return null
  return { code: responseStatus.code, details: responseStatus.message }
}

function sendAll(call: { write(reply: object): unknown }, { responseParameters }: Request): void {
  for (const { size } of responseParameters) call.write({ payload: { body: new Uint8Array(size) } })
}

const handlers = {
  EmptyCall: (_call: unknown, done: sendUnaryData<object>) => done(null, {}),
  UnaryCall(call: ServerUnaryCall<Request, object>, done: sendUnaryData<object>) {
    const trailers = echo(call)
    const refusal = asked(call.request)
    if (refusal !== null) return done(refusal)
    done(null, { payload: { body: new Uint8Array(call.request.responseSize) } }, trailers)
  },
  StreamingInputCall(call: ServerReadableStream<Request, object>, done: sendUnaryData<object>) {
    let size = 0
    call.on('data', (request: Request) => (size += request.payload?.body.length ?? 0))
    call.on('end', () => done(null, { aggregatedPayloadSize: size }))
  },
  StreamingOutputCall(call: ServerWritableStream<Request, object>) {
    sendAll(call, call.request)
    call.end()
  },
  FullDuplexCall(call: ServerDuplexStream<Request, object>) {
    const trailers = echo(call)
    let isOver = false
    call.on('data', (request: Request) => {
      const refusal = asked(request)
      if (refusal === null) return sendAll(call, request)
      isOver = true
      call.emit('error', refusal)
    })
    call.on('end', () => {
      if (!isOver) call.end(trailers)
    })
  },
}

export const grpcJs: Peer = {
  async serve() {
    const server = new Server()
    const methods = testService('TestService').methods.filter(({ name }) => name in handlers)
    const definition = methods.map(({ name, methodKind, input, output }) => [
      name,
      {
        path: `${SERVICE}/${name}`,
        requestStream: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
        responseStream: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
        ...{ requestSerialize: writer(input), requestDeserialize: reader(input) },
        ...{ responseSerialize: writer(output), responseDeserialize: reader(output) },
      },
    ])
    server.addService(
      Object.fromEntries(definition) as Parameters<Server['addService']>[0],
      handlers as unknown as Parameters<Server['addService']>[1],
    )
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound)
        else reject(error)
      })
    })
    return { port, close: () => server.forceShutdown() }
  },

  clients: (address) => [['gRPC', new GrpcJs(address)]],
}
