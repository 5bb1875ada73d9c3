import { create, type MessageInitShape } from '@bufbuild/protobuf'
import {
  type DescriptorProtoSchema,
  FieldDescriptorProto_Label as LABEL,
  FieldDescriptorProto_Type as TYPE,
  type FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  MethodOptions_IdempotencyLevel as LEVEL,
  type MethodDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'
import type { MethodKind } from '../contract.ts'
import {
  type DerivedContract,
  type DerivedField,
  type DerivedMessage,
  type DerivedMethod,
  fullName,
} from './derived-contract.ts'
import type { ItemShape, Shape } from './shape.ts'

type MessageProto = MessageInitShape<typeof DescriptorProtoSchema>
type FieldProto = MessageInitShape<typeof FieldDescriptorProtoSchema>

const SCALARS = {
  string: TYPE.STRING,
  double: TYPE.DOUBLE,
  int32: TYPE.INT32,
  int64: TYPE.INT64,
  bool: TYPE.BOOL,
} as const

/** The file of a derived contract, as reflection shows it. */
export function protoFile(derived: DerivedContract): FileDescriptorProto {
  const { fileName, package: scope, serviceName, methods, messages, imports } = derived
  return create(FileDescriptorProtoSchema, {
    ...{ name: fileName, package: scope, syntax: 'proto3' },
    dependency: [...imports].map(({ proto }) => proto.name),
    messageType: messages.map((message) => messageProto(message, scope)),
    service: [{ name: serviceName, method: [...methods.values()].map(methodProto) }],
  })
}

/** Which sides of a method are streams. */
export function streamsOf(kind: MethodKind): { readonly in: boolean; readonly out: boolean } {
  return {
    in: kind === 'clientStream' || kind === 'bidi',
    out: kind === 'serverStream' || kind === 'bidi',
  }
}

function methodProto({
  name,
  method,
  input,
  output,
}: DerivedMethod): MessageInitShape<typeof MethodDescriptorProtoSchema> {
  const { kind, idempotency } = method
  const streams = streamsOf(kind)
  const level = idempotency === 'idempotent' ? LEVEL.IDEMPOTENT : LEVEL.NO_SIDE_EFFECTS
  return {
    ...{ name, inputType: `.${input.typeName}`, outputType: `.${output.typeName}` },
    ...{ clientStreaming: streams.in, serverStreaming: streams.out },
    ...(idempotency === 'none' ? {} : { options: { idempotencyLevel: level } }),
  }
}

function messageProto(message: DerivedMessage, scope: string): MessageProto {
  const { shape, fields, nested, reserved } = message
  const choices = fields.filter(isOptional)
  const maps = fields.filter((field) => field.shape.kind === 'map')
  const name = fullName(scope, shape.name)
  const live = new Set(fields.map((field) => field.name))
  return {
    name: shape.name.slice(shape.name.lastIndexOf('.') + 1),
    field: fields.map((field) => fieldProto(field, { scope, message: name, choices })),
    nestedType: [
      ...nested.map((each) => messageProto(each, scope)),
      ...maps.map((field) => entryProto(field, scope)),
    ],
    // Each optional field is a choice of its own, which is how proto3 says that it may be missing.
    oneofDecl: choices.map((field) => ({ name: `_${field.name}` })),
    reservedRange: Object.keys(reserved).map((number) => ({
      ...{ start: Number(number), end: Number(number) + 1 },
    })),
    reservedName: [...new Set(Object.values(reserved))].filter((each) => !live.has(each)),
  }
}

/** Whether a field's being there must be told from its being empty. */
export function isOptional({ shape, isRequired, isNullable }: DerivedField): boolean {
  return shape.kind === 'scalar' && (!isRequired || isNullable)
}

function fieldProto(
  field: DerivedField,
  {
    scope,
    message,
    choices,
  }: {
    readonly scope: string
    readonly message: string
    readonly choices: readonly DerivedField[]
  },
): FieldProto {
  const { name, jsonName, number, shape } = field
  const choice = choices.indexOf(field)
  const isRepeated = shape.kind === 'list' || shape.kind === 'map'
  return {
    ...{ name, jsonName, number, label: isRepeated ? LABEL.REPEATED : LABEL.OPTIONAL },
    ...(shape.kind === 'map'
      ? { type: TYPE.MESSAGE, typeName: `.${message}.${entryName(name)}` }
      : typeProto(shape.kind === 'list' ? shape.of : shape, scope)),
    ...(choice < 0 ? {} : { oneofIndex: choice, proto3Optional: true }),
  }
}

function typeProto(shape: ItemShape, scope: string): Pick<FieldProto, 'type' | 'typeName'> {
  if (shape.kind === 'scalar') return { type: SCALARS[shape.type] }
  const typeName =
    shape.kind === 'json' ? 'google.protobuf.Value' : fullName(scope, shape.message.name)
  return { type: TYPE.MESSAGE, typeName: `.${typeName}` }
}

function entryProto({ name, shape }: DerivedField, scope: string): MessageProto {
  const of = (shape as Extract<Shape, { readonly kind: 'map' }>).of
  const label = LABEL.OPTIONAL
  return {
    name: entryName(name),
    field: [
      { name: 'key', number: 1, type: TYPE.STRING, label },
      { name: 'value', number: 2, label, ...typeProto(of, scope) },
    ],
    options: { mapEntry: true },
  }
}

/** As protoc names the entries of a map. */
function entryName(name: string): string {
  const words = name.split('_').map((word) => `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`)
  return `${words.join('')}Entry`
}
