import { type DescEnum, type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { isDescriptor, type MessageType } from './schema.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

/**
 * How a message looks as JSON, for those who write one by hand: `in` before defaults are filled in,
 * `out` as a reader finds it. Null: whatever describes it cannot say.
 */
export function jsonSchemaOf(type: MessageType, side: 'in' | 'out'): JsonSchema | null {
  if (isDescriptor(type)) return descriptorSchema(type)
  const { jsonSchema } = type['~standard']
  if (jsonSchema === undefined) return null
  try {
    const convert = side === 'in' ? jsonSchema.input : jsonSchema.output
    const { $schema: _dialect, ...schema } = convert({ target: 'draft-2020-12' })
    return schema
  } catch {
    // Standard JSON Schema says that a converter may refuse, and it is for reading only.
    return null
  }
}

/** By the JSON mapping of proto3. */
function descriptorSchema(root: DescMessage): JsonSchema {
  const definitions: Record<string, JsonSchema> = {}
  const schema = messageSchema(root, definitions)
  return Object.keys(definitions).length === 0 ? schema : { ...schema, $defs: definitions }
}

function messageSchema(type: DescMessage, definitions: Record<string, JsonSchema>): JsonSchema {
  const known = WELL_KNOWN[type.typeName]
  if (known !== undefined) return known
  if (definitions[type.typeName] === undefined) {
    // Named before its fields are looked at: it may hold itself.
    definitions[type.typeName] = {}
    const properties = type.fields.map((field) => [field.jsonName, fieldSchema(field, definitions)])
    definitions[type.typeName] = { type: 'object', properties: Object.fromEntries(properties) }
  }
  return { $ref: `#/$defs/${type.typeName}` }
}

function fieldSchema(field: DescField, definitions: Record<string, JsonSchema>): JsonSchema {
  switch (field.fieldKind) {
    case 'list':
      return { type: 'array', items: valueSchema(field, definitions) }
    case 'map':
      return { type: 'object', additionalProperties: valueSchema(field, definitions) }
    default:
      return valueSchema(field, definitions)
  }
}

interface Value {
  readonly scalar: ScalarType | undefined
  readonly message: DescMessage | undefined
  readonly enum: DescEnum | undefined
}

function valueSchema(value: Value, definitions: Record<string, JsonSchema>): JsonSchema {
  if (value.message !== undefined) return messageSchema(value.message, definitions)
  if (value.enum !== undefined) return { enum: value.enum.values.map(({ name }) => name) }
  return scalarSchema(value.scalar ?? ScalarType.STRING)
}

function scalarSchema(scalar: ScalarType): JsonSchema {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: 'string' }
    case ScalarType.BYTES:
      return { type: 'string', contentEncoding: 'base64' }
    case ScalarType.BOOL:
      return { type: 'boolean' }
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: 'number' }
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
    case ScalarType.SINT64:
      // More than a number of JSON holds, so it is written as text.
      return { type: 'string', pattern: '^-?[0-9]+$' }
    default:
      return { type: 'integer' }
  }
}

/** Messages that have a form of their own in JSON. */
const WELL_KNOWN: Readonly<Record<string, JsonSchema>> = {
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Duration': { type: 'string', pattern: '^-?[0-9.]+s$' },
  'google.protobuf.FieldMask': { type: 'string' },
  'google.protobuf.Empty': { type: 'object' },
  'google.protobuf.Any': { type: 'object' },
  'google.protobuf.Struct': { type: 'object' },
  'google.protobuf.ListValue': { type: 'array' },
  'google.protobuf.Value': {},
  'google.protobuf.StringValue': { type: 'string' },
  'google.protobuf.BytesValue': { type: 'string', contentEncoding: 'base64' },
  'google.protobuf.BoolValue': { type: 'boolean' },
  'google.protobuf.DoubleValue': { type: 'number' },
  'google.protobuf.FloatValue': { type: 'number' },
  'google.protobuf.Int32Value': { type: 'integer' },
  'google.protobuf.UInt32Value': { type: 'integer' },
  'google.protobuf.Int64Value': { type: 'string', pattern: '^-?[0-9]+$' },
  'google.protobuf.UInt64Value': { type: 'string', pattern: '^[0-9]+$' },
}
