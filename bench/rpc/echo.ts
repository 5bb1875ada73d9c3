import { create, createFileRegistry, type DescMessage } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'
import {
  type Contract,
  type Method,
  type MessageType,
  rpc,
  service,
  type StandardSchema,
} from '../../src/client/index.ts'

/** About 100 octets, as JSON and as protobuf. */
export const INPUT: { readonly text: string } = { text: 'x'.repeat(88) }
/** The message of a stream that is to carry many bytes. */
export const LARGE_BYTES = 65_536

/** Checked by nobody on either side, as with the peers, so that the calls are compared. */
const Anything: StandardSchema = {
  '~standard': { version: 1, vendor: 'bench', validate: (value) => ({ value }) },
}

/** `message Text { string text = 1; }`: what gRPC clients of other languages send. */
const Text: DescMessage = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'bench/v1/text.proto',
    package: 'bench.v1',
    syntax: 'proto3',
    messageType: [
      {
        name: 'Text',
        field: [
          {
            ...{ name: 'text', number: 1, jsonName: 'text' },
            type: FieldDescriptorProto_Type.STRING,
            label: FieldDescriptorProto_Label.OPTIONAL,
          },
        ],
      },
    ],
  }),
  () => undefined,
).getMessage('bench.v1.Text')!

type Of<Kind extends 'unary' | 'serverStream'> = Method<
  Kind,
  MessageType,
  MessageType,
  Readonly<Record<never, StandardSchema>>
>
type EchoMethods = { readonly echo: Of<'unary'>; readonly repeat: Of<'serverStream'> }

/** JSON, by our own frames. */
export const Echo: Contract<EchoMethods> = echoOf('bench.v1.Echo', Anything)
/** Protobuf, by gRPC. */
export const ProtoEcho: Contract<EchoMethods> = echoOf('bench.v1.ProtoEcho', Text)

export const GRPC_PATHS = {
  echo: '/bench.v1.ProtoEcho/echo',
  repeat: '/bench.v1.ProtoEcho/repeat',
} as const
export const CONCURRENCY = 1024

function echoOf(name: string, type: MessageType): Contract<EchoMethods> {
  return service(name, {
    echo: rpc.unary({ in: type, out: type }),
    /** The same message until the caller has read enough. */
    repeat: rpc.serverStream({ in: type, out: type }),
  })
}
