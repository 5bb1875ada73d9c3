import path from 'node:path'
import {
  contractDocument,
  type ContractVersion,
  deriveContract,
  diffContracts,
  type FieldNumbers,
  openApiDocument,
  protoText,
} from '../client/contract-tools.ts'
import type { Contract } from '../client/index.ts'
import { writeLocalFile } from '../server/local-file.ts'
import { exportedContracts, lockFileOf, readLock, readVersion } from './contract-source.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'
import { cellText } from './table.ts'

export interface EmitFlags {
  readonly proto?: boolean
  readonly openapi?: boolean
  readonly jsonschema?: boolean
  readonly service?: string
  readonly out?: string
  readonly lock?: string
  readonly check?: boolean
}

export interface DiffFlags {
  readonly json?: boolean
}

/** A file that is written: where, if into a directory. */
interface Emitted {
  readonly name: string
  readonly text: string
}

/** Writes the contracts of a module for others; returns the exit code. */
export async function emit(module: string, flags: EmitFlags): Promise<number> {
  const forms = [flags.proto, flags.openapi, flags.jsonschema].filter((flag) => flag === true)
  if (forms.length !== 1) {
    throw new CommandError(EXIT.USAGE, 'say one of --proto, --openapi and --jsonschema')
  }
  const lockFile = flags.lock ?? lockFileOf(module)
  const known = readLock(lockFile)
  const exported = await exportedContracts(module)
  const contracts = exported
    .filter(({ name }) => flags.service === undefined || flags.service === name)
    .map((contract) => (known === null ? contract : { ...contract, fieldNumbers: known }))
  if (contracts.length === 0) {
    const what = flags.service === undefined ? 'no contract' : `no service ${flags.service}`
    throw new CommandError(EXIT.USAGE, `${module} exports ${cellText(what)}`)
  }
  if (flags.proto === true) return emitProto(contracts, { exported, known, lockFile, flags })
  const name = path.parse(module).name
  const document =
    flags.openapi === true ? openApiDocument(contracts, '1.0.0') : contractDocument(contracts)
  const suffix = flags.openapi === true ? 'openapi' : 'schema'
  write([{ name: `${name}.${suffix}.json`, text: `${JSON.stringify(document, null, 2)}\n` }], flags)
  return EXIT.DONE
}

interface LockParts {
  /** As the module has them. */
  readonly exported: readonly Contract[]
  readonly known: FieldNumbers | null
  readonly lockFile: string
  readonly flags: EmitFlags
}

function emitProto(contracts: readonly Contract[], parts: LockParts): number {
  const { exported, known, lockFile, flags } = parts
  const own = contracts.filter(({ descriptor }) => descriptor === undefined)
  for (const { name, descriptor } of contracts) {
    if (descriptor !== undefined)
      say(`${name} comes from ${descriptor.file.name}.proto: that is its file`)
  }
  if (own.length === 0) return EXIT.DONE
  const derived = own.map((contract) => deriveContract(contract))
  const files = derived.map((each) => ({ name: each.fileName, text: protoText(each) }))
  if (files.length > 1 && flags.out === undefined) {
    const names = own.map(({ name }) => name).join(', ')
    throw new CommandError(EXIT.USAGE, `there are several, say --service or --out: ${names}`)
  }
  const numbers = Object.assign({}, known, ...derived.map((each) => each.numbers)) as FieldNumbers
  const text = `${JSON.stringify(numbers, null, 2)}\n`
  const isNew = known === null || text !== `${JSON.stringify(known, null, 2)}\n`
  if (flags.check === true) {
    if (isNew)
      say(`${lockFile} does not have all numbers: run it without --check, and commit the file`)
    return isNew ? EXIT.FAILED : EXIT.DONE
  }
  if (isNew) writeLocalFile(lockFile, text)
  for (const contract of own) warnOfNumbers(contract, exported, lockFile)
  write(files, flags)
  return EXIT.DONE
}

/** A provider that is not told the numbers counts the fields, and may come to others. */
function warnOfNumbers(
  { name, ...locked }: Contract,
  exported: readonly Contract[],
  lockFile: string,
): void {
  const served = exported.find((contract) => contract.name === name)!
  const [here, there] = [deriveContract({ name, ...locked }), deriveContract(served)]
  const differs = Object.entries(here.numbers).some(([message, { fields }]) =>
    Object.entries(fields).some(
      ([field, { number }]) => there.numbers[message]?.fields[field]?.number !== number,
    ),
  )
  if (differs)
    say(`${name} is served with other numbers: hand ${lockFile} to service() as fieldNumbers`)
}

function write(files: readonly Emitted[], { out }: EmitFlags): void {
  for (const { name, text } of files) {
    if (out === undefined) process.stdout.write(text)
    else {
      const file = path.join(out, name)
      writeLocalFile(file, text)
      say(file)
    }
  }
}

/** The output is the file itself. */
function say(text: string): void {
  process.stderr.write(`${cellText(text)}\n`)
}

/** Says what two versions have otherwise; returns the exit code. */
export async function diff(old: string, latest: string, flags: DiffFlags): Promise<number> {
  const versions: [ContractVersion, ContractVersion] = [
    await readVersion(old),
    await readVersion(latest),
  ]
  const findings = diffContracts(...versions)
  const breaking = findings.filter(({ isBreaking }) => isBreaking)
  if (flags.json === true) printJson(findings)
  else {
    for (const { isBreaking, where, text } of findings) {
      const level = isBreaking ? 'breaking' : 'note    '
      process.stdout.write(`${level}  ${cellText(where)}: ${cellText(text)}\n`)
    }
    const count = `${breaking.length} breaking, ${findings.length - breaking.length} other`
    process.stdout.write(`${findings.length === 0 ? 'no difference' : count}\n`)
  }
  return breaking.length === 0 ? EXIT.DONE : EXIT.FAILED
}
