import path from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  type ContractDocument,
  contractsOfDescriptors,
  type ContractVersion,
  documentVersion,
  type FieldNumbers,
  isContract,
  isServiceDescriptor,
  versionOf,
} from '../client/contract-tools.ts'
import { type Contract, service } from '../client/index.ts'
import { readLocalFile } from '../server/local-file.ts'
import { cellText } from './table.ts'
import { CommandError, EXIT } from './exit-code.ts'

const DESCRIPTOR_SETS: readonly string[] = ['.binpb', '.pb', '.protoset', '.desc']

/** The services that a module exports: contracts, and what protobuf-es generates of services. */
export async function exportedContracts(module: string): Promise<Contract[]> {
  const values = Object.values(await loaded(module))
  const contracts = values.filter((value) => isContract(value))
  const names = new Set(contracts.map(({ name }) => name))
  const described = values
    .filter((value) => isServiceDescriptor(value))
    .filter(({ typeName }) => !names.has(typeName))
  return [...contracts, ...described.map((descriptor) => service(descriptor))]
}

/** One side of a comparison. */
export async function readVersion(file: string): Promise<ContractVersion> {
  const extension = path.extname(file)
  if (extension === '.json') return documentOf(file)
  if (DESCRIPTOR_SETS.includes(extension)) {
    const contracts = contractsOfDescriptors(bytesOf(file))
    if (contracts !== null) return versionOf(contracts)
    throw new CommandError(EXIT.USAGE, `${file} is no set of descriptors`)
  }
  const known = readLock(lockFileOf(file))
  const contracts = await exportedContracts(file)
  if (contracts.length === 0) throw new CommandError(EXIT.USAGE, `${file} exports no contract`)
  return versionOf(
    contracts.map((contract) => (known === null ? contract : { ...contract, fieldNumbers: known })),
  )
}

/** `orders.lock.json` beside `orders.ts`. */
export function lockFileOf(module: string): string {
  const { dir, name } = path.parse(module)
  return path.join(dir, `${name}.lock.json`)
}

/** Null: there is none yet. */
export function readLock(file: string): FieldNumbers | null {
  let text: string
  try {
    text = readLocalFile(file).toString('utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new CommandError(EXIT.USAGE, (error as Error).message, { cause: error })
  }
  const numbers = jsonOf(text, file) as FieldNumbers
  const isLock =
    typeof numbers === 'object' &&
    numbers !== null &&
    Object.values(numbers).every((each) => typeof each?.fields === 'object')
  if (!isLock) throw new CommandError(EXIT.USAGE, `${file} has no field numbers`)
  return numbers
}

async function loaded(module: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(path.resolve(module)).href)) as Record<string, unknown>
  } catch (cause) {
    const text = `${module} cannot be loaded: ${(cause as Error).message}`
    throw new CommandError(EXIT.USAGE, cellText(text), { cause })
  }
}

function documentOf(file: string): ContractVersion {
  const document = jsonOf(bytesOf(file).toString('utf8'), file) as ContractDocument | null
  if (typeof document?.services !== 'object' || typeof document.fieldNumbers !== 'object') {
    const text = `${file} is not what 'waystation contract emit --jsonschema' writes`
    throw new CommandError(EXIT.USAGE, text)
  }
  return documentVersion(document)
}

function bytesOf(file: string): Buffer {
  try {
    return readLocalFile(file)
  } catch (cause) {
    throw new CommandError(EXIT.USAGE, (cause as Error).message, { cause })
  }
}

function jsonOf(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CommandError(EXIT.USAGE, `${file} is no JSON: ${(cause as Error).message}`, { cause })
  }
}
