import { CONTRACT_LENGTH_MAX } from '../limits.ts'
import type { AnyMethod, Contract, Idempotency, MethodKind } from './contract.ts'
import { type JsonSchema, jsonSchemaOf } from './json-schema.ts'

/** What is said of one method to those who look at a service; `null` schema: nothing is. */
export interface MethodDescription {
  readonly kind: MethodKind
  readonly idempotency: Idempotency
  readonly deadlineMs: number | null
  readonly in: JsonSchema | null
  readonly out: JsonSchema | null
  readonly errors: Readonly<Record<string, JsonSchema | null>>
}

/** Services and their methods, by name. */
export type ContractDescription = Readonly<
  Record<string, Readonly<Record<string, MethodDescription>>>
>

/** As a provider hands it to the broker; without schemas, or empty, where it would be too long. */
export function contractText(...contracts: readonly Contract[]): string {
  const text = JSON.stringify(describeContracts(contracts))
  if (text.length <= CONTRACT_LENGTH_MAX) return text
  const bare = JSON.stringify(
    describe(contracts, (method) => ({ ...methodFacts(method), in: null, out: null, errors: {} })),
  )
  return bare.length <= CONTRACT_LENGTH_MAX ? bare : ''
}

/** All that can be said, however long. */
export function describeContracts(contracts: readonly Contract[]): ContractDescription {
  return describe(contracts, describeMethod)
}

function describe(
  contracts: readonly Contract[],
  of: (method: AnyMethod) => MethodDescription,
): ContractDescription {
  const services = contracts.map(({ name, methods }) => {
    const described = Object.entries(methods).map(
      ([key, method]) => [method.wireName ?? key, of(method)] as const,
    )
    return [name, Object.fromEntries(described)] as const
  })
  return Object.fromEntries(services)
}

function describeMethod(method: AnyMethod): MethodDescription {
  const errors = Object.entries(method.errors).map(
    ([name, schema]) => [name, jsonSchemaOf(schema, 'out')] as const,
  )
  return {
    ...methodFacts(method),
    in: jsonSchemaOf(method.in, 'in'),
    out: method.kind === 'oneway' ? null : jsonSchemaOf(method.out, 'out'),
    errors: Object.fromEntries(errors),
  }
}

function methodFacts({
  kind,
  idempotency,
  deadlineMs,
}: AnyMethod): Pick<MethodDescription, 'kind' | 'idempotency' | 'deadlineMs'> {
  return { kind, idempotency, deadlineMs }
}
