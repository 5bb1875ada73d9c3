import { createFileRegistry, type DescService, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { type Contract, service } from '../contract.ts'
import { type ContractDescription, describeContracts } from '../description.ts'
import type { ContractDocument } from '../json-document.ts'
import type { JsonSchema } from '../json-schema.ts'
import { deriveContract } from '../proto/derived-contract.ts'
import type { FieldNumbers } from '../proto/field-numbers.ts'

/** One version of one or more contracts. */
export interface ContractVersion {
  readonly services: ContractDescription
  /** Where references of schemas point; each schema is a document of its own where it is null. */
  readonly root: JsonSchema | null
  readonly fieldNumbers: FieldNumbers
  /** Of services out of `.proto` files. */
  readonly descriptors: ReadonlyMap<string, DescService>
}

export function versionOf(contracts: readonly Contract[]): ContractVersion {
  const descriptors = new Map<string, DescService>()
  const numbers: FieldNumbers[] = []
  for (const contract of contracts) {
    if (contract.descriptor === undefined) numbers.push(deriveContract(contract).numbers)
    else descriptors.set(contract.name, contract.descriptor)
  }
  return {
    ...{ services: describeContracts(contracts), root: null, descriptors },
    fieldNumbers: Object.assign({}, ...numbers) as FieldNumbers,
  }
}

export function documentVersion(document: ContractDocument): ContractVersion {
  const { services, fieldNumbers } = document
  const root = document as unknown as JsonSchema
  return { services, root, fieldNumbers, descriptors: new Map() }
}

/** Every service in a FileDescriptorSet; null: it is none. */
export function contractsOfDescriptors(bytes: Uint8Array): Contract[] | null {
  try {
    const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes))
    const services = [...registry.files].flatMap((file) => file.services)
    return services.map((descriptor) => service(descriptor))
  } catch {
    // A file that somebody names: what cannot be read is none.
    return null
  }
}

/** Whatever copy of the package has made it. */
export function isContract(value: unknown): value is Contract {
  if (typeof value !== 'object' || value === null) return false
  const { name, methods } = value as Partial<Contract>
  if (typeof name !== 'string' || typeof methods !== 'object' || methods === null) return false
  return Object.values(methods).every((method) => 'kind' in method && 'in' in method)
}

/** What protobuf-es generates of a service. */
export function isServiceDescriptor(value: unknown): value is DescService {
  if (typeof value !== 'object' || value === null) return false
  const { kind, typeName } = value as Partial<DescService>
  return kind === 'service' && typeof typeName === 'string'
}
