/**
 * Kafka's message schemas from `spec/kafka`, as the generator and the tests read them.
 *
 * Apache Kafka 4 dropped the oldest versions of some messages; clients that still send them are
 * served, so what the schema of 3.9 has in addition is put back: versions and fields.
 */
import { existsSync, readFileSync } from 'node:fs'

export interface Versions {
  readonly from: number
  /** Infinity for `3+`. */
  readonly to: number
}

export interface Field {
  /** As in our code: `throttleTimeMs`. */
  readonly name: string
  /** `int32`, `string`, the name of a struct, or an element's type when `isArray`. */
  readonly type: string
  readonly isArray: boolean
  readonly isStruct: boolean
  readonly versions: Versions
  readonly nullable: Versions | null
  readonly tag: number | null
  readonly ignorable: boolean
  /** As the schema spells it; absent: the empty value of the type. */
  readonly fallback: string | undefined
  readonly about: string
}

export interface Struct {
  readonly name: string
  /** The versions of the message in which it occurs. */
  readonly valid: Versions
  readonly fields: readonly Field[]
}

export interface Message {
  readonly name: string
  readonly kind: 'request' | 'response' | 'data'
  readonly apiKey: number | null
  readonly valid: Versions
  readonly flexible: Versions | null
  /** Its own first, then those it is made of, each behind one that uses it. */
  readonly structs: readonly Struct[]
}

interface RawField {
  readonly name: string
  readonly type: string
  readonly versions: string
  readonly nullableVersions?: string
  readonly taggedVersions?: string
  readonly tag?: number
  readonly ignorable?: boolean
  readonly default?: string | number | boolean
  readonly about?: string
  readonly fields?: readonly RawField[]
}

interface RawMessage {
  readonly name: string
  readonly type: 'request' | 'response' | 'data'
  readonly apiKey?: number
  readonly validVersions: string
  readonly flexibleVersions?: string
  readonly fields: readonly RawField[]
  readonly commonStructs?: readonly {
    readonly name: string
    readonly fields: readonly RawField[]
  }[]
}

const SPEC = new URL('../spec/kafka/', import.meta.url)

export function readMessage(name: string): Message {
  const current = readRaw(new URL(`messages/${name}.json`, SPEC))
  const legacyFile = new URL(`messages-3.9-legacy/${name}.json`, SPEC)
  const raw = existsSync(legacyFile) ? withLegacy(current, readRaw(legacyFile)) : current
  const valid = readVersions(raw.validVersions)!
  const structs = new Map<string, Struct>()
  collect({ name: raw.name, fields: raw.fields, valid }, raw, structs)
  return {
    name: raw.name,
    kind: raw.type,
    apiKey: raw.apiKey ?? null,
    valid,
    flexible: readVersions(raw.flexibleVersions ?? 'none'),
    structs: [...structs.values()],
  }
}

export interface ErrorSpec {
  readonly code: number
  readonly name: string
  readonly javaRetriable: boolean
}

export function readErrors(): readonly ErrorSpec[] {
  const text = readFileSync(new URL('errors.json', SPEC), 'utf8')
  return (JSON.parse(text) as { readonly errors: readonly ErrorSpec[] }).errors
}

export function includes(versions: Versions | null, version: number): boolean {
  return versions !== null && version >= versions.from && version <= versions.to
}

/** The schemas are JSON with comment lines. */
function readRaw(file: URL): RawMessage {
  return JSON.parse(readFileSync(file, 'utf8').replaceAll(/^\s*\/\/.*$/gm, '')) as RawMessage
}

function withLegacy(current: RawMessage, legacy: RawMessage): RawMessage {
  const from = readVersions(legacy.validVersions)!.from
  const { to } = readVersions(current.validVersions)!
  return {
    ...current,
    validVersions: `${from}-${to}`,
    fields: mergedFields(current.fields, legacy.fields),
  }
}

/** The fields of the current schema, with those only the old one has where they stood. */
function mergedFields(current: readonly RawField[], legacy: readonly RawField[]): RawField[] {
  const merged = [...current]
  let at = 0
  for (const old of legacy) {
    const index = merged.findIndex((field) => field.name === old.name)
    const found = merged[index]
    if (found === undefined) {
      merged.splice(at, 0, old)
      at += 1
      continue
    }
    if (found.fields !== undefined && old.fields !== undefined) {
      merged[index] = { ...found, fields: mergedFields(found.fields, old.fields) }
    }
    at = index + 1
  }
  return merged
}

/** `3`, `3-5`, `3+` or `none`. */
function readVersions(text: string): Versions | null {
  if (text === 'none') return null
  const [, from = '', rest = '', to = ''] = /^(\d+)(\+|-(\d+))?$/.exec(text) ?? []
  if (from === '') throw new Error(`versions '${text}' are none that are known`)
  return { from: Number(from), to: rest === '+' ? Infinity : Number(to === '' ? from : to) }
}

interface RawStruct {
  readonly name: string
  readonly fields: readonly RawField[]
  readonly valid: Versions
}

function collect(struct: RawStruct, message: RawMessage, into: Map<string, Struct>): void {
  const { name, fields } = struct
  const before = into.get(name)
  const valid = before === undefined ? struct.valid : union(before.valid, struct.valid)
  into.set(name, { name, valid, fields: fields.map(toField) })
  for (const field of fields) {
    const type = field.type.replace('[]', '')
    if (!isStructName(type)) continue
    const inner = field.fields ?? message.commonStructs?.find((one) => one.name === type)?.fields
    if (inner === undefined) throw new Error(`${message.name} has no struct ${type}`)
    const versions = readVersions(field.versions)
    const shared = versions === null ? null : intersection(versions, valid)
    if (shared !== null) collect({ name: type, fields: inner, valid: shared }, message, into)
  }
}

function union(a: Versions, b: Versions): Versions {
  return { from: Math.min(a.from, b.from), to: Math.max(a.to, b.to) }
}

function intersection(a: Versions, b: Versions): Versions | null {
  const both = { from: Math.max(a.from, b.from), to: Math.min(a.to, b.to) }
  return both.from > both.to ? null : both
}

function isStructName(type: string): boolean {
  return /^[A-Z]/.test(type)
}

function toField(raw: RawField): Field {
  const type = raw.type.replace('[]', '')
  const tagged = readVersions(raw.taggedVersions ?? 'none')
  const versions = readVersions(raw.versions)
  if (versions === null) throw new Error(`field ${raw.name} is in no version`)
  if (tagged !== null && (tagged.from !== versions.from || raw.tag === undefined)) {
    throw new Error(`field ${raw.name} is tagged in some of its versions only`)
  }
  return {
    name: raw.name.charAt(0).toLowerCase() + raw.name.slice(1),
    type,
    isArray: raw.type !== type,
    isStruct: isStructName(type),
    versions,
    nullable: readVersions(raw.nullableVersions ?? 'none'),
    tag: tagged === null ? null : raw.tag!,
    ignorable: raw.ignorable === true,
    fallback: raw.default === undefined ? undefined : String(raw.default),
    about: raw.about ?? '',
  }
}
