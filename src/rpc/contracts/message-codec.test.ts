import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BytesValue, BytesValueSchema } from '@bufbuild/protobuf/wkt'
import { codecOf } from './message-codec.ts'

// What comes is borrowed: the next read of the connection lies in the same octets.
test('a message keeps its bytes when what it was read from is overwritten', () => {
  const codec = codecOf(BytesValueSchema)
  const borrowed = Buffer.from(codec.encode({ value: Buffer.from('kept') }, 'proto'))
  const message = codec.decode(borrowed, 'proto') as BytesValue
  borrowed.fill(0xff)
  assert.equal(Buffer.from(message.value).toString(), 'kept')
})
