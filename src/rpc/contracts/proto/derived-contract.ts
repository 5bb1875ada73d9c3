import { EmptySchema, ValueSchema } from '@bufbuild/protobuf/wkt'
import type { DescFile } from '@bufbuild/protobuf'
import type { AnyMethod, Contract } from '../contract.ts'
import { jsonSchemaOf } from '../json-schema.ts'
import { isDescriptor, type MessageType } from '../schema.ts'
import { type FieldNumbers, type MessageNumbers, numbered } from './field-numbers.ts'
import {
  ANY_ROOT,
  type ItemShape,
  pascal,
  type RootShape,
  rootShape,
  type Shape,
  type ShapeField,
  type ShapeMessage,
} from './shape.ts'

/** What a message of a method is in protobuf. */
export interface DerivedType {
  /** Full name, such as `shop.v1.OrdersPlaceRequest`. */
  readonly typeName: string
  /** Null: it is a message of a `.proto` file as it is. */
  readonly root: RootShape | null
}

export interface DerivedField extends ShapeField {
  readonly number: number
}

export interface DerivedMessage {
  readonly shape: ShapeMessage
  readonly fields: readonly DerivedField[]
  readonly reserved: Readonly<Record<string, string>>
  readonly nested: readonly DerivedMessage[]
}

export interface DerivedMethod {
  /** As calls name it. */
  readonly name: string
  readonly method: AnyMethod
  readonly input: DerivedType
  readonly output: DerivedType
}

/** A contract as a `.proto` file would have it. */
export interface DerivedContract {
  /** Such as `shop/v1/orders.proto`. */
  readonly fileName: string
  readonly package: string
  readonly serviceName: string
  readonly methods: ReadonlyMap<string, DerivedMethod>
  readonly messages: readonly DerivedMessage[]
  readonly imports: ReadonlySet<DescFile>
  /** With what is new. */
  readonly numbers: FieldNumbers
}

/** Schemas become messages by their JSON Schema; one that has none is a `google.protobuf.Value`. */
export function deriveContract(contract: Contract): DerivedContract {
  return new Derivation(contract).result
}

/** What a field is in the text of a file, without `optional`; messages by their full names. */
export function typeText(shape: Shape, scope: string): string {
  if (shape.kind === 'list') return `repeated ${itemText(shape.of, scope)}`
  if (shape.kind === 'map') return `map<string, ${itemText(shape.of, scope)}>`
  return itemText(shape, scope)
}

function itemText(shape: ItemShape, scope: string): string {
  if (shape.kind === 'scalar') return shape.type
  return shape.kind === 'json' ? ValueSchema.typeName : fullName(scope, shape.message.name)
}

export function fullName(scope: string, name: string): string {
  return scope === '' ? name : `${scope}.${name}`
}

class Derivation {
  readonly #package: string
  readonly #service: string
  readonly #known: FieldNumbers
  readonly #numbers: Record<string, MessageNumbers> = {}
  readonly #messages: DerivedMessage[] = []
  readonly #imports = new Set<DescFile>()
  readonly #names = new Set<string>()
  readonly result: DerivedContract

  constructor({ name, methods, fieldNumbers = {} }: Contract) {
    const dot = name.lastIndexOf('.')
    this.#package = dot < 0 ? '' : name.slice(0, dot)
    this.#service = name.slice(dot + 1)
    this.#known = fieldNumbers
    const derived = Object.entries(methods).map(
      ([key, method]) => [key, this.#method(method.wireName ?? key, method)] as const,
    )
    const stem = name.replaceAll('.', '/').toLowerCase()
    const isTaken = [...this.#imports].some(({ proto }) => proto.name === `${stem}.proto`)
    this.result = {
      fileName: `${stem}${isTaken ? '.contract' : ''}.proto`,
      ...{ package: this.#package, serviceName: this.#service, methods: new Map(derived) },
      ...{ messages: this.#messages, imports: this.#imports, numbers: this.#numbers },
    }
  }

  #method(name: string, method: AnyMethod): DerivedMethod {
    const { kind, in: input, out } = method
    const stem = `${this.#service}${pascal(name)}`
    const taken = this.#type(input, `${stem}Request`)
    const output =
      kind === 'oneway' ? this.#described(EmptySchema) : this.#type(out, `${stem}Response`)
    return { name, method, input: taken, output }
  }

  #type(type: MessageType, wanted: string): DerivedType {
    if (isDescriptor(type)) return this.#described(type)
    // As it is written, before defaults are filled in, whichever way it goes.
    const schema = jsonSchemaOf(type, 'in')
    let name = wanted
    for (let count = 2; this.#names.has(name); count++) name = `${wanted}${count}`
    const root = schema === null ? ANY_ROOT : rootShape(schema, name)
    if (root.message === null) return { ...this.#described(ValueSchema), root }
    this.#names.add(name)
    const nested = root.nested.map((message) => this.#numbered(message, []))
    this.#messages.push(this.#numbered(root.message, nested))
    const usesValue = [root.message, ...root.nested].some(({ fields }) =>
      fields.some(({ shape }) => holdsJson(shape)),
    )
    if (usesValue) this.#imports.add(ValueSchema.file)
    return { typeName: fullName(this.#package, name), root }
  }

  #described(type: Pick<typeof ValueSchema, 'file'> & { readonly typeName: string }): DerivedType {
    this.#imports.add(type.file)
    return { typeName: type.typeName, root: null }
  }

  #numbered(message: ShapeMessage, nested: readonly DerivedMessage[]): DerivedMessage {
    const key = fullName(this.#package, message.name)
    const types = new Map(
      message.fields.map(({ jsonName, shape }) => [jsonName, typeText(shape, this.#package)]),
    )
    const numbers = numbered(message, types, this.#known[key])
    this.#numbers[key] = numbers
    const fields = message.fields.map((field) => ({
      ...field,
      number: numbers.fields[field.jsonName]!.number,
    }))
    return { shape: message, fields, reserved: numbers.reserved ?? {}, nested }
  }
}

function holdsJson(shape: Shape): boolean {
  return shape.kind === 'json' || ('of' in shape && shape.of.kind === 'json')
}
