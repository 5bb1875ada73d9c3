import { decodeFields, encodeFields, type ProtobufField, textOf } from '../../codec/grpc/index.ts'
import { DESCRIPTOR_FILES_MAX, DESCRIPTOR_SYMBOLS_MAX } from '../limits.ts'

/** What a name stands for, as far as others lie within it. */
interface Definition {
  readonly kind: 'message' | 'service' | 'other'
  readonly bytes: Uint8Array
}

/** An extension at the top of a file. */
export interface DescribedExtension {
  /** Full name of the message it extends. */
  readonly extends: string
  readonly number: number
}

/** A file of a FileDescriptorSet, read no further than it takes to find what it defines. */
export interface DescribedFile {
  readonly name: string
  /** A FileDescriptorProto. */
  readonly bytes: Uint8Array
  readonly dependencies: readonly string[]
  /** By full name, what stands at the top of the file. */
  readonly symbols: ReadonlyMap<string, Definition>
  readonly extensions: readonly DescribedExtension[]
}

/** Field numbers of descriptor.proto. */
const SET = { FILE: 1 } as const
const FILE = { NAME: 1, PACKAGE: 2, DEPENDENCY: 3, MESSAGE: 4, ENUM: 5, SERVICE: 6, EXTENSION: 7 }
const NAME = 1
const ENUM_VALUE = 2
const EXTENSION = { EXTENDEE: 2, NUMBER: 3 } as const
/** Of a message: fields, messages, enums, extensions and choices bear names within its own. */
const MESSAGE_PARTS: readonly number[] = [2, 3, 4, 6, 8]
const NESTED_MESSAGE = 3
/** Of a service: its methods. */
const SERVICE_PARTS: readonly number[] = [2]

/** Null: it is none, or has more than the limits allow. */
export function readDescriptorSet(bytes: Uint8Array): DescribedFile[] | null {
  const parts = decodeFields(bytes)
  if (parts === null || parts.length === 0 || parts.length > DESCRIPTOR_FILES_MAX) return null
  const files: DescribedFile[] = []
  const names = new Set<string>()
  let symbolCount = 0
  for (const [number, value] of parts) {
    if (number !== SET.FILE || !(value instanceof Uint8Array)) return null
    const file = readFile(value)
    if (file === null || names.has(file.name)) return null
    symbolCount += file.symbols.size
    if (symbolCount > DESCRIPTOR_SYMBOLS_MAX) return null
    names.add(file.name)
    files.push(file)
  }
  return files
}

/** The same file under other names: of itself and of the files that it imports. */
export function renamedFile(
  file: DescribedFile,
  nameOf: (name: string) => string,
): Pick<DescribedFile, 'name' | 'bytes' | 'dependencies'> {
  const fields = (decodeFields(file.bytes) ?? []).map(([number, value]): ProtobufField => {
    const isName = number === FILE.NAME || number === FILE.DEPENDENCY
    if (!isName || !(value instanceof Uint8Array)) return [number, value]
    return [number, nameOf(Buffer.from(value).toString('utf8'))]
  })
  return {
    name: nameOf(file.name),
    bytes: encodeFields(fields),
    dependencies: file.dependencies.map(nameOf),
  }
}

/** Whether a file defines a name, at its top or within what is defined there. */
export function defines({ symbols }: DescribedFile, name: string): boolean {
  let end = name.length
  for (; end > 0; end = name.lastIndexOf('.', end - 1)) {
    const definition = symbols.get(name.slice(0, end))
    if (definition === undefined) continue
    const path = end === name.length ? [] : name.slice(end + 1).split('.')
    return holds(definition, path)
  }
  return false
}

function holds({ kind, bytes }: Definition, path: readonly string[]): boolean {
  const [first, ...rest] = path
  if (first === undefined) return true
  if (kind === 'other') return false
  const wanted = kind === 'message' ? MESSAGE_PARTS : SERVICE_PARTS
  return (decodeFields(bytes) ?? []).some(([number, value]) => {
    if (!wanted.includes(number) || !(value instanceof Uint8Array)) return false
    if (nameIn(value) !== first) return false
    const isMessage = kind === 'message' && number === NESTED_MESSAGE
    return holds({ kind: isMessage ? 'message' : 'other', bytes: value }, rest)
  })
}

function readFile(bytes: Uint8Array): DescribedFile | null {
  const fields = decodeFields(bytes)
  if (fields === null) return null
  const name = textOf(fields, FILE.NAME)
  if (name === '') return null
  const scope = textOf(fields, FILE.PACKAGE)
  const prefix = scope === '' ? '' : `${scope}.`
  const dependencies: string[] = []
  const symbols = new Map<string, Definition>()
  const extensions: DescribedExtension[] = []
  const add = (kind: Definition['kind'], part: Uint8Array): void => {
    symbols.set(`${prefix}${nameIn(part)}`, { kind, bytes: part })
  }
  for (const [number, value] of fields) {
    if (!(value instanceof Uint8Array)) continue
    if (number === FILE.DEPENDENCY) dependencies.push(Buffer.from(value).toString('utf8'))
    else if (number === FILE.MESSAGE) add('message', value)
    else if (number === FILE.SERVICE) add('service', value)
    else if (number === FILE.ENUM) {
      add('other', value)
      // Names of values lie beside the name of their enum.
      for (const part of partsOf(value, ENUM_VALUE)) add('other', part)
    } else if (number === FILE.EXTENSION) {
      add('other', value)
      const extension = extensionOf(value)
      if (extension !== null) extensions.push(extension)
    }
  }
  return { name, bytes, dependencies, symbols, extensions }
}

function extensionOf(bytes: Uint8Array): DescribedExtension | null {
  const fields = decodeFields(bytes) ?? []
  const number = fields.findLast(([known]) => known === EXTENSION.NUMBER)?.[1]
  if (typeof number !== 'number') return null
  return { extends: textOf(fields, EXTENSION.EXTENDEE).replace(/^\./, ''), number }
}

function partsOf(bytes: Uint8Array, number: number): Uint8Array[] {
  const fields = decodeFields(bytes) ?? []
  return fields.flatMap(([known, value]) =>
    known === number && value instanceof Uint8Array ? [value] : [],
  )
}

/** All that bears a name has it in its first field; of a value with a negative number no more is read. */
function nameIn(bytes: Uint8Array): string {
  const length = bytes[1] ?? 0
  if (bytes[0] === NAME * 8 + 2 && length < 0x80) {
    return Buffer.from(bytes.subarray(2, 2 + length)).toString('utf8')
  }
  return textOf(decodeFields(bytes) ?? [], NAME)
}
