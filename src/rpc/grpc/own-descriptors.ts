import { encodeFields, type ProtobufField } from '../../codec/grpc/index.ts'

/** A file of the broker's own services, as reflection shows it. */
export interface OwnFile {
  readonly name: string
  readonly package: string
  /** A FileDescriptorProto. */
  readonly descriptor: Uint8Array
}

/** Numbers of google.protobuf.FieldDescriptorProto. */
const TYPE = { int32: 5, bool: 8, string: 9, message: 11, bytes: 12, enum: 14 } as const
const OPTIONAL = 1
const REPEATED = 3

/** A field: its number, its type, and of messages and enums the name. */
interface FieldSpec {
  readonly number: number
  readonly type: keyof typeof TYPE
  readonly of?: string
  readonly isList?: boolean
  /** Of one choice with the others that say so. */
  readonly isChoice?: boolean
}
type MessageSpec = Readonly<Record<string, FieldSpec>>

interface MethodSpec {
  readonly input: string
  readonly output: string
  readonly streamsIn?: boolean
  readonly streamsOut?: boolean
}

interface FileSpec {
  readonly name: string
  readonly package: string
  readonly service: string
  readonly methods: Readonly<Record<string, MethodSpec>>
  readonly messages: Readonly<Record<string, MessageSpec>>
  readonly choice?: Readonly<Record<string, string>>
  /** Name of the message in which it is nested, name of the enum, and its values from 0 on. */
  readonly nestedEnum?: readonly [string, string, readonly string[]]
}

function fileOf(spec: FileSpec): OwnFile {
  const fields: ProtobufField[] = [
    [1, spec.name],
    [2, spec.package],
  ]
  for (const [name, message] of Object.entries(spec.messages)) {
    fields.push([4, messageOf(spec, name, message)])
  }
  const methods = Object.entries(spec.methods).map(
    ([name, { input, output, streamsIn = false, streamsOut = false }]): ProtobufField => [
      2,
      encodeFields([
        [1, name],
        [2, `.${spec.package}.${input}`],
        [3, `.${spec.package}.${output}`],
        ...(streamsIn ? [[5, 1] as const] : []),
        ...(streamsOut ? [[6, 1] as const] : []),
      ]),
    ],
  )
  fields.push([6, encodeFields([[1, spec.service], ...methods])], [12, 'proto3'])
  return { name: spec.name, package: spec.package, descriptor: encodeFields(fields) }
}

function messageOf(spec: FileSpec, name: string, message: MessageSpec): Uint8Array {
  const fields: ProtobufField[] = [[1, name]]
  for (const [fieldName, field] of Object.entries(message)) {
    const { number, type, of, isList = false, isChoice = false } = field
    fields.push([
      2,
      encodeFields([
        [1, fieldName],
        [3, number],
        [4, isList ? REPEATED : OPTIONAL],
        [5, TYPE[type]],
        ...(of === undefined ? [] : [[6, `.${spec.package}.${of}`] as const]),
        ...(isChoice ? [[9, 0] as const] : []),
      ]),
    ])
  }
  const choice = spec.choice?.[name]
  const [outer, enumName = '', values = []] = spec.nestedEnum ?? []
  if (outer === name) {
    const list = values.map((value, index): ProtobufField => [
      2,
      encodeFields([
        [1, value],
        [2, index],
      ]),
    ])
    fields.push([4, encodeFields([[1, enumName], ...list])])
  }
  if (choice !== undefined) fields.push([8, encodeFields([[1, choice]])])
  return encodeFields(fields)
}

export const HEALTH_FILE: OwnFile = fileOf({
  name: 'grpc/health/v1/health.proto',
  package: 'grpc.health.v1',
  service: 'Health',
  methods: {
    Check: { input: 'HealthCheckRequest', output: 'HealthCheckResponse' },
    Watch: { input: 'HealthCheckRequest', output: 'HealthCheckResponse', streamsOut: true },
  },
  messages: {
    HealthCheckRequest: { service: { number: 1, type: 'string' } },
    HealthCheckResponse: {
      status: { number: 1, type: 'enum', of: 'HealthCheckResponse.ServingStatus' },
    },
  },
  nestedEnum: [
    'HealthCheckResponse',
    'ServingStatus',
    ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'],
  ],
})

/** v1 and v1alpha are the same but for their names. */
export const REFLECTION_FILES: readonly OwnFile[] = ['v1', 'v1alpha'].map((version) =>
  fileOf({
    name: `grpc/reflection/${version}/reflection.proto`,
    package: `grpc.reflection.${version}`,
    service: 'ServerReflection',
    methods: {
      ServerReflectionInfo: {
        input: 'ServerReflectionRequest',
        output: 'ServerReflectionResponse',
        streamsIn: true,
        streamsOut: true,
      },
    },
    choice: {
      ServerReflectionRequest: 'message_request',
      ServerReflectionResponse: 'message_response',
    },
    messages: {
      ServerReflectionRequest: {
        host: { number: 1, type: 'string' },
        file_by_filename: { number: 3, type: 'string', isChoice: true },
        file_containing_symbol: { number: 4, type: 'string', isChoice: true },
        file_containing_extension: choiceOf(5, 'ExtensionRequest'),
        all_extension_numbers_of_type: { number: 6, type: 'string', isChoice: true },
        list_services: { number: 7, type: 'string', isChoice: true },
      },
      ExtensionRequest: {
        containing_type: { number: 1, type: 'string' },
        extension_number: { number: 2, type: 'int32' },
      },
      ServerReflectionResponse: {
        valid_host: { number: 1, type: 'string' },
        original_request: { number: 2, type: 'message', of: 'ServerReflectionRequest' },
        file_descriptor_response: choiceOf(4, 'FileDescriptorResponse'),
        all_extension_numbers_response: choiceOf(5, 'ExtensionNumberResponse'),
        list_services_response: choiceOf(6, 'ListServiceResponse'),
        error_response: choiceOf(7, 'ErrorResponse'),
      },
      FileDescriptorResponse: {
        file_descriptor_proto: { number: 1, type: 'bytes', isList: true },
      },
      ExtensionNumberResponse: {
        base_type_name: { number: 1, type: 'string' },
        extension_number: { number: 2, type: 'int32', isList: true },
      },
      ListServiceResponse: {
        service: { number: 1, type: 'message', of: 'ServiceResponse', isList: true },
      },
      ServiceResponse: { name: { number: 1, type: 'string' } },
      ErrorResponse: {
        error_code: { number: 1, type: 'int32' },
        error_message: { number: 2, type: 'string' },
      },
    },
  }),
)

function choiceOf(number: number, of: string): FieldSpec {
  return { number, type: 'message', of, isChoice: true }
}
