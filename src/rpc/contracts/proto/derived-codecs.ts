import {
  createFileRegistry,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf'
import type { DescFile } from '@bufbuild/protobuf'
import { ValueSchema } from '@bufbuild/protobuf/wkt'
import type { Contract } from '../contract.ts'
import type { ProtobufForm } from '../message-codec.ts'
import { type DerivedContract, deriveContract } from './derived-contract.ts'
import { protoFile } from './proto-file.ts'
import type { RootShape, Shape, ShapeMessage } from './shape.ts'

/** The messages of a contract's schemas as protobuf; made when the first is asked for. */
export class DerivedCodecs {
  readonly #contract: Contract
  #made: { readonly derived: DerivedContract; readonly registry: FileRegistry } | null = null

  constructor(contract: Contract) {
    this.#contract = contract
  }

  /** Null: it is no schema's. */
  of(method: string, side: 'input' | 'output'): ProtobufForm | null {
    this.#made ??= made(this.#contract)
    const { derived, registry } = this.#made
    const { typeName, root } = derived.methods.get(method)![side]
    if (root === null) return null
    return new DerivedForm(registry.getMessage(typeName) ?? ValueSchema, root)
  }
}

function made(contract: Contract): { derived: DerivedContract; registry: FileRegistry } {
  const derived = deriveContract(contract)
  const known = new Map<string, DescFile>()
  for (const file of derived.imports) addFile(file, known)
  const registry = createFileRegistry(protoFile(derived), (name) => known.get(name))
  return { derived, registry }
}

function addFile(file: DescFile, known: Map<string, DescFile>): void {
  if (known.has(file.proto.name)) return
  known.set(file.proto.name, file)
  for (const dependency of file.dependencies) addFile(dependency, known)
}

/**
 * By way of protobuf's own JSON mapping, which says nearly what the schema's JSON says: the rest,
 * integers of 64 bits and what is null or not there, is put right from the shape.
 */
class DerivedForm implements ProtobufForm {
  readonly #type: DescMessage
  readonly #root: RootShape

  constructor(type: DescMessage, root: RootShape) {
    this.#type = type
    this.#root = root
  }

  toBinary(value: unknown): Uint8Array {
    const { message, isWrapped } = this.#root
    const whole = isWrapped ? { value } : value
    // What JSON makes of it, as on the other wire: dates are texts, and what is undefined is not there.
    const json = JSON.parse(JSON.stringify(whole) ?? 'null') as JsonValue
    const told = message === null ? json : withoutNulls(json, message)
    return toBinary(this.#type, fromJson(this.#type, told, { ignoreUnknownFields: true }))
  }

  fromBinary(bytes: Uint8Array): unknown {
    const { message, isWrapped } = this.#root
    // A copy: what comes is borrowed.
    const read = fromBinary(this.#type, new Uint8Array(bytes))
    const json = toJson(this.#type, read, { alwaysEmitImplicit: true })
    if (message === null) return json
    const value = restoredMessage(json, message)
    return isWrapped ? value['value'] : value
  }
}

/** Null is said by a field's not being there, except in what is JSON anyway. */
function withoutNulls(json: JsonValue, { fields }: ShapeMessage): JsonValue {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json
  const kept: Record<string, JsonValue> = {}
  for (const { jsonName, shape } of fields) {
    const value = json[jsonName]
    if (value === undefined || (value === null && shape.kind !== 'json')) continue
    kept[jsonName] = eachMessage(value, shape, withoutNulls)
  }
  return kept
}

function restoredMessage(json: unknown, { fields }: ShapeMessage): Record<string, unknown> {
  const told = json as Record<string, JsonValue>
  const value: Record<string, unknown> = {}
  for (const { jsonName, shape, isRequired, isNullable } of fields) {
    const field = told[jsonName]
    if (field === undefined) {
      if (isRequired && isNullable) value[jsonName] = null
    } else if (isRequired || !isEmpty(field, shape)) value[jsonName] = restored(field, shape)
  }
  return value
}

function restored(json: JsonValue, shape: Shape): unknown {
  switch (shape.kind) {
    case 'json':
      return json
    case 'scalar':
      // 64 bits are a text in protobuf's JSON, and so are NaN and Infinity.
      return shape.type === 'string' || typeof json !== 'string' ? json : Number(json)
    case 'message':
      return restoredMessage(json, shape.message)
    case 'list':
      return (json as JsonValue[]).map((item) => restored(item, shape.of))
    case 'map': {
      const entries = Object.entries(json as Record<string, JsonValue>)
      return Object.fromEntries(entries.map(([key, item]) => [key, restored(item, shape.of)]))
    }
  }
}

function eachMessage(
  json: JsonValue,
  shape: Shape,
  change: (json: JsonValue, message: ShapeMessage) => JsonValue,
): JsonValue {
  if (shape.kind === 'message') return change(json, shape.message)
  if (shape.kind === 'list' && Array.isArray(json)) {
    return json.map((item) => eachMessage(item, shape.of, change))
  }
  if (shape.kind === 'map' && typeof json === 'object' && json !== null && !Array.isArray(json)) {
    const entries = Object.entries(json)
    return Object.fromEntries(
      entries.map(([key, item]) => [key, eachMessage(item, shape.of, change)]),
    )
  }
  return json
}

/** Protobuf does not tell a list without items from none. */
function isEmpty(json: JsonValue, shape: Shape): boolean {
  if (shape.kind === 'list') return (json as JsonValue[]).length === 0
  return shape.kind === 'map' && Object.keys(json as object).length === 0
}
