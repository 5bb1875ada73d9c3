/** What every kind of caller and of provider in the matrix of calls agrees on. */
import {
  create,
  createFileRegistry,
  type DescMessage,
  type DescService,
  fromBinary,
  fromJsonString,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label as LABEL,
  FieldDescriptorProto_Type as TYPE,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'

/** Larger requests and answers are refused, by every wire. */
export const MESSAGE_BYTES_MAX = 65_536
/** Of this text a request is too large, and of as much an answer. */
export const LARGE: string = 'x'.repeat(MESSAGE_BYTES_MAX + 1)

/** What a request asks of whoever provides. */
export const ASK = { OK: 'ok', ERROR: 'error', WAIT: 'wait', LARGE: 'large' } as const

/** What a provider says of an error that it declares. */
export const DECLARED: { readonly text: string; readonly type: string; readonly value: Buffer } = {
  text: 'out of stock',
  type: 'json/test.v1.OutOfStock',
  value: Buffer.from('{"left":5}'),
}

/** How a call ended, as its caller saw it. */
export interface Outcome {
  readonly code: string
  /** Of the answer, or of the error. */
  readonly text: string
  /** The first detail of an error. */
  readonly detail: string | null
}

export interface CallOptions {
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface MatrixCaller {
  readonly name: string
  readonly isJson?: boolean
  call(service: string, text: string, options?: CallOptions): Promise<Outcome>
  close(): Promise<void>
}

export interface MatrixProvider {
  readonly name: string
  /** Package and name of the service it provides when it is started. */
  readonly service: string
  /** Calls that wait for ever, and whose end it was not told. */
  readonly waitingCount: number
  /** A server of others knows what it knows, and that is protobuf. */
  readonly takesJson: boolean
  /** Whether it hears that a call was cancelled. */
  readonly hearsCancel: boolean
  start(): Promise<void>
  /** Ends without a word, and does not come again. */
  kill(): void
  close(): Promise<void>
}

/** `Do` takes a text and answers with one. */
export const METHOD = 'Do'

const PROVIDERS = ['Typed', 'Grpc', 'Amqp', 'Mqtt', 'Direct', 'Nobody']

const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    ...{ name: 'matrix.proto', package: 'test.v1', syntax: 'proto3' },
    messageType: [
      {
        name: 'Text',
        field: [
          { name: 'text', number: 1, type: TYPE.STRING, label: LABEL.OPTIONAL, jsonName: 'text' },
        ],
      },
    ],
    service: PROVIDERS.map((name) => ({
      name,
      method: [{ name: METHOD, inputType: '.test.v1.Text', outputType: '.test.v1.Text' }],
    })),
  }),
  () => undefined,
)

export const TEXT = registry.getMessage('test.v1.Text') as DescMessage

export function descriptionOf(service: string): DescService {
  return registry.getService(service) as DescService
}

export function textMessage(text: string): ReturnType<typeof create> {
  return create(TEXT, { text })
}

export function encodeText(text: string, isJson = false): Buffer {
  const message = textMessage(text)
  return Buffer.from(isJson ? toJsonString(TEXT, message) : toBinary(TEXT, message))
}

export function decodeText(bytes: Uint8Array, isJson = false): string {
  const message = isJson
    ? fromJsonString(TEXT, Buffer.from(bytes).toString())
    : fromBinary(TEXT, bytes)
  return textIn(message)
}

export function textIn(message: unknown): string {
  return (message as { readonly text: string }).text
}
