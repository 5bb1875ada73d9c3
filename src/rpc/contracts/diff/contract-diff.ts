import type { ContractDescription, MethodDescription } from '../description.ts'
import type { JsonSchema } from '../json-schema.ts'
import type { FieldNumbers } from '../proto/field-numbers.ts'
import type { ContractVersion } from './contract-version.ts'
import { diffDescriptors } from './descriptor-diff.ts'
import { type Finding, Findings } from './finding.ts'
import { type Direction, diffSchemas } from './schema-diff.ts'

const IDEMPOTENCE = { none: 0, idempotent: 1, 'no-side-effects': 2 } as const

/** What the new version has otherwise, and what of it breaks those who hold to the old one. */
export function diffContracts(old: ContractVersion, latest: ContractVersion): Finding[] {
  const findings = new Findings()
  for (const [name, methods] of Object.entries(old.services)) {
    const same = latest.services[name]
    const within = findings.at(name)
    if (same === undefined) within.breaking('is gone')
    else new ServiceDiff(old, latest, name).compare(methods, same, findings)
  }
  for (const name of Object.keys(latest.services)) {
    if (old.services[name] === undefined) findings.at(name).note('is new')
  }
  diffNumbers(old.fieldNumbers, latest.fieldNumbers, findings)
  return findings.all
}

type Described = ContractDescription[string]

class ServiceDiff {
  readonly #old: ContractVersion
  readonly #latest: ContractVersion
  readonly #name: string

  constructor(old: ContractVersion, latest: ContractVersion, name: string) {
    this.#old = old
    this.#latest = latest
    this.#name = name
  }

  compare(old: Described, latest: Described, findings: Findings): void {
    const before = this.#old.descriptors.get(this.#name)
    const after = this.#latest.descriptors.get(this.#name)
    const areDescribed = before !== undefined && after !== undefined
    for (const [name, method] of Object.entries(old)) {
      const same = latest[name]
      const within = findings.at(`${this.#name}/${name}`)
      if (same === undefined) {
        within.breaking('is gone')
        continue
      }
      methodFacts(method, same, within)
      // Descriptors know more of a message than its JSON Schema says.
      if (!areDescribed) this.#messages(method, same, within)
      this.#errors(method, same, within)
    }
    for (const name of Object.keys(latest)) {
      if (old[name] === undefined) findings.at(`${this.#name}/${name}`).note('is new')
    }
    if (areDescribed) diffDescriptors(before, after, findings)
  }

  #messages(old: MethodDescription, latest: MethodDescription, findings: Findings): void {
    this.#schemas([old.in, latest.in], 'in', findings.at(' in'))
    if (old.kind !== 'oneway') this.#schemas([old.out, latest.out], 'out', findings.at(' out'))
  }

  #errors(old: MethodDescription, latest: MethodDescription, findings: Findings): void {
    for (const [name, schema] of Object.entries(old.errors)) {
      const same = latest.errors[name]
      const within = findings.at(` error ${name}`)
      if (same === undefined) within.note('is declared no more')
      else this.#schemas([schema, same], 'out', within)
    }
    for (const name of Object.keys(latest.errors)) {
      if (!(name in old.errors)) findings.at(` error ${name}`).note('is new')
    }
  }

  #schemas(
    [old, latest]: readonly [JsonSchema | null, JsonSchema | null],
    direction: Direction,
    findings: Findings,
  ): void {
    if (old === null && latest === null) return
    if (old === null || latest === null) {
      findings.note('cannot be compared: one of the versions says nothing of it')
      return
    }
    const pair = {
      old: { schema: old, root: this.#old.root ?? old },
      new: { schema: latest, root: this.#latest.root ?? latest },
    }
    diffSchemas(pair, direction, findings)
  }
}

function methodFacts(old: MethodDescription, latest: MethodDescription, findings: Findings): void {
  if (old.kind !== latest.kind) findings.breaking(`was ${old.kind} and is ${latest.kind}`)
  const [before, after] = [IDEMPOTENCE[old.idempotency], IDEMPOTENCE[latest.idempotency]]
  if (after < before) {
    const what = before === 2 ? 'may be called by GET, or again' : 'may be called again'
    findings.breaking(
      `was ${old.idempotency} and is ${latest.idempotency}, and callers hold that it ${what}`,
    )
  } else if (after > before) findings.note(`is ${latest.idempotency} now`)
  if (old.deadlineMs !== latest.deadlineMs) {
    const text = (ms: number | null): string => (ms === null ? 'the default' : `${ms} ms`)
    findings.note(`its deadline was ${text(old.deadlineMs)} and is ${text(latest.deadlineMs)}`)
  }
}

/** A field has its number for ever, and a number its field. */
function diffNumbers(old: FieldNumbers, latest: FieldNumbers, findings: Findings): void {
  for (const [message, { fields }] of Object.entries(old)) {
    const now = latest[message]
    if (now === undefined) continue
    const names = new Map(Object.entries(now.fields).map(([name, { number }]) => [number, name]))
    for (const [name, { number, type }] of Object.entries(fields)) {
      const within = findings.at(`${message}.${name}`)
      const same = now.fields[name]
      const taken = names.get(number)
      if (same !== undefined && same.number !== number && same.type === type) {
        within.breaking(`had the number ${number} in protobuf and has ${same.number}`)
      } else if (taken !== undefined && taken !== name) {
        within.breaking(`had the number ${number} in protobuf, which ${taken} has now`)
      }
    }
  }
}
