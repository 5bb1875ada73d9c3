import type { JsonSchema } from '../json-schema.ts'

export type Scalar = 'string' | 'double' | 'int32' | 'int64' | 'bool'

/**
 * How a part of a message is written in protobuf. `json` is `google.protobuf.Value`: whatever
 * protobuf has no type for, such as a choice between two kinds of messages, so that nothing is lost.
 */
export type Shape =
  | { readonly kind: 'scalar'; readonly type: Scalar }
  | { readonly kind: 'json' }
  | { readonly kind: 'message'; readonly message: ShapeMessage }
  | { readonly kind: 'list'; readonly of: ItemShape }
  | { readonly kind: 'map'; readonly of: ItemShape }

export type ItemShape = Exclude<Shape, { readonly kind: 'list' | 'map' }>

export interface ShapeField {
  /** As the schema has it. */
  readonly jsonName: string
  /** As it is called in protobuf. */
  readonly name: string
  readonly shape: Shape
  readonly isRequired: boolean
  /** Not there means null. */
  readonly isNullable: boolean
  readonly description: string
}

export interface ShapeMessage {
  /** Within its package: `OrdersPlaceRequest`, or `OrdersPlaceRequest.Address`. */
  readonly name: string
  readonly description: string
  readonly fields: ShapeField[]
}

/** What a method sends or gets. */
export interface RootShape {
  /** Null: the message is a `google.protobuf.Value` as it is. */
  readonly message: ShapeMessage | null
  /** The message has one field, which is all there is to say: a text, a list. */
  readonly isWrapped: boolean
  /** All that lie within the message. */
  readonly nested: readonly ShapeMessage[]
}

/** Of a schema that says no more than that it is JSON. */
export const ANY_ROOT: RootShape = { message: null, isWrapped: false, nested: [] }

const JSON_SHAPE: Shape & ItemShape = { kind: 'json' }
const INT32_MIN = -(2 ** 31)
const INT32_MAX = 2 ** 31 - 1

/** The shape of a whole message; `name` is what it is called. */
export function rootShape(schema: JsonSchema, name: string): RootShape {
  return new ShapeReader(schema, name).root()
}

/** A schema's part, and whether null stands for it. */
interface Part {
  readonly shape: Shape
  readonly isNullable: boolean
}

class ShapeReader {
  readonly #root: JsonSchema
  readonly #name: string
  readonly #nested: ShapeMessage[] = []
  readonly #names: Set<string>
  /** By where they stand, so that one that holds itself is made once. */
  readonly #messages = new Map<unknown, ShapeMessage>()
  readonly #resolving = new Set<unknown>()

  constructor(schema: JsonSchema, name: string) {
    this.#root = schema
    this.#name = name
    this.#names = new Set([name])
  }

  root(): RootShape {
    const schema = this.#resolved(this.#root)
    if (isMessage(schema)) {
      const message = this.#message(schema, this.#name)
      return { message, isWrapped: false, nested: this.#nested }
    }
    const { shape, isNullable } = this.#part(this.#root, 'Value')
    if (shape.kind === 'json' || isNullable) return ANY_ROOT
    const field = { jsonName: 'value', name: 'value', shape, description: '' }
    const message = {
      ...{ name: this.#name, description: textIn(schema, 'description') },
      fields: [{ ...field, isRequired: true, isNullable: false }],
    }
    return { message, isWrapped: true, nested: this.#nested }
  }

  #part(given: unknown, hint: string): Part {
    const schema = this.#resolved(given)
    if (isMessage(schema)) {
      return plain({ kind: 'message', message: this.#message(schema, hintOf(given) ?? hint) })
    }
    // A schema that holds itself without a message between has no end in protobuf.
    if (schema === null || this.#resolving.has(schema)) return plain(JSON_SHAPE)
    this.#resolving.add(schema)
    try {
      return this.#partOf(schema, hintOf(given) ?? hint)
    } finally {
      this.#resolving.delete(schema)
    }
  }

  #partOf(schema: JsonSchema, hint: string): Part {
    const { type } = schema
    const choices = schema['anyOf'] ?? schema['oneOf']
    if (Array.isArray(choices)) return this.#choice(choices, hint)
    if (schema['allOf'] !== undefined || schema['not'] !== undefined) return plain(JSON_SHAPE)
    if (Array.isArray(type)) {
      const others = type.filter((each) => each !== 'null')
      if (others.length !== 1) return plain(JSON_SHAPE)
      return { ...this.#partOf({ ...schema, type: others[0] }, hint), isNullable: true }
    }
    switch (type ?? typeOfValues(schema)) {
      case 'string':
        return scalar('string')
      case 'boolean':
        return scalar('bool')
      case 'number':
        return scalar('double')
      case 'integer':
        return scalar(isInt32(schema) ? 'int32' : 'int64')
      case 'array':
        return plain(this.#list(schema, hint))
      case 'object':
        return plain(this.#object(schema, hint))
      default:
        return plain(JSON_SHAPE)
    }
  }

  #choice(choices: readonly unknown[], hint: string): Part {
    const resolved = choices.map((choice) => ({ choice, schema: this.#resolved(choice) }))
    const others = resolved.filter(({ schema }) => schema?.['type'] !== 'null')
    const isNullable = others.length < resolved.length
    const [first] = others
    if (first !== undefined && others.length === 1) {
      const part = this.#part(first.choice, hint)
      return { ...part, isNullable: isNullable || part.isNullable }
    }
    const types = others.map(({ schema }) => schema?.['type'] ?? typeOfValues(schema ?? {}))
    const isText = types.length > 0 && types.every((type) => type === 'string')
    return isText ? { ...scalar('string'), isNullable } : plain(JSON_SHAPE)
  }

  #list(schema: JsonSchema, hint: string): Shape {
    if (schema['prefixItems'] !== undefined) return JSON_SHAPE
    return { kind: 'list', of: this.#item(schema['items'], hint) }
  }

  #object(schema: JsonSchema, hint: string): Shape {
    const { properties, patternProperties, additionalProperties } = schema
    if (properties !== undefined || patternProperties !== undefined) return JSON_SHAPE
    if (typeof additionalProperties !== 'object' || additionalProperties === null) return JSON_SHAPE
    return { kind: 'map', of: this.#item(additionalProperties, hint) }
  }

  /** In a list or a map there is no null, and no list or map. */
  #item(schema: unknown, hint: string): ItemShape {
    const { shape, isNullable } = this.#part(schema, hint)
    return isNullable || shape.kind === 'list' || shape.kind === 'map' ? JSON_SHAPE : shape
  }

  #message(schema: JsonSchema, hint: string): ShapeMessage {
    const known = this.#messages.get(schema)
    if (known !== undefined) return known
    const isRoot = this.#messages.size === 0 && hint === this.#name
    const name = isRoot ? this.#name : `${this.#name}.${unique(pascal(hint), this.#names)}`
    const message: ShapeMessage = { name, description: textIn(schema, 'description'), fields: [] }
    // Before its fields are looked at: it may hold itself.
    this.#messages.set(schema, message)
    if (!isRoot) this.#nested.push(message)
    const required = Array.isArray(schema['required']) ? schema['required'] : []
    const names = new Set<string>()
    for (const [jsonName, part] of Object.entries(schema['properties'] ?? {})) {
      const isRequired = required.includes(jsonName)
      const field = { jsonName, name: unique(snake(jsonName), names), isRequired }
      const { shape, isNullable } = this.#part(part, jsonName)
      const isAbsentTwice =
        isNullable && (!isRequired || shape.kind === 'list' || shape.kind === 'map')
      message.fields.push({
        ...field,
        ...(isAbsentTwice ? plain(JSON_SHAPE) : { shape, isNullable }),
        description: textIn(part, 'description'),
      })
    }
    return message
  }

  /** Null: what it refers to is not here. */
  #resolved(given: unknown): JsonSchema | null {
    let schema = given
    for (let steps = 0; steps < REFERENCES_MAX; steps++) {
      if (typeof schema !== 'object' || schema === null) return null
      const reference = (schema as JsonSchema)['$ref']
      if (typeof reference !== 'string') return schema as JsonSchema
      const [, name] = /^#\/(?:\$defs|definitions)\/(.+)$/.exec(reference) ?? []
      const definitions = (this.#root['$defs'] ?? this.#root['definitions'] ?? {}) as JsonSchema
      schema = reference === '#' ? this.#root : name === undefined ? null : definitions[name]
    }
    return null
  }
}

/** A reference to a reference, and so on: more is a circle. */
const REFERENCES_MAX = 32

function plain(shape: Shape): Part {
  return { shape, isNullable: false }
}

function scalar(type: Scalar): Part {
  return plain({ kind: 'scalar', type })
}

/** What is definite has a message of its own; what takes any property is JSON or a map. */
function isMessage(schema: JsonSchema | null): schema is JsonSchema {
  if (schema === null || schema['type'] !== 'object') return false
  const { properties, patternProperties, additionalProperties } = schema
  const isOpen = additionalProperties !== undefined && additionalProperties !== false
  return properties !== undefined && patternProperties === undefined && !isOpen
}

function typeOfValues(schema: JsonSchema): string | undefined {
  const values = 'const' in schema ? [schema['const']] : schema['enum']
  if (!Array.isArray(values) || values.length === 0) return undefined
  const types = new Set(values.map((value) => typeof value))
  const [type] = types
  return types.size === 1 ? type : undefined
}

function isInt32(schema: JsonSchema): boolean {
  const lower = schema['minimum'] ?? schema['exclusiveMinimum']
  const upper = schema['maximum'] ?? schema['exclusiveMaximum']
  return (
    typeof lower === 'number' &&
    lower >= INT32_MIN &&
    typeof upper === 'number' &&
    upper <= INT32_MAX
  )
}

/** The name of a definition is the name of the message. */
function hintOf(schema: unknown): string | null {
  const reference = textIn(schema, '$ref')
  const [, name] = /^#\/(?:\$defs|definitions)\/(.+)$/.exec(reference) ?? []
  return name === undefined || /^__schema\d+$/.test(name) ? null : name
}

function textIn(schema: unknown, key: string): string {
  if (typeof schema !== 'object' || schema === null) return ''
  const text = (schema as JsonSchema)[key]
  return typeof text === 'string' ? text : ''
}

/** `orderId` and `order-id` are `order_id`. */
function snake(name: string): string {
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/\W+/g, '_')
    .toLowerCase()
  return /^[a-z]/.test(words) ? words : `f_${words}`
}

export function pascal(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const joined = words.map((word) => `${word[0]!.toUpperCase()}${word.slice(1)}`).join('')
  return /^[A-Z]/.test(joined) ? joined : `M${joined}`
}

function unique(name: string, names: Set<string>): string {
  let free = name
  for (let count = 2; names.has(free); count++) free = `${name}_${count}`
  names.add(free)
  return free
}
