import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AMQP_0_9_1_HEADER, recogniseProtocolHeader } from './protocol-header.ts'

function recognise(...octets: number[]): string | null {
  return recogniseProtocolHeader(Buffer.from([0x41, 0x4d, 0x51, 0x50, ...octets]))
}

test('each header is recognised from its last octet on', () => {
  assert.equal(recognise(0, 0, 9, 1), 'amqp-0-9-1')
  assert.equal(recognise(0, 0, 9, 1, 1, 0), 'amqp-0-9-1')
  assert.equal(recognise(0, 1, 0, 0), 'amqp-1.0')
  assert.equal(recognise(2, 1, 0, 0), 'amqp-1.0-tls')
  assert.equal(recognise(3, 1, 0, 0), 'amqp-1.0-sasl')
  for (let size = 0; size < 8; size += 1) {
    assert.equal(recogniseProtocolHeader(AMQP_0_9_1_HEADER, 0, size), null)
  }
})

test('anything else is told as soon as it can not match', () => {
  assert.equal(recognise(1, 1, 0, 9), 'other')
  assert.equal(recognise(0, 0, 9, 2), 'other')
  assert.equal(recognise(1), 'other')
  assert.equal(recogniseProtocolHeader(Buffer.from('G')), 'other')
  assert.equal(recogniseProtocolHeader(Buffer.from('xAMQP'), 1), null)
})
