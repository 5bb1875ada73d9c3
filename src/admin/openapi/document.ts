import { z } from 'zod'
import { OPERATIONS, type Operation } from './operations.ts'

/** A method and path that is registered, as Hono has it. */
export interface RegisteredRoute {
  readonly method: string
  readonly path: string
}

type Json = Record<string, unknown>

const ERROR = z.strictObject({
  error: z.strictObject({ code: z.string(), message: z.string() }),
})

/**
 * The API as OpenAPI 3.1 has it: every route that is registered, with the schemas that validate what
 * is asked. Routes of the console, which change with its page, have no more than their path.
 */
export function openApiDocument(
  routes: readonly RegisteredRoute[],
  { version, ofConsole }: { readonly version: string; readonly ofConsole: ReadonlySet<string> },
): Json {
  const paths: Record<string, Json> = {}
  for (const { method, path } of routes) {
    if (method === 'ALL' || !/^\/(v1|health|metrics)\b/.test(path)) continue
    const shown = path.replaceAll(/:(\w+)/g, '{$1}')
    const key = `${method} ${path}`
    paths[shown] ??= {}
    paths[shown][method.toLowerCase()] = operationOf(key, path, ofConsole.has(key))
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Waystation',
      version,
      description: 'Names in paths are percent-encoded, so the virtual host / is %2F.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ basic: [] }, { bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        basic: { type: 'http', scheme: 'basic' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
      schemas: { Error: schemaOf(ERROR) },
    },
  }
}

function operationOf(key: string, path: string, isOfConsole: boolean): Json {
  const known = OPERATIONS[key]
  const operation: Operation = known ?? { summary: isOfConsole ? 'For the console' : key }
  const { summary, body, status = 200, isPublic = false } = operation
  return {
    operationId: key.replaceAll(/\W+/g, '_'),
    summary,
    tags: [isOfConsole ? 'console' : (path.split('/')[2] ?? path.slice(1))],
    ...(isPublic ? { security: [] } : {}),
    parameters: [...pathParameters(path), ...queryParameters(operation)],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemaOf(body) } },
          },
        }),
    responses: {
      [status]: responseOf(operation),
      default: {
        description: 'It was refused',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  }
}

function responseOf({ status = 200, contentType = 'application/json' }: Operation): Json {
  if (status === 204) return { description: 'Done' }
  return { description: 'What was asked for', content: { [contentType]: { schema: {} } } }
}

function pathParameters(path: string): Json[] {
  return Array.from(path.matchAll(/:(\w+)/g), ([, name]) => {
    const type = name === 'id' && !/schedules|recurring/.test(path) ? 'integer' : 'string'
    return { name, in: 'path', required: true, schema: { type } }
  })
}

function queryParameters({ query }: Operation): Json[] {
  if (query === undefined) return []
  const { properties = {}, required = [] } = schemaOf(query) as {
    readonly properties?: Record<string, Json>
    readonly required?: readonly string[]
  }
  return Object.entries(properties).map(([name, schema]) => {
    return { name, in: 'query', required: required.includes(name), schema }
  })
}

/** As it is sent, before anything is read from it. */
function schemaOf(schema: z.ZodType): Json {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
  })
  return json
}
