import { isDeepStrictEqual } from 'node:util'
import type { JsonSchema } from '../json-schema.ts'
import { Findings } from './finding.ts'

/**
 * Which way a message goes. What goes `in` was written for the old version and is read by the new
 * one; what comes `out` the other way round.
 */
export type Direction = 'in' | 'out'

/** A schema, and the document in which its references point. */
export interface Placed {
  readonly schema: unknown
  readonly root: JsonSchema
}

export interface SchemaPair {
  readonly old: Placed
  readonly new: Placed
}

const TYPES = ['string', 'number', 'boolean', 'array', 'object', 'null'] as const
type Type = (typeof TYPES)[number] | 'integer'

/** Constraints of which a larger number takes less, and those of which a smaller one does. */
const LOWER_BOUNDS = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties']
const UPPER_BOUNDS = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties']

/** What of a message is different, and whom it would surprise. */
export function diffSchemas(pair: SchemaPair, direction: Direction, findings: Findings): void {
  new SchemaDiff(direction).compare(pair, findings)
}

class SchemaDiff {
  readonly #direction: Direction
  readonly #seen: { readonly old: unknown; readonly new: unknown }[] = []

  constructor(direction: Direction) {
    this.#direction = direction
  }

  compare(pair: SchemaPair, findings: Findings): void {
    const before = resolved(pair.old)
    const after = resolved(pair.new)
    if (before === null || after === null) return
    // What holds itself is compared once.
    if (this.#seen.some((each) => each.old === before && each.new === after)) return
    this.#seen.push({ old: before, new: after })
    const within = { old: before, new: after, pair }
    const oldChoices = choicesOf(before)
    const newChoices = choicesOf(after)
    if (oldChoices !== null || newChoices !== null) {
      this.#choices(pair, [oldChoices ?? [before], newChoices ?? [after]], findings)
      return
    }
    this.#types(before, after, findings)
    this.#values(before, after, findings)
    if (this.#direction === 'in') bounds(before, after, findings)
    this.#properties(within, findings)
    this.#inner(within, 'items', '[]', findings)
    this.#inner(within, 'additionalProperties', '{}', findings)
  }

  /** Each choice of the side that writes must be one of the side that reads. */
  #choices(
    { old, new: latest }: SchemaPair,
    [before, after]: readonly [readonly unknown[], readonly unknown[]],
    findings: Findings,
  ): void {
    const [written, read] = this.#direction === 'in' ? [before, after] : [after, before]
    for (const choice of written) {
      const fits = read.some((other) => {
        const [oldChoice, newChoice] = this.#direction === 'in' ? [choice, other] : [other, choice]
        const trial = new Findings()
        const pair = {
          old: { schema: oldChoice, root: old.root },
          new: { schema: newChoice, root: latest.root },
        }
        const diff = new SchemaDiff(this.#direction)
        diff.#seen.push(...this.#seen)
        diff.compare(pair, trial)
        return trial.all.every(({ isBreaking }) => !isBreaking)
      })
      if (fits) continue
      const what = shown(choice)
      findings.breaking(
        this.#direction === 'in'
          ? `${what} is taken no more`
          : `${what} may come, which callers do not know`,
      )
    }
  }

  #types(before: JsonSchema, after: JsonSchema, findings: Findings): void {
    const [old, latest] = [typesOf(before), typesOf(after)]
    const [written, read] = this.#direction === 'in' ? [old, latest] : [latest, old]
    if (
      written.every(
        (type) => read.includes(type) || (type === 'integer' && read.includes('number')),
      )
    ) {
      return
    }
    findings.breaking(`was ${typesText(old)} and is ${typesText(latest)}`)
  }

  #values(before: JsonSchema, after: JsonSchema, findings: Findings): void {
    const [old, latest] = [valuesOf(before), valuesOf(after)]
    const [written, read] = this.#direction === 'in' ? [old, latest] : [latest, old]
    if (read === null) return
    if (written === null) {
      const text = `${read.map(shown).join(', ')}`
      findings.breaking(
        this.#direction === 'in'
          ? `takes nothing but ${text} any more`
          : `was one of ${text}, and may be anything now`,
      )
      return
    }
    for (const value of written) {
      if (read.some((each) => isDeepStrictEqual(each, value))) continue
      findings.breaking(
        this.#direction === 'in'
          ? `${shown(value)} is taken no more`
          : `${shown(value)} may come, which callers do not know`,
      )
    }
  }

  #properties({ old: before, new: after, pair }: Within, findings: Findings): void {
    const [old, latest] = [propertiesOf(before), propertiesOf(after)]
    const [wasRequired, isRequired] = [requiredOf(before), requiredOf(after)]
    for (const name of new Set([...Object.keys(old), ...Object.keys(latest)])) {
      const within = findings.at(`.${name}`)
      const isHere = name in latest
      if (this.#direction === 'in' && isRequired.has(name) && !wasRequired.has(name)) {
        within.breaking(
          name in old
            ? 'must be there now'
            : 'is new and must be there, and callers do not send it',
        )
      } else if (this.#direction === 'out' && wasRequired.has(name) && !isRequired.has(name)) {
        within.breaking(isHere ? 'may be missing now' : 'is gone, and callers count on it')
      } else if (!isHere) this.#gone(after, within)
      if (!(name in old) && !isRequired.has(name)) within.note('is new')
      if (!(name in old) || !isHere) continue
      this.compare(
        {
          old: { schema: old[name], root: pair.old.root },
          new: { schema: latest[name], root: pair.new.root },
        },
        within,
      )
    }
  }

  #gone(after: JsonSchema, within: Findings): void {
    const isRefused = this.#direction === 'in' && after['additionalProperties'] === false
    if (isRefused) within.breaking('is gone, and refused where callers send it')
    else within.note(this.#direction === 'in' ? 'is gone, and passed over' : 'is gone')
  }

  #inner(
    { old: before, new: after, pair }: Within,
    key: 'items' | 'additionalProperties',
    place: string,
    findings: Findings,
  ): void {
    const [old, latest] = [before[key], after[key]]
    if (typeof old !== 'object' || typeof latest !== 'object') return
    this.compare(
      { old: { schema: old, root: pair.old.root }, new: { schema: latest, root: pair.new.root } },
      findings.at(place),
    )
  }
}

interface Within {
  readonly old: JsonSchema
  readonly new: JsonSchema
  readonly pair: SchemaPair
}

function bounds(before: JsonSchema, after: JsonSchema, findings: Findings): void {
  for (const key of LOWER_BOUNDS) {
    const [old, latest] = [numberIn(before, key), numberIn(after, key)]
    if (latest !== null && (old === null || latest > old))
      findings.breaking(boundText(key, old, latest))
  }
  for (const key of UPPER_BOUNDS) {
    const [old, latest] = [numberIn(before, key), numberIn(after, key)]
    if (latest !== null && (old === null || latest < old))
      findings.breaking(boundText(key, old, latest))
  }
  for (const key of ['pattern', 'format', 'multipleOf']) {
    if (after[key] === undefined || isDeepStrictEqual(before[key], after[key])) continue
    const was = before[key] === undefined ? 'was not set' : `was ${shown(before[key])}`
    findings.breaking(`${key} ${was} and is ${shown(after[key])}`)
  }
}

function boundText(key: string, old: number | null, latest: number): string {
  return `${key} ${old === null ? 'was not set' : `was ${old}`} and is ${latest}`
}

function numberIn(schema: JsonSchema, key: string): number | null {
  const value = schema[key]
  return typeof value === 'number' ? value : null
}

/** Null: nothing is said. */
function resolved({ schema, root }: Placed): JsonSchema | null {
  let current = schema
  for (let steps = 0; steps < REFERENCES_MAX; steps++) {
    if (current === true) return {}
    if (typeof current !== 'object' || current === null) return null
    const reference = (current as JsonSchema)['$ref']
    if (typeof reference !== 'string') return current as JsonSchema
    current = pointed(root, reference)
  }
  return null
}

const REFERENCES_MAX = 32

function pointed(root: JsonSchema, reference: string): unknown {
  let found: unknown = root
  for (const part of reference.replace(/^#\/?/, '').split('/')) {
    if (part === '') continue
    if (typeof found !== 'object' || found === null) return null
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    found = (found as JsonSchema)[name]
  }
  return found
}

function choicesOf(schema: JsonSchema): readonly unknown[] | null {
  const choices = schema['anyOf'] ?? schema['oneOf']
  return Array.isArray(choices) ? choices : null
}

function typesOf(schema: JsonSchema): readonly Type[] {
  const { type } = schema
  if (Array.isArray(type)) return type as Type[]
  if (typeof type === 'string') return [type as Type]
  const values = valuesOf(schema)
  if (values === null) return TYPES
  const types = values.map((value) =>
    value === null ? 'null' : Array.isArray(value) ? 'array' : (typeof value as Type),
  )
  return [...new Set(types)]
}

function typesText(types: readonly Type[]): string {
  return types.length === TYPES.length ? 'anything' : types.join(' or ')
}

/** Null: any. */
function valuesOf(schema: JsonSchema): readonly unknown[] | null {
  if ('const' in schema) return [schema['const']]
  const values = schema['enum']
  return Array.isArray(values) ? values : null
}

function propertiesOf({ properties }: JsonSchema): JsonSchema {
  return typeof properties === 'object' && properties !== null ? (properties as JsonSchema) : {}
}

function requiredOf({ required }: JsonSchema): ReadonlySet<unknown> {
  return new Set(Array.isArray(required) ? required : [])
}

const SHOWN_MAX = 80

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text
}
