import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { OPERATIONS } from '../../../src/admin/openapi/operations.ts'
import { startManaged } from '../../support/management-client.ts'

interface Operation {
  readonly summary: string
  readonly tags: readonly string[]
  readonly requestBody?: object
  readonly parameters: readonly { readonly in: string }[]
}

interface Document {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Operation>>
}

const FOLDER = path.join(import.meta.dirname, '../../../src/admin')
const GUEST = `Basic ${Buffer.from('guest:guest').toString('base64')}`

/** Every route that the sources register, as `GET /v1/vhosts`. */
function registered(): Set<string> {
  const routes = new Set<string>()
  for (const file of globSync('**/*.ts', { cwd: FOLDER })) {
    if (file.startsWith('rabbitmq') || file.endsWith('.test.ts')) continue
    const source = readFileSync(path.join(FOLDER, file), 'utf8')
    const calls = source.matchAll(
      /\b(?:app\.(get|put|post|patch|delete)|list)\(\s*'(\/(?:v1|health|metrics)[^'*]*)'/g,
    )
    for (const [, method = 'get', where] of calls) routes.add(`${method.toUpperCase()} ${where}`)
  }
  return routes
}

test('every route is in the document, which is valid, and nothing else is', async () => {
  await using broker = await startManaged()
  const response = await fetch(`${broker.url('http')}/v1/openapi.json`)
  assert.equal(response.status, 200)
  const document = (await response.json()) as Document & Record<string, unknown>
  const { valid, errors } = await new Validator().validate(structuredClone(document))
  assert.equal(valid, true, JSON.stringify(errors))
  const described = new Map<string, Operation>()
  for (const [where, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const route = where.replaceAll(/\{(\w+)\}/g, ':$1')
      described.set(`${method.toUpperCase()} ${route}`, operation)
    }
  }
  const routes = registered()
  assert.ok(routes.size > 50, `only ${routes.size} routes found in the sources`)
  assert.deepEqual([...described.keys()].toSorted(), [...routes].toSorted())
  const bare = [...described].filter(([key, { summary }]) => summary === key)
  assert.deepEqual(
    bare.map(([key]) => key),
    [],
    'routes without a line in src/admin/openapi/operations.ts',
  )
  assert.deepEqual(
    Object.keys(OPERATIONS).filter((key) => !routes.has(key)),
    [],
    'lines for routes that are not there',
  )
})

test('what the document says of bodies and queries is what is validated', async () => {
  await using broker = await startManaged()
  const ask = async (method: string, where: string, body?: string): Promise<string> => {
    const response = await fetch(broker.url('http') + where, {
      method,
      headers: { authorization: GUEST },
      ...(body === undefined ? {} : { body }),
    })
    return `${response.status} ${await response.text()}`
  }
  for (const [key, { body, query }] of Object.entries(OPERATIONS)) {
    const [method = '', route = ''] = key.split(' ')
    const where = route.replaceAll(':vhost', '%2F').replaceAll(':id', '1').replaceAll(/:\w+/g, 'x')
    if (body !== undefined) assert.match(await ask(method, where, '[]'), /^400 .*body: /, key)
    if (query !== undefined) {
      assert.match(await ask(method, `${where}?no-such-thing=1`), /^400 .*query: /, key)
    }
  }
})
