import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Hop, HOP_TYPE, hopDetail, hopOf, isUndelivered } from './hop.ts'
import { Metadata } from './metadata.ts'
import { RpcError, STATUS_CODES, statusNameOf, statusOf } from './status.ts'

test('codes and names stand for each other', () => {
  for (const [name, code] of Object.entries(STATUS_CODES)) assert.equal(statusNameOf(code), name)
  assert.equal(statusNameOf(99), 'UNKNOWN')
  assert.equal(statusNameOf(-1), 'UNKNOWN')
})

test('an error is a status', () => {
  const error = new RpcError('NOT_FOUND', 'no such order', { cause: 'x' })
  assert.deepEqual(error.status, statusOf('NOT_FOUND', 'no such order'))
  assert.equal(error.cause, 'x')
})

test('a hop reads as it was written', () => {
  const fields = {
    stage: fc.constantFrom('unrouted', 'queued', 'delivered', 'started', 'reply_lost'),
    provider: fc.string({ maxLength: 40 }),
    waitedMs: fc.nat({ max: 2 ** 40 }),
  } as const
  const hops: fc.Arbitrary<Hop> = fc.record(fields, { noNullPrototype: true })
  fc.assert(
    fc.property(hops, (hop) => {
      const status = statusOf('UNAVAILABLE', '', [hopDetail(hop)])
      assert.deepEqual(hopOf(status), hop)
      assert.equal(isUndelivered(status), hop.stage === 'unrouted' || hop.stage === 'queued')
    }),
  )
})

// Details come from peers.
test('bytes that are no hop say nothing, and end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (value) => {
      hopOf(statusOf('UNAVAILABLE', '', [{ type: HOP_TYPE, value }]))
    }),
  )
  assert.equal(isUndelivered(statusOf('UNAVAILABLE')), false)
})

test('metadata keeps its order, and refuses what no wire could carry', () => {
  const bytes = Uint8Array.of(1, 2)
  const metadata = Metadata.from([
    ['A', '1'],
    ['b-bin', bytes],
    ['a', '2'],
  ])
  assert.deepEqual(
    [...metadata],
    [
      ['a', '1'],
      ['b-bin', bytes],
      ['a', '2'],
    ],
  )
  assert.deepEqual([metadata.get('a'), metadata.get('b-bin'), metadata.size], ['1', null, 3])
  assert.deepEqual(metadata.with('c', '3').all('a'), ['1', '2'])
  assert.equal(Metadata.from([]), Metadata.EMPTY)
  for (const [name, value] of [
    ['', 'x'],
    ['a b', 'x'],
    ['a', 'line\n'],
    ['a', 'ü'],
    ['a', bytes],
    ['a-bin', 'x'],
  ] as const) {
    assert.throws(() => Metadata.from([[name, value]]), RangeError, name)
  }
})
