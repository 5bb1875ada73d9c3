import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label as LABEL,
  FieldDescriptorProto_Type as TYPE,
  type FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { decodeFields, textOf } from '../../codec/grpc/index.ts'
import { DESCRIPTORS_BYTES_MAX } from '../../codec/rpc/index.ts'
import { ALL_DESCRIPTORS_BYTES_MAX } from '../limits.ts'
import { DescriptorSets } from './descriptor-sets.ts'

type File = MessageInitShape<typeof FileDescriptorProtoSchema>

function setOf(...file: File[]): Uint8Array {
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }))
}

const text = (name: string, number: number) => ({
  ...{ name, number, type: TYPE.STRING, label: LABEL.OPTIONAL },
})

const MONEY: File = {
  ...{ name: 'common/money.proto', package: 'common.v1', syntax: 'proto3' },
  messageType: [{ name: 'Money', field: [text('amount', 1)] }],
}

const SHOP: File = {
  ...{ name: 'shop.proto', package: 'shop.v1', dependency: ['common/money.proto'] },
  messageType: [
    {
      ...{ name: 'Order', field: [text('id', 1)], oneofDecl: [{ name: 'paid_by' }] },
      nestedType: [{ name: 'Line', field: [text('sku', 1)] }],
      enumType: [{ name: 'State', value: [{ name: 'OPEN', number: 0 }] }],
    },
  ],
  enumType: [{ name: 'Colour', value: [{ name: 'RED', number: -7 }] }],
  service: [{ name: 'Orders', method: [{ name: 'Place' }] }],
  extension: [{ ...text('note', 1000), extendee: '.common.v1.Money' }],
}

test('a name is found where it is defined, and the file comes with what it imports', () => {
  const sets = new DescriptorSets()
  const set = sets.hold(setOf(MONEY, SHOP), ['shop.v1.Orders'])!
  const here = [
    ...['shop.v1.Orders', 'shop.v1.Orders.Place', 'shop.v1.Order', 'shop.v1.Order.id'],
    ...['shop.v1.Order.Line', 'shop.v1.Order.Line.sku', 'shop.v1.Order.State', 'shop.v1.note'],
    ...['shop.v1.Order.paid_by', 'shop.v1.Colour', 'shop.v1.RED'],
  ]
  for (const name of here) assert.equal(set.defining(name)?.name, 'shop.proto', name)
  for (const name of [
    ...['', 'shop.v1', 'shop.v1.Orders.Other', 'shop.v1.Order.id.x', 'shop.v1.Order.Line.id'],
    ...['shop.v1.Colour.RED', 'Order', 'shop.v1.Orders.Place.x'],
  ]) {
    assert.equal(set.defining(name), null, name)
  }
  const names = set.closure(set.file('shop.proto')!).map(({ name }) => name)
  assert.deepEqual(names, ['shop.proto', 'common/money.proto'])
  assert.deepEqual(set.file('shop.proto')?.extensions, [
    { extends: 'common.v1.Money', number: 1000 },
  ])
})

test('what instances hand over alike is kept once, until the last is gone', () => {
  const sets = new DescriptorSets()
  const bytes = setOf(MONEY, SHOP)
  const one = sets.hold(bytes, ['a.A'])
  assert.equal(sets.hold(new Uint8Array(bytes), ['a.A', 'b.B']), one)
  assert.deepEqual(
    [...one!.services],
    [
      ['a.A', 2],
      ['b.B', 1],
    ],
  )
  sets.release(one, ['a.A', 'b.B'])
  assert.equal(sets.newestFirst.length, 1)
  sets.release(one, ['a.A'])
  assert.equal(sets.newestFirst.length, 0)
})

test('files of one name that differ are told apart, with all that import them', () => {
  const sets = new DescriptorSets()
  const stamp: File = { name: 'google/protobuf/timestamp.proto', package: 'google.protobuf' }
  const first = sets.hold(setOf(stamp, MONEY, SHOP), ['a.A'])!
  const other = { ...MONEY, messageType: [{ name: 'Money', field: [text('units', 1)] }] }
  const otherStamp = { ...stamp, syntax: 'proto3' }
  const second = sets.hold(setOf(otherStamp, other, SHOP), ['b.B'])!
  const names = [...second.files].map(({ name }) => name)
  const prefix = names[1]!.slice(0, -'common/money.proto'.length)
  assert.match(prefix, /^~[0-9a-f]{12}\/$/)
  assert.deepEqual(names, [
    'google/protobuf/timestamp.proto',
    `${prefix}common/money.proto`,
    `${prefix}shop.proto`,
  ])
  const shop = second.defining('shop.v1.Orders')!
  const fields = decodeFields(shop.bytes)!
  assert.deepEqual([textOf(fields, 1), textOf(fields, 3)], [names[2], names[1]])
  assert.equal(second.closure(shop).length, 2)
  assert.equal(second.defining('shop.v1.Order.Line.sku'), shop)
  assert.equal(first.defining('shop.v1.Orders')?.name, 'shop.proto')
  // The same as the first is no other.
  const third = sets.hold(setOf(MONEY), ['c.C'])!
  assert.equal([...third.files][0]?.name, 'common/money.proto')
  sets.release(first, ['a.A'])
  sets.release(third, ['c.C'])
  const fourth = sets.hold(setOf(other), ['d.D'])!
  assert.equal([...fourth.files][0]?.name, 'common/money.proto', 'the name is free again')
})

test('what is none, too large or one too many is not kept, and leaves nothing behind', () => {
  const sets = new DescriptorSets()
  const large = (fill: string): Uint8Array =>
    setOf({ name: 'x', package: fill.repeat(DESCRIPTORS_BYTES_MAX - 100) })
  assert.equal(sets.hold(undefined, ['a']), null)
  assert.equal(sets.hold(new Uint8Array(0), ['a']), null)
  assert.equal(sets.hold(Buffer.from('no descriptors'), ['a']), null)
  assert.equal(sets.hold(setOf(MONEY, MONEY), ['a']), null)
  assert.equal(sets.hold(setOf({ package: 'without.a.name' }), ['a']), null)
  assert.equal(sets.hold(new Uint8Array(DESCRIPTORS_BYTES_MAX + 1), ['a']), null)
  const values = Array.from({ length: 20_000 }, (_, at) => ({ name: `V${at}`, number: at }))
  const many = setOf({ name: 'x', enumType: [{ name: 'E', value: values }] })
  assert.equal(sets.hold(many, ['a']), null)
  const fits = ALL_DESCRIPTORS_BYTES_MAX / DESCRIPTORS_BYTES_MAX
  for (let at = 0; at < fits; at++) {
    assert.notEqual(sets.hold(large(String.fromCharCode(97 + at)), ['a']), null)
  }
  assert.equal(sets.hold(large('~'), ['a']), null)
  const [last] = sets.newestFirst
  sets.release(last!, ['a'])
  assert.notEqual(sets.hold(large('~'), ['a']), null)
})

// Providers hand over whatever they like.
test('octets that describe nothing are refused and never thrown at anybody', () => {
  const good = setOf(MONEY, SHOP)
  const cut = fc
    .record({ at: fc.nat(good.length - 1), value: fc.nat(255) })
    .map(({ at, value }) => {
      const bytes = Buffer.from(good)
      bytes[at] = value
      return bytes
    })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), cut), (bytes) => {
      const sets = new DescriptorSets()
      const set = sets.hold(bytes, ['a.A'])
      if (set === null) return
      for (const file of set.files) set.closure(file)
      for (const name of ['shop.v1.Order.Line.sku', 'common.v1.Money.amount', '..', '']) {
        set.defining(name)
      }
      sets.release(set, ['a.A'])
      assert.equal(sets.newestFirst.length, 0)
    }),
    { numRuns: 500 },
  )
})
