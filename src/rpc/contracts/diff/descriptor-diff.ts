import type { DescEnum, DescField, DescMessage, DescMethod, DescService } from '@bufbuild/protobuf'
import { ScalarType } from '@bufbuild/protobuf'
import type { Findings } from './finding.ts'

/** What of two services out of `.proto` files is different, in the binary form and in JSON. */
export function diffDescriptors(old: DescService, latest: DescService, findings: Findings): void {
  const diff = new DescriptorDiff(findings)
  for (const method of old.methods) {
    const same = latest.methods.find(({ name }) => name === method.name)
    if (same !== undefined) diff.methods(method, same)
  }
}

class DescriptorDiff {
  readonly #findings: Findings
  readonly #seen = new Set<string>()

  constructor(findings: Findings) {
    this.#findings = findings
  }

  methods(old: DescMethod, latest: DescMethod): void {
    const within = this.#findings.at(`${old.parent.typeName}/${old.name} `)
    for (const side of ['input', 'output'] as const) {
      const [before, after] = [old[side], latest[side]]
      if (before.typeName !== after.typeName) {
        within.breaking(`${side} was ${before.typeName} and is ${after.typeName}`)
      }
      this.messages(before, after)
    }
  }

  messages(old: DescMessage, latest: DescMessage): void {
    const key = `${old.typeName} ${latest.typeName}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const within = this.#findings.at(old.typeName)
    for (const field of old.fields) {
      const same = latest.fields.find(({ number }) => number === field.number)
      const place = within.at(`.${field.name}`)
      if (same === undefined) removedField(field, latest, place)
      else this.#fields(field, same, place)
    }
    for (const field of latest.fields) {
      if (old.fields.some(({ number }) => number === field.number)) continue
      if (reserves(old.proto.reservedRange, field.number)) {
        within.at(`.${field.name}`).breaking(`number ${field.number} was reserved`)
      } else within.at(`.${field.name}`).note('is new')
    }
  }

  #fields(old: DescField, latest: DescField, place: Findings): void {
    if (old.name !== latest.name || old.jsonName !== latest.jsonName) {
      place.breaking(
        `number ${old.number} is called ${latest.name} now, and callers in JSON use names`,
      )
    }
    const [before, after] = [typeOf(old), typeOf(latest)]
    if (before !== after) place.breaking(`was ${before} and is ${after}`)
    if (old.oneof?.name !== latest.oneof?.name) {
      const nameOf = (field: DescField): string => field.oneof?.name ?? 'none'
      place.breaking(`was of the choice ${nameOf(old)} and is of ${nameOf(latest)}`)
    }
    if (old.message !== undefined && latest.message !== undefined) {
      this.messages(old.message, latest.message)
    }
    if (old.enum !== undefined && latest.enum !== undefined) this.#enums(old.enum, latest.enum)
  }

  #enums(old: DescEnum, latest: DescEnum): void {
    const key = `${old.typeName} ${latest.typeName}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const within = this.#findings.at(old.typeName)
    for (const { name, number } of old.values) {
      const same = latest.values.filter((value) => value.number === number)
      const place = within.at(`.${name}`)
      if (same.length === 0) {
        if (reserves(inclusive(latest.proto.reservedRange), number))
          place.note('is gone, and its number reserved')
        else place.breaking(`is gone, and its number ${number} not reserved`)
      } else if (same.every((value) => value.name !== name)) {
        place.breaking(`number ${number} is called ${same[0]!.name} now`)
      }
    }
    for (const { name, number } of latest.values) {
      if (old.values.every((value) => value.number !== number)) within.at(`.${name}`).note('is new')
    }
  }
}

function removedField(field: DescField, { proto }: DescMessage, place: Findings): void {
  const isReserved =
    reserves(proto.reservedRange, field.number) && proto.reservedName.includes(field.name)
  if (isReserved) place.note('is gone, and its name and number reserved')
  else place.breaking(`is gone, and its name and number ${field.number} are not both reserved`)
}

interface NumberRange {
  readonly start: number
  /** Not of it. */
  readonly end: number
}

function reserves(ranges: readonly NumberRange[], number: number): boolean {
  return ranges.some(({ start, end }) => number >= start && number < end)
}

/** Ranges of enums have their end within. */
function inclusive(ranges: readonly NumberRange[]): NumberRange[] {
  return ranges.map(({ start, end }) => ({ start, end: end + 1 }))
}

/** With whether there are several. */
function typeOf(field: DescField): string {
  switch (field.fieldKind) {
    case 'list':
      return `repeated ${valueType(field)}`
    case 'map':
      return `map<${ScalarType[field.mapKey].toLowerCase()}, ${valueType(field)}>`
    default:
      return valueType(field)
  }
}

function valueType(field: DescField): string {
  const { message, enum: type, scalar } = field
  return (
    message?.typeName ?? type?.typeName ?? ScalarType[scalar ?? ScalarType.STRING].toLowerCase()
  )
}
