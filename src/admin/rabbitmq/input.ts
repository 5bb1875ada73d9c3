/** Bodies as RabbitMQ's tools send them: rabbitmqadmin writes numbers and switches as text. */
import { z } from 'zod'
import type { HeaderMap, HeaderValue } from '../../model/header-value.ts'
import type { Asked } from './operator.ts'
import { badRequest } from './refusal.ts'

export type Fields = Readonly<Record<string, unknown>>

/** An empty body stands for no fields. Throws 400. */
export async function fieldsOf(asked: Asked, fault = 'not_json'): Promise<Fields> {
  const text = await asked.req.text()
  if (text.trim() === '') return {}
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw badRequest(fault)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw badRequest(fault)
  return json as Fields
}

/** Throws 400 with the names of those that are missing. */
export function requireFields(fields: Fields, names: readonly string[]): void {
  const missing = names.filter((name) => fields[name] === undefined)
  if (missing.length === 0) return
  throw badRequest(`[${missing.map((name) => `{key_missing,${name}}`).join(',')}]`)
}

/** Throws 400 with the field that is wrong. */
export function checked<T>(schema: z.ZodType<T>, fields: unknown): T {
  const result = schema.safeParse(fields)
  if (result.success) return result.data
  const faults = result.error.issues.map(({ path, message }) => {
    return path.length === 0 ? message : `${path.join('.')}: ${message}`
  })
  throw badRequest(faults.join('; '))
}

/** `true` or `"true"`. */
export const flag: z.ZodType<boolean> = z
  .union([z.boolean(), z.enum(['true', 'false'])])
  .transform((value) => value === true || value === 'true')

/** `5` or `"5"`. */
export const integer: z.ZodType<number> = z
  .union([
    z.number(),
    z
      .string()
      .regex(/^-?\d+$/)
      .transform(Number),
  ])
  .refine(Number.isSafeInteger, 'expected an integer')

const argumentsSchema = z.union([z.record(z.string(), z.unknown()), z.array(z.never())])

/** Arguments of a declaration; Erlang writes an empty map as a list. */
export function headersOf(value: unknown): HeaderMap {
  if (value === undefined || value === null || value === '') return new Map()
  const fields = checked(argumentsSchema, value)
  return Array.isArray(fields) ? new Map() : (headerOf(fields) as HeaderMap)
}

function headerOf(value: unknown): HeaderValue {
  if (Array.isArray(value)) return value.map(headerOf)
  if (typeof value !== 'object' || value === null) return value as HeaderValue
  return new Map(Object.entries(value).map(([name, inner]) => [name, headerOf(inner)]))
}

/** Tags as text with commas, or as a list. */
export function tagsOf(value: unknown): string[] {
  const list: unknown[] =
    typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : []
  return list.map((tag) => String(tag).trim()).filter((tag) => tag !== '')
}
