import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFileRegistry } from '@bufbuild/protobuf'
import { TimestampSchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { z } from 'zod'
import { bind, type Contract, rpc, service } from '../contract.ts'
import type { StandardSchema } from '../schema.ts'
import { deriveContract } from './derived-contract.ts'
import { protoFile } from './proto-file.ts'
import { protoText } from './proto-text.ts'

const Line = z.object({ sku: z.string(), count: z.int32() }).meta({ id: 'Line' })
const Category = z.object({
  name: z.string(),
  get within() {
    return z.array(Category)
  },
})

const All = z.object({
  text: z.string().describe('What it is called.'),
  whole: z.int(),
  real: z.number(),
  isGift: z.boolean(),
  state: z.enum(['open', 'paid']),
  lines: z.array(Line),
  first: Line.optional(),
  tags: z.record(z.string(), z.string()),
  byName: z.record(z.string(), Line),
  maybe: z.string().optional(),
  nothing: z.string().nullable(),
  either: z.union([z.string(), z.number()]),
  deep: z.array(z.array(z.number())),
  both: z.int().nullish(),
  tree: Category,
  'not-a name': z.boolean(),
  any: z.unknown(),
})

const MUTE: StandardSchema = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
}

const Orders: Contract = service('shop.v1.Orders', {
  put: rpc.unary({
    ...{ in: All, out: z.array(z.string()), idempotency: 'idempotent' },
    errors: { OutOfStock: z.object({ left: z.number() }) },
  }),
  watch: rpc.serverStream({ in: TimestampSchema, out: z.object({}) }),
  audit: rpc.oneway({ in: MUTE }),
})

const TEXT = `// Derived from a contract by \`waystation contract emit --proto\`: change that, not this.

syntax = "proto3";

package shop.v1;

import "google/protobuf/empty.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";

service Orders {
  // Fails with OutOfStock.
  rpc put(OrdersPutRequest) returns (OrdersPutResponse) {
    option idempotency_level = IDEMPOTENT;
  }
  rpc watch(google.protobuf.Timestamp) returns (stream OrdersWatchResponse);
  // Nobody waits for what comes of it.
  rpc audit(google.protobuf.Value) returns (google.protobuf.Empty);
}

message OrdersPutRequest {
  message Line {
    string sku = 1;
    int32 count = 2;
  }

  message Tree {
    string name = 1;
    repeated OrdersPutRequest.Tree within = 2;
  }

  // What it is called.
  string text = 1;
  int64 whole = 2;
  double real = 3;
  bool is_gift = 4;
  string state = 5;
  repeated OrdersPutRequest.Line lines = 6;
  OrdersPutRequest.Line first = 7;
  map<string, string> tags = 8;
  map<string, OrdersPutRequest.Line> by_name = 9;
  optional string maybe = 10;
  optional string nothing = 11;
  google.protobuf.Value either = 12;
  repeated google.protobuf.Value deep = 13;
  google.protobuf.Value both = 14;
  OrdersPutRequest.Tree tree = 15;
  bool not_a_name = 16 [json_name = "not-a name"];
  google.protobuf.Value any = 17;
}

message OrdersPutResponse {
  repeated string value = 1;
}

message OrdersWatchResponse {}
`

test('a contract of schemas has the .proto file that somebody would have written', () => {
  const derived = deriveContract(Orders)
  assert.equal(derived.fileName, 'shop/v1/orders.proto')
  assert.equal(protoText(derived), TEXT)
})

test('its descriptors say what the file says', () => {
  const derived = deriveContract(Orders)
  const known = [...derived.imports]
  const registry = createFileRegistry(protoFile(derived), (name) =>
    known.find(({ proto }) => proto.name === name),
  )
  const message = registry.getMessage('shop.v1.OrdersPutRequest')!
  assert.equal(message.field['byName']?.fieldKind, 'map')
  assert.equal(message.field['maybe']?.proto.proto3Optional, true)
  assert.equal(message.fields.find(({ number }) => number === 16)?.jsonName, 'not-a name')
  const orders = registry.getService('shop.v1.Orders')!
  assert.deepEqual(
    orders.methods.map(({ name, methodKind }) => [name, methodKind]),
    [
      ['put', 'unary'],
      ['watch', 'server_streaming'],
      ['audit', 'unary'],
    ],
  )
})

const lines = fc.record({ sku: fc.string(), count: fc.integer({ min: -5, max: 2 ** 31 - 1 }) })
const leaf = fc.record({ name: fc.string(), within: fc.constant<[]>([]) })
const trees: fc.Arbitrary<z.infer<typeof Category>> = fc.record({
  name: fc.string(),
  within: fc.array(fc.record({ name: fc.string(), within: fc.array(leaf, { maxLength: 2 }) })),
})
const values = fc.record(
  {
    ...{ text: fc.string(), whole: fc.maxSafeInteger(), isGift: fc.boolean() },
    real: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    state: fc.constantFrom('open', 'paid'),
    ...{ lines: fc.array(lines), first: lines, maybe: fc.string() },
    tags: fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      fc.string(),
    ),
    byName: fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      lines,
    ),
    nothing: fc.option(fc.string()),
    either: fc.oneof(fc.string(), fc.integer()),
    deep: fc.array(fc.array(fc.integer())),
    both: fc.option(fc.integer()),
    tree: trees,
    'not-a name': fc.boolean(),
    any: fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown),
  },
  {
    requiredKeys: [
      ...([
        'text',
        'whole',
        'isGift',
        'real',
        'state',
        'lines',
        'tags',
        'byName',
        'nothing',
      ] as const),
      ...(['either', 'deep', 'tree', 'not-a name', 'any'] as const),
    ],
  },
)

// Whatever the schema takes.
test('a message is the same by way of protobuf as by way of JSON', () => {
  const put = bind(Orders).find(({ name }) => name === 'put')!
  fc.assert(
    fc.property(values, (value) => {
      const [proto, json] = ['proto', 'json'].map((type) =>
        put.request.decode(put.request.encode(value, type), type),
      )
      assert.deepEqual(proto, json)
    }),
    { numRuns: 100 },
  )
  const list = put.reply.encode(['a', 'b'], 'proto')
  assert.deepEqual(put.reply.decode(list, 'proto'), ['a', 'b'])
})

test('what is no such message is refused, and what is nothing is what protobuf makes of it', () => {
  const contract = service('a.B', {
    m: rpc.unary({
      in: z.object({
        count: z.number().min(1),
        names: z.array(z.string()),
        left: z.int().default(3),
      }),
      out: z.object({}),
    }),
  })
  const { request } = bind(contract)[0]!
  assert.throws(() => request.decode(Buffer.from([0xff]), 'proto'), /not what the contract has/)
  assert.throws(() => request.decode(Buffer.alloc(0), 'proto'), /count/)
  assert.throws(() => request.decode(Buffer.alloc(0), 'text'), /has only JSON/)
  const { request: open } = bind(
    service('a.B', { m: rpc.unary({ in: z.object({ left: z.int().default(3) }), out: MUTE }) }),
  )[0]!
  assert.deepEqual(open.decode(Buffer.alloc(0), 'proto'), { left: 3 })
})

test('a number is for ever, and a field of another type is another field', () => {
  const before = service('a.B', {
    m: rpc.unary({
      in: z.object({ one: z.string(), two: z.string(), three: z.string() }),
      out: MUTE,
    }),
  })
  const { numbers } = deriveContract(before)
  const after = service(
    'a.B',
    {
      m: rpc.unary({
        in: z.object({ four: z.string(), three: z.boolean(), one: z.string() }),
        out: MUTE,
      }),
    },
    { fieldNumbers: numbers },
  )
  assert.deepEqual(deriveContract(after).numbers['a.BMRequest'], {
    fields: {
      one: { number: 1, type: 'string' },
      four: { number: 4, type: 'string' },
      three: { number: 5, type: 'bool' },
    },
    reserved: { 2: 'two', 3: 'three' },
  })
  const text = protoText(deriveContract(after))
  assert.match(text, /reserved 2, 3;\n {2}reserved "two";\n {2}string four = 4;/)
})
