/** Forms that the console makes of a method's JSON Schema; the browser shows them in test/interop. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { file_google_protobuf_descriptor } from '@bufbuild/protobuf/wkt'
import { z } from 'zod'
import { exampleOf, fieldsOf, type Schema } from '../../../console/src/try/json-schema.ts'
import { jsonSchemaOf } from '../../../src/rpc/contracts/json-schema.ts'

const ORDER = jsonSchemaOf(
  z.object({
    sku: z.string().describe('Which tea'),
    count: z.number().int().default(1),
    price: z.number().nullable(),
    size: z.enum(['s', 'l']),
    wrapping: z.enum(['paper', 'box']).optional(),
    gift: z.boolean(),
    express: z.boolean().optional(),
    lines: z.array(z.object({ text: z.string() })).optional(),
  }),
  'in',
) as Schema

/** What is sent when these are filled in. */
function sent(filled: Readonly<Record<string, string>>): object {
  const entries = fieldsOf(ORDER)!.map(({ name, read }) => [name, read(filled[name])] as const)
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}

test('each member has its kind of input, with its default and what is said of it', () => {
  const inputs = fieldsOf(ORDER)!.map(({ name, field }) => {
    return [name, field.kind ?? 'text', field.value, field.hint, field.isRequired]
  })
  assert.deepEqual(inputs, [
    ['sku', 'text', undefined, 'Which tea', true],
    ['count', 'signed', '1', 'integer', false],
    ['price', 'signed', undefined, 'number', false],
    ['size', 'choice', undefined, undefined, true],
    ['wrapping', 'choice', undefined, undefined, false],
    ['gift', 'check', '', undefined, false],
    ['express', 'check', '', undefined, false],
    ['lines', 'area', undefined, 'JSON: array', false],
  ])
  const [size, wrapping] = fieldsOf(ORDER)!.filter(({ field }) => field.kind === 'choice')
  assert.deepEqual([size?.field.options?.length, wrapping?.field.options?.[0]], [2, ['', '']])
})

test('what is filled in is sent as its type, and what is not is left out', () => {
  assert.deepEqual(sent({ sku: 'tea', count: '', price: '-1.5', size: 's' }), {
    ...{ sku: 'tea', price: -1.5, size: 's', gift: false },
  })
  const all = { sku: '', count: '2', price: '', size: 'l', wrapping: 'box', gift: 'on' }
  assert.deepEqual(sent({ ...all, express: 'on', lines: '[{"text":"hi"}]' }), {
    ...{ sku: '', count: 2, price: null, size: 'l', wrapping: 'box', gift: true, express: true },
    lines: [{ text: 'hi' }],
  })
  assert.throws(() => sent({ sku: 'tea', price: '1', lines: '{' }), SyntaxError)
})

test('an example has every member, and a message that holds itself ends', () => {
  assert.deepEqual(exampleOf(ORDER), {
    ...{ sku: '', count: 1, price: 0, size: 's', wrapping: 'paper', gift: false, express: false },
    lines: [],
  })
  for (const message of file_google_protobuf_descriptor.messages) {
    const schema = jsonSchemaOf(message, 'in') as Schema
    assert.equal(typeof exampleOf(schema), 'object', message.name)
    assert.notEqual(fieldsOf(schema), null, message.name)
  }
  const loop: Schema = { $ref: '#', type: 'object', properties: {} }
  assert.deepEqual(exampleOf(loop), {})
  assert.equal(fieldsOf({ type: 'string' }), null)
})
