import type { Contract } from './contract.ts'
import {
  type ContractDescription,
  describeContracts,
  type MethodDescription,
} from './description.ts'
import type { JsonSchema } from './json-schema.ts'
import { pascal } from './proto/shape.ts'
import { deriveContract } from './proto/derived-contract.ts'
import type { FieldNumbers } from './proto/field-numbers.ts'

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

/** Contracts as one JSON document: a schema for each message, and the methods that use them. */
export interface ContractDocument {
  readonly $schema: string
  readonly $defs: Readonly<Record<string, JsonSchema>>
  readonly services: ContractDescription
  /** Numbers of the fields of schemas in protobuf. */
  readonly fieldNumbers: FieldNumbers
}

export function contractDocument(contracts: readonly Contract[]): ContractDocument {
  const pool = new SchemaPool('#/$defs/')
  const services = pooled(contracts, pool)
  const numbers = contracts
    .filter(({ descriptor }) => descriptor === undefined)
    .map((contract) => deriveContract(contract).numbers)
  return {
    $schema: DIALECT,
    $defs: pool.schemas,
    services,
    fieldNumbers: Object.assign({}, ...numbers) as FieldNumbers,
  }
}

/** The methods of contracts, with their messages in the pool and named by reference. */
export function pooled(contracts: readonly Contract[], pool: SchemaPool): ContractDescription {
  const described = describeContracts(contracts)
  const services = Object.entries(described).map(([service, methods]) => {
    const referring = Object.entries(methods).map(([name, method]) => {
      const stem = `${service}${pascal(name)}`
      return [name, referringMethod(method, { service, stem, pool })] as const
    })
    return [service, Object.fromEntries(referring)] as const
  })
  return Object.fromEntries(services)
}

function referringMethod(
  method: MethodDescription,
  {
    service,
    stem,
    pool,
  }: { readonly service: string; readonly stem: string; readonly pool: SchemaPool },
): MethodDescription {
  const errors = Object.entries(method.errors).map(
    ([name, schema]) => [name, pool.add(`${service}.${name}`, schema)] as const,
  )
  return {
    ...method,
    in: pool.add(`${stem}Request`, method.in),
    out: pool.add(`${stem}Response`, method.out),
    errors: Object.fromEntries(errors),
  }
}

/** Schemas of one document by their names: what each defines within itself lies beside it here. */
export class SchemaPool {
  readonly schemas: Record<string, JsonSchema> = {}
  readonly #base: string

  /** `base` is where they stand in the document, such as `#/$defs/`. */
  constructor(base: string) {
    this.#base = base
  }

  /** Returns a reference to it; null: nothing is said of the message. */
  add(name: string, schema: JsonSchema | null): JsonSchema | null {
    if (schema === null) return null
    const { $defs = {}, ...root } = schema as JsonSchema & { $defs?: Record<string, JsonSchema> }
    const moved = new Map<string, string>()
    // Definitions of messages of protobuf have full names, and are the same wherever they are.
    for (const key of Object.keys($defs)) moved.set(key, key.includes('.') ? key : `${name}.${key}`)
    const isReference = Object.keys(root).length === 1 && typeof root['$ref'] === 'string'
    const target = (reference: string): string => {
      if (reference === '#') return `${this.#base}${pointer(name)}`
      const key = unpointer(reference.replace(/^#\/\$defs\//, ''))
      return `${this.#base}${pointer(moved.get(key) ?? key)}`
    }
    for (const [key, definition] of Object.entries($defs)) {
      this.schemas[moved.get(key)!] = referring(definition, target)
    }
    // A message that is one of its own definitions needs no second name.
    if (isReference && root['$ref'] !== '#') return { $ref: target(root['$ref'] as string) }
    this.schemas[name] = referring(root, target)
    return { $ref: `${this.#base}${pointer(name)}` }
  }
}

function referring(schema: JsonSchema, target: (reference: string) => string): JsonSchema {
  const change = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(change)
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value).map(([key, part]) => {
      return [
        key,
        key === '$ref' && typeof part === 'string' ? target(part) : change(part),
      ] as const
    })
    return Object.fromEntries(entries)
  }
  return change(schema) as JsonSchema
}

function pointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

function unpointer(name: string): string {
  return name.replaceAll('~1', '/').replaceAll('~0', '~')
}
