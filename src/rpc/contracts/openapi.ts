import type { Contract } from './contract.ts'
import type { MethodDescription } from './description.ts'
import { pooled, SchemaPool } from './json-document.ts'
import type { JsonSchema } from './json-schema.ts'

type Json = Readonly<Record<string, unknown>>

const ERROR = {
  type: 'object',
  description: 'Why a call has failed, as Connect says it.',
  properties: {
    code: { type: 'string', examples: ['failed_precondition'] },
    message: { type: 'string' },
    details: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          type: { type: 'string' },
          value: { type: 'string', contentEncoding: 'base64' },
          debug: {},
        },
        required: ['type', 'value'],
      },
    },
  },
  required: ['code'],
} as const

/** How calls look over HTTP with JSON, which is the protocol of Connect: an OpenAPI 3.1 document. */
export function openApiDocument(contracts: readonly Contract[], version: string): Json {
  const pool = new SchemaPool('#/components/schemas/')
  const services = pooled(contracts, pool)
  const paths = Object.entries(services).flatMap(([service, methods]) =>
    Object.entries(methods).map(([name, method]) => [
      `/${service}/${name}`,
      pathOf(service, name, method),
    ]),
  )
  return {
    openapi: '3.1.0',
    info: { title: contracts.map(({ name }) => name).join(', '), version },
    servers: [{ url: 'http://127.0.0.1:7700' }],
    security: [{}, { basic: [] }],
    tags: contracts.map(({ name }) => ({ name })),
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic' } },
      parameters: {
        timeout: {
          ...{ name: 'connect-timeout-ms', in: 'header' },
          description: 'When the caller gives up, in milliseconds; the default is 10 s.',
          schema: { type: 'integer', minimum: 0 },
        },
      },
      responses: {
        error: {
          description: 'The call has failed.',
          content: {
            'application/json': { schema: { $ref: '#/components/schemas/connect.error' } },
          },
        },
      },
      schemas: { ...pool.schemas, 'connect.error': ERROR },
    },
  }
}

function pathOf(service: string, name: string, method: MethodDescription): Json {
  const { kind, idempotency } = method
  const isStream = kind !== 'unary' && kind !== 'oneway'
  const type = isStream ? 'application/connect+json' : 'application/json'
  const operation = {
    tags: [service],
    parameters: [{ $ref: '#/components/parameters/timeout' }],
    description: textOf(method, isStream),
    responses: {
      200: {
        description: isStream ? 'Messages, and the end of the stream.' : 'What came of the call.',
        content: { [type]: { schema: method.out ?? {} } },
      },
      ...(isStream ? {} : { default: { $ref: '#/components/responses/error' } }),
    },
  }
  const post = {
    ...{ operationId: `${service}.${name}`, ...operation },
    requestBody: { required: true, content: { [type]: { schema: method.in ?? {} } } },
  }
  if (kind !== 'unary' || idempotency !== 'no-side-effects') return { post }
  return { post, get: { operationId: `${service}.${name}.get`, ...byGet(operation, method.in) } }
}

/** What changes nothing may be asked for by GET, so that a cache may answer. */
function byGet<T extends { readonly parameters: readonly Json[] }>(
  operation: T,
  input: JsonSchema | null,
): T {
  const parameters = [
    ...operation.parameters,
    { name: 'encoding', in: 'query', required: true, schema: { const: 'json' } },
    {
      ...{ name: 'message', in: 'query', required: true },
      content: { 'application/json': { schema: input ?? {} } },
    },
  ]
  return { ...operation, parameters }
}

function textOf({ kind, errors, deadlineMs }: MethodDescription, isStream: boolean): string {
  const names = Object.keys(errors)
  const parts = [
    ...(isStream ? [STREAM_TEXTS[kind] ?? ''] : []),
    ...(kind === 'oneway' ? ['Nobody waits for what comes of it.'] : []),
    ...(deadlineMs === null ? [] : [`It has ${deadlineMs} ms when the caller says nothing else.`]),
    ...(names.length === 0 ? [] : [`Fails with ${names.join(', ')} among the details.`]),
  ]
  return parts.join(' ')
}

const FRAMES = 'Each message is in an envelope of Connect: a flag (u8), its length (u32), the JSON.'
const STREAM_TEXTS: Readonly<Record<string, string>> = {
  serverStream: `One message to, any number back. ${FRAMES}`,
  clientStream: `Any number of messages to, one back. ${FRAMES}`,
  bidi: `Any number of messages to and back, over HTTP/2 at the same time. ${FRAMES}`,
}
