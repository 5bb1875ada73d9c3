/** The service of gRPC's interop suite as a contract of ours, from descriptors made at run time. */
import { create, createFileRegistry, type DescMessage, type DescService } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label as LABEL,
  FieldDescriptorProto_Type as TYPE,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'
import {
  type Channel,
  type Contract,
  type HandlerContext,
  type Method,
  type MethodKind,
  type Provider,
  rpc,
  RpcError,
  serve,
  service,
  type StandardSchema,
} from '../../src/client/index.ts'
import { statusNameOf } from '../../src/rpc/status.ts'

/** Number, type, and of messages the name. */
type Field = readonly [number, keyof typeof TYPE, string?, 'list'?]

/** What the cases use of grpc/testing/messages.proto. */
const MESSAGES: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  Empty: {},
  BoolValue: { value: [1, 'BOOL'] },
  Payload: { type: [1, 'INT32'], body: [2, 'BYTES'] },
  EchoStatus: { code: [1, 'INT32'], message: [2, 'STRING'] },
  SimpleRequest: {
    responseSize: [2, 'INT32'],
    payload: [3, 'MESSAGE', 'Payload'],
    responseCompressed: [6, 'MESSAGE', 'BoolValue'],
    responseStatus: [7, 'MESSAGE', 'EchoStatus'],
  },
  SimpleResponse: { payload: [1, 'MESSAGE', 'Payload'] },
  StreamingInputCallRequest: { payload: [1, 'MESSAGE', 'Payload'] },
  StreamingInputCallResponse: { aggregatedPayloadSize: [1, 'INT32'] },
  ResponseParameters: { size: [1, 'INT32'], intervalUs: [2, 'INT32'] },
  StreamingOutputCallRequest: {
    responseParameters: [2, 'MESSAGE', 'ResponseParameters', 'list'],
    payload: [3, 'MESSAGE', 'Payload'],
    responseStatus: [7, 'MESSAGE', 'EchoStatus'],
  },
  StreamingOutputCallResponse: { payload: [1, 'MESSAGE', 'Payload'] },
}

/** Input, output, and which of the two are streams. */
type MethodSpec = readonly [string, string, boolean, boolean]

const METHODS: Readonly<Record<string, MethodSpec>> = {
  EmptyCall: ['Empty', 'Empty', false, false],
  UnaryCall: ['SimpleRequest', 'SimpleResponse', false, false],
  StreamingInputCall: ['StreamingInputCallRequest', 'StreamingInputCallResponse', true, false],
  StreamingOutputCall: ['StreamingOutputCallRequest', 'StreamingOutputCallResponse', false, true],
  FullDuplexCall: ['StreamingOutputCallRequest', 'StreamingOutputCallResponse', true, true],
}
const NO_METHOD: Readonly<Record<string, MethodSpec>> = {
  UnimplementedCall: ['Empty', 'Empty', false, false],
}

function serviceProto(name: string, methods: Readonly<Record<string, MethodSpec>>) {
  const method = Object.entries(methods).map(
    ([key, [input, output, clientStreaming, serverStreaming]]) => ({
      ...{ name: key, clientStreaming, serverStreaming },
      ...{ inputType: `.grpc.testing.${input}`, outputType: `.grpc.testing.${output}` },
    }),
  )
  return { name, method }
}

const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'grpc/testing/messages.proto',
    package: 'grpc.testing',
    syntax: 'proto3',
    messageType: Object.entries(MESSAGES).map(([name, fields]) => ({
      name,
      field: Object.entries(fields).map(([jsonName, [number, type, of, list]]) => ({
        name: jsonName.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
        ...{ jsonName, number, type: TYPE[type] },
        label: list === undefined ? LABEL.OPTIONAL : LABEL.REPEATED,
        ...(of === undefined ? {} : { typeName: `.grpc.testing.${of}` }),
      })),
    })),
    service: [
      serviceProto('TestService', { ...METHODS, ...NO_METHOD }),
      serviceProto('UnimplementedService', NO_METHOD),
    ],
  }),
  () => undefined,
)

/** For clients and servers of others; with a method that no server has. */
export function testService(name: 'TestService' | 'UnimplementedService'): DescService {
  const found = registry.getService(`grpc.testing.${name}`)
  if (found === undefined) throw new TypeError(`there is no service ${name}`)
  return found
}

export function message(name: string): DescMessage {
  const found = registry.getMessage(`grpc.testing.${name}`)
  if (found === undefined) throw new TypeError(`there is no message ${name}`)
  return found
}

const empty = { in: message('Empty'), out: message('Empty') }
const output = {
  in: message('StreamingOutputCallRequest'),
  out: message('StreamingOutputCallResponse'),
}

type None = Readonly<Record<never, StandardSchema>>
type Of<Kind extends MethodKind> = Method<Kind, DescMessage, DescMessage, None>

export type TestMethods = {
  readonly EmptyCall: Of<'unary'>
  readonly UnaryCall: Of<'unary'>
  readonly StreamingInputCall: Of<'clientStream'>
  readonly StreamingOutputCall: Of<'serverStream'>
  readonly FullDuplexCall: Of<'bidi'>
  readonly HalfDuplexCall: Of<'bidi'>
}

export const TestService: Contract<TestMethods> = service('grpc.testing.TestService', {
  EmptyCall: rpc.unary(empty),
  UnaryCall: rpc.unary({ in: message('SimpleRequest'), out: message('SimpleResponse') }),
  StreamingInputCall: rpc.clientStream({
    in: message('StreamingInputCallRequest'),
    out: message('StreamingInputCallResponse'),
  }),
  StreamingOutputCall: rpc.serverStream(output),
  FullDuplexCall: rpc.bidi(output),
  HalfDuplexCall: rpc.bidi(output),
})

export type MoreMethods = { readonly UnimplementedCall: Of<'unary'> }

/** As above, with a method that no server has. */
export const TestServiceWithMore: Contract<MoreMethods> = service('grpc.testing.TestService', {
  UnimplementedCall: rpc.unary(empty),
})

export const UnimplementedService: Contract<MoreMethods> = service(
  'grpc.testing.UnimplementedService',
  {
    UnimplementedCall: rpc.unary(empty),
  },
)

/** What the descriptors say, which the compiler cannot know. */
export interface Request {
  readonly responseSize: number
  readonly responseStatus?: { readonly code: number; readonly message: string }
  readonly responseParameters: readonly { readonly size: number; readonly intervalUs: number }[]
  readonly payload?: { readonly body: Uint8Array }
}

export const INITIAL = 'x-grpc-test-echo-initial'
export const TRAILING = 'x-grpc-test-echo-trailing-bin'

type Value = Readonly<Record<string, unknown>>

/** Serves the suite's service on a channel with handlers that anybody could write. */
export function provideTestService(channel: Channel): Provider {
  const say = (type: DescMessage, value: Value): ReturnType<typeof create> => create(type, value)
  const payload = (size: number): Value => ({ payload: { body: new Uint8Array(size) } })
  async function* duplex(inputs: AsyncIterable<unknown>, context: HandlerContext) {
    echo(context)
    for await (const input of inputs) {
      failAsAsked(input)
      for (const { size } of (input as Request).responseParameters) {
        yield say(output.out, payload(size))
      }
    }
  }
  return serve(channel, TestService, {
    EmptyCall: () => say(empty.out, {}),
    UnaryCall(input, context) {
      echo(context)
      failAsAsked(input)
      const { responseSize } = input as unknown as Request
      return say(message('SimpleResponse'), payload(responseSize))
    },
    async StreamingInputCall(inputs) {
      let size = 0
      for await (const input of inputs) {
        size += (input as unknown as Request).payload?.body.length ?? 0
      }
      return say(message('StreamingInputCallResponse'), { aggregatedPayloadSize: size })
    },
    async *StreamingOutputCall(input) {
      for (const { size } of (input as unknown as Request).responseParameters) {
        yield say(output.out, payload(size))
      }
    },
    FullDuplexCall: duplex,
    async *HalfDuplexCall(inputs) {
      const all: Request[] = []
      for await (const input of inputs) all.push(input as unknown as Request)
      for (const { responseParameters } of all) {
        for (const { size } of responseParameters) yield say(output.out, payload(size))
      }
    },
  })
}

function echo(context: HandlerContext): void {
  const initial = context.metadata.get(INITIAL)
  if (initial !== null) context.sendHead([[INITIAL, initial]])
  const [trailing] = context.metadata.all(TRAILING)
  if (trailing !== undefined) context.setTrailers([[TRAILING, trailing]])
}

function failAsAsked(input: unknown): void {
  const { responseStatus } = input as Request
  if (responseStatus === undefined || responseStatus.code === 0) return
  const code = statusNameOf(responseStatus.code)
  throw new RpcError(code === 'OK' ? 'UNKNOWN' : code, responseStatus.message)
}
