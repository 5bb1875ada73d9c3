import type { Context } from 'hono'
import type { z } from 'zod'
import type { AdminContext } from './authentication.ts'

/** The request is not one the API takes; the message names the field. */
export class InvalidRequest extends Error {
  override readonly name = 'InvalidRequest'
}

/** The values in the path, checked. */
export function params<T>(context: Context<AdminContext>, schema: z.ZodType<T>): T {
  return check(schema, context.req.param(), 'path')
}

/** The values behind `?`, checked. */
export function query<T>(context: Context<AdminContext>, schema: z.ZodType<T>): T {
  return check(schema, context.req.query(), 'query')
}

/** The body as JSON, checked. */
export async function body<T>(context: Context<AdminContext>, schema: z.ZodType<T>): Promise<T> {
  let json: unknown
  try {
    json = await context.req.json()
  } catch (cause) {
    throw new InvalidRequest('the body is not JSON', { cause })
  }
  return check(schema, json, 'body')
}

function check<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const faults = result.error.issues.map(({ path, message }) => {
    return path.length === 0 ? message : `${path.join('.')}: ${message}`
  })
  throw new InvalidRequest(`${where}: ${faults.join('; ')}`, { cause: result.error })
}
