import type { Field } from '../parts/field.ts'

/** As much of JSON Schema as an input form needs; whatever else it says, the provider checks. */
export interface Schema {
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Schema>>
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly default?: unknown
  readonly description?: string
  readonly format?: string
}

/** A schema that holds itself ends here. */
const DEPTH_MAX = 6

/** How deep references may lead to references. */
const REFERENCES_MAX = 8

/** What stands behind a reference into the same schema. */
function resolved(schema: Schema, root: Schema): Schema {
  let found = schema
  for (let step = 0; step < REFERENCES_MAX && found.$ref !== undefined; step++) {
    const name = found.$ref.replace(/^#\/(?:\$defs|definitions)\//, '')
    found = found.$ref === '#' ? root : (root.$defs?.[decodePointer(name)] ?? {})
  }
  return found
}

function decodePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}

function typeOf({ type, enum: values, properties }: Schema): string {
  if (values !== undefined) return 'enum'
  if (type === undefined) return properties === undefined ? 'any' : 'object'
  if (typeof type === 'string') return type
  return type.find((each) => each !== 'null') ?? 'any'
}

/** A message that fits, with nothing in it: what one begins to write from. */
export function exampleOf(schema: Schema, root: Schema = schema, depth = 0): unknown {
  const { default: given, const: only, enum: values, ...rest } = resolved(schema, root)
  if (given !== undefined) return given
  if (only !== undefined) return only
  if (values !== undefined) return values[0]
  const [choice] = rest.anyOf ?? rest.oneOf ?? rest.allOf ?? []
  if (choice !== undefined) return exampleOf(choice, root, depth + 1)
  switch (typeOf(rest)) {
    case 'object': {
      if (depth >= DEPTH_MAX) return {}
      const entries = Object.entries(rest.properties ?? {})
      return Object.fromEntries(
        entries.map(([name, each]) => [name, exampleOf(each, root, depth + 1)]),
      )
    }
    case 'array':
      return []
    case 'string':
      return ''
    case 'number':
    case 'integer':
      return 0
    case 'boolean':
      return false
    default:
      return null
  }
}

/** One input of a form, and how what is filled in becomes JSON. */
export interface SchemaField {
  readonly name: string
  readonly field: Field
  /** Undefined: it is left out. Throws `SyntaxError` for what is no JSON. */
  readonly read: (text: string | undefined) => unknown
}

/** Inputs for the members of an object; null: it is none, and JSON has to be written. */
export function fieldsOf(root: Schema): readonly SchemaField[] | null {
  const schema = resolved(root, root)
  if (typeOf(schema) !== 'object' || schema.properties === undefined) return null
  return Object.entries(schema.properties).map(([name, given]) => {
    const each = { ...resolved(given, root), ...descriptionOf(given) }
    return fieldOf(name, each, schema.required?.includes(name) ?? false)
  })
}

function isNullable({ type }: Schema): boolean {
  return Array.isArray(type) && type.includes('null')
}

function descriptionOf({ description }: Schema): Schema {
  return description === undefined ? {} : { description }
}

function fieldOf(name: string, schema: Schema, isRequired: boolean): SchemaField {
  const { default: given, description, enum: values } = schema
  const type = typeOf(schema)
  // Of a tick or a choice one sees what it is.
  const hint = description ?? schema.format ?? (/^(boolean|enum)$/.test(type) ? undefined : type)
  const field: Field = {
    ...{ name: `in ${name}`, label: name, isRequired: isRequired && !isNullable(schema) },
    ...(hint === undefined ? {} : { hint }),
    ...(given === undefined ? {} : { value: textOf(given) }),
  }
  const optional = (read: (text: string) => unknown) => (text: string | undefined) => {
    if (text === undefined || (text === '' && !isRequired)) return undefined
    return text === '' && isNullable(schema) ? null : read(text)
  }
  switch (type) {
    case 'string':
      return { name, field, read: optional((text) => text) }
    case 'number':
    case 'integer':
      return { name, field: { ...field, kind: 'signed' }, read: optional(Number) }
    case 'boolean':
      return {
        name,
        field: { ...field, kind: 'check', isRequired: false, value: given === true ? 'on' : '' },
        // One that is not ticked says no, or nothing where nothing was expected.
        read: (text) => (text === 'on' ? true : isRequired || given === true ? false : undefined),
      }
    case 'enum': {
      const options = (values ?? []).map((value) => [textOf(value), textOf(value)] as const)
      return {
        name,
        field: { ...field, kind: 'choice', options: isRequired ? options : [['', ''], ...options] },
        read: optional((text) => values?.find((value) => textOf(value) === text)),
      }
    }
    default:
      return {
        name,
        field: { ...field, kind: 'area', hint: description ?? `JSON: ${type}` },
        read: optional((text) => JSON.parse(text) as unknown),
      }
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
