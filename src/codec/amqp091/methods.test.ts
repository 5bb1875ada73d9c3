import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fieldTables } from '../../../test/support/amqp-field-arbitraries.ts'
import { AmqpFrameError } from './frame-error.ts'
import { METHOD_SHAPES } from './methods.gen.ts'
import type { FieldType, Method, MethodShape } from './methods.gen.ts'
import {
  decodeMethod,
  encodeMethod,
  methodFrameBytes,
  methodIdOf,
  methodShape,
  writeMethod,
} from './methods.ts'
import type { MethodInput } from './methods.ts'
import { METHOD, METHOD_NAMES } from './spec.gen.ts'

const shortText = fc
  .string({ unit: 'binary', maxLength: 80 })
  .filter((text) => Buffer.byteLength(text) < 256)

const VALUES: Readonly<Record<FieldType, fc.Arbitrary<unknown>>> = {
  bit: fc.boolean(),
  octet: fc.nat(0xff),
  short: fc.nat(0xffff),
  long: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  longlong: fc.maxSafeNat(),
  shortstr: shortText,
  longstr: fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets)),
  table: fieldTables,
}

function methodsOf(shape: MethodShape): fc.Arbitrary<Method> {
  const fields = shape.fields.map((field) => [field.name, VALUES[field.type]] as const)
  const model = { name: fc.constant(shape.name), ...Object.fromEntries(fields) }
  return fc.record(model, { noNullPrototype: true }) as unknown as fc.Arbitrary<Method>
}

function decodeFrame(frame: Buffer): Method {
  assert.equal(frame.readUInt32BE(3), frame.length - 8)
  assert.equal(frame.at(-1), 0xce)
  return decodeMethod(frame.readUInt32BE(7), frame, 11, frame.length - 1)
}

for (const shape of METHOD_SHAPES) {
  test(`${shape.name} is the same after the wire, at any byteOffset`, () => {
    fc.assert(
      fc.property(methodsOf(shape), fc.nat(20), fc.nat(0xffff), (method, offset, channel) => {
        const input = method as MethodInput
        const out = Buffer.alloc(offset + methodFrameBytes(input) + 4, 0xaa)
        const end = writeMethod(out, offset, channel, input)
        assert.equal(end, out.length - 4)
        assert.equal(out.readUInt32BE(end), 0xaaaaaaaa)
        const frame = out.subarray(offset, end)
        assert.equal(frame.readUInt16BE(1), channel)
        assert.deepEqual(frame, encodeMethod(channel, input))
        assert.deepEqual(decodeFrame(frame), method)
      }),
      { numRuns: 20 },
    )
  })
}

test('the ids and names of the two generated tables agree', () => {
  assert.equal(METHOD_SHAPES.length, Object.keys(METHOD).length)
  for (const shape of METHOD_SHAPES) {
    assert.equal(METHOD_NAMES.get(shape.id), shape.name)
    assert.equal(methodIdOf(shape.name), shape.id)
    assert.equal(methodShape(shape.id), shape)
  }
  assert.equal(methodIdOf('queue.declare'), METHOD.QUEUE_DECLARE)
  assert.equal(methodShape(METHOD.BASIC_PUBLISH)?.hasContent, true)
  assert.equal(methodShape(METHOD.QUEUE_DECLARE)?.synchronous, true)
  assert.equal(methodShape(0), undefined)
})

// By hand from the grammar: both directions can't share a mistake.
test('queue.declare has the octets of the grammar', () => {
  const frame = encodeMethod(1, {
    name: 'queue.declare',
    queue: 'q',
    durable: true,
    autoDelete: true,
    arguments: new Map([['x-max-length', 5]]),
  })
  const argumentTable = `00000012${'0c'}${Buffer.from('x-max-length').toString('hex')}4900000005`
  assert.equal(
    frame.toString('hex'),
    `010001${'0000001f'}0032000a${'0000'}${'0171'}${'0a'}${argumentTable}ce`,
  )
})

test('what is left out has the default of the grammar', () => {
  const method = decodeFrame(encodeMethod(0, { name: 'connection.open' }))
  assert.deepEqual(method, {
    name: 'connection.open',
    virtualHost: '/',
    capabilities: '',
    insist: false,
  })
  const start = decodeFrame(encodeMethod(0, { name: 'connection.secure', challenge: 'é' }))
  assert.deepEqual(start, { name: 'connection.secure', challenge: Buffer.from('é') })
})

test('what can not be written is refused before it is', () => {
  const long = { name: 'channel.open', outOfBand: 'x'.repeat(256) } as const
  assert.throws(() => encodeMethod(1, long), RangeError)
  const out = Buffer.alloc(10)
  assert.throws(() => writeMethod(out, 0, 1, { name: 'channel.open' }), RangeError)
  assert.deepEqual(out, Buffer.alloc(10))
  assert.throws(
    () => encodeMethod(1, { name: 'queue.declare-ok' } as unknown as MethodInput),
    TypeError,
  )
  assert.throws(() => encodeMethod(1, { name: 'basic.x' } as unknown as MethodInput), TypeError)
})

test('an unknown method is not implemented, and named', () => {
  assert.throws(() => decodeMethod(0x003c00c8, Buffer.alloc(0), 0, 0), {
    name: 'AmqpFrameError',
    code: 'NOT_IMPLEMENTED',
    replyCode: 540,
    classId: 60,
    methodId: 200,
  })
})

test('malformed arguments are a frame error that names the method', () => {
  const frame = encodeMethod(1, { name: 'queue.declare', queue: 'q' })
  const error = { name: 'AmqpFrameError', code: 'FRAME_ERROR', classId: 50, methodId: 10 }
  const { length } = frame
  for (let end = 11; end < length - 1; end += 1) {
    assert.throws(() => decodeMethod(METHOD.QUEUE_DECLARE, frame, 11, end), error)
  }
  const longer = Buffer.concat([frame.subarray(0, length - 1), Buffer.of(0)])
  assert.throws(() => decodeMethod(METHOD.QUEUE_DECLARE, longer, 11, longer.length), error)
  const noText = Buffer.from(frame)
  noText[14] = 0xff
  assert.throws(() => decodeMethod(METHOD.QUEUE_DECLARE, noText, 11, length - 1), /UTF-8/)
})

test('any octets as arguments of any method throw nothing but AmqpFrameError', () => {
  const ids = fc.constantFrom(...METHOD_SHAPES.map((shape) => shape.id))
  fc.assert(
    fc.property(ids, fc.uint8Array({ maxLength: 60 }), (id, octets) => {
      try {
        decodeMethod(id, Buffer.from(octets), 0, octets.length)
      } catch (error) {
        assert.ok(error instanceof AmqpFrameError, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})
