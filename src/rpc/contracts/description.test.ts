import assert from 'node:assert/strict'
import { test } from 'node:test'
import { file_google_protobuf_descriptor, FieldDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { z } from 'zod'
import { CONTRACT_LENGTH_MAX } from '../limits.ts'
import { rpc, service } from './contract.ts'
import { type ContractDescription, contractText } from './description.ts'
import { jsonSchemaOf } from './json-schema.ts'
import type { StandardSchema } from './schema.ts'

const MUTE: StandardSchema = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
}

test('a contract is described by its methods and their messages, before and after defaults', () => {
  const contract = service('shop.v1.Orders', {
    place: rpc.unary({
      in: z.object({ sku: z.string(), count: z.number().default(1) }),
      out: z.object({ id: z.string().default('none') }),
      errors: { OutOfStock: z.object({ left: z.number() }) },
      deadlineMs: 2000,
    }),
    tell: rpc.oneway({ in: MUTE }),
  })
  const { place, tell } = (JSON.parse(contractText(contract)) as ContractDescription)[
    'shop.v1.Orders'
  ]!
  assert.deepEqual(place?.in?.['required'], ['sku'])
  assert.deepEqual(place?.out?.['required'], ['id'])
  assert.deepEqual(place?.errors['OutOfStock']?.['required'], ['left'])
  assert.deepEqual([place?.kind, place?.deadlineMs], ['unary', 2000])
  assert.deepEqual(tell, {
    ...{ kind: 'oneway', idempotency: 'none', deadlineMs: null },
    ...{ in: null, out: null, errors: {} },
  })
})

test('a message of protobuf is described as its JSON looks, also one that holds itself', () => {
  const message = file_google_protobuf_descriptor.messages.find(
    ({ name }) => name === 'DescriptorProto',
  )!
  const schema = jsonSchemaOf(message, 'in')!
  assert.equal(schema['$ref'], '#/$defs/google.protobuf.DescriptorProto')
  const definitions = schema['$defs'] as Record<string, { properties: Record<string, unknown> }>
  const { properties } = definitions['google.protobuf.DescriptorProto']!
  assert.deepEqual(properties['name'], { type: 'string' })
  assert.deepEqual(properties['nestedType'], {
    type: 'array',
    items: { $ref: '#/$defs/google.protobuf.DescriptorProto' },
  })
  const field = definitions[FieldDescriptorProtoSchema.typeName]!.properties
  assert.deepEqual(field['number'], { type: 'integer' })
  assert.ok((field['label'] as { enum: string[] }).enum.includes('LABEL_REPEATED'))
})

test('what would be too long is said without messages, or not at all', () => {
  const long = z.object({ a: z.string().describe('x'.repeat(CONTRACT_LENGTH_MAX)) })
  const { a } = (
    JSON.parse(
      contractText(service('A', { a: rpc.unary({ in: long, out: long }) })),
    ) as ContractDescription
  )['A']!
  assert.deepEqual([a?.in, a?.kind], [null, 'unary'])
  const many = Array.from({ length: 3000 }, (_, at) => [`m${at}`, rpc.oneway({ in: MUTE })])
  assert.equal(contractText(service('A', Object.fromEntries(many) as never)), '')
})
