import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeResponse, encodeRequest } from '../../../test/support/kafka-wire.ts'
import { API_VERSIONS } from './api-keys.gen.ts'
import { API_CODECS } from './apis.gen.ts'
import { ERROR, ERROR_NAMES } from './errors.gen.ts'
import { KafkaReader } from './kafka-reader.ts'
import { KafkaWriter } from './kafka-writer.ts'
import { REQUEST_SIZE_MAX_DEFAULT } from './limits.ts'
import {
  readRequestHeader,
  requestSize,
  SIZE_BYTES,
  writeResponseHeader,
} from './message-header.ts'

const isFlexible = (_key: number, version: number): boolean =>
  version >= API_VERSIONS.Metadata.flexibleFrom

test('a client id has the same form in both headers', () => {
  for (const version of [8, 9]) {
    for (const clientId of [null, '', 'shop']) {
      const bytes = encodeRequest('Metadata', { version, correlationId: -7, clientId })
      const size = requestSize(bytes, { at: 0, end: bytes.length }, REQUEST_SIZE_MAX_DEFAULT)
      assert.equal(size, bytes.length - SIZE_BYTES)
      const reader = new KafkaReader().open(bytes, SIZE_BYTES, bytes.length)
      const header = readRequestHeader(reader, isFlexible)
      assert.deepEqual(header, { apiKey: 3, apiVersion: version, correlationId: -7, clientId })
      const { topics } = API_CODECS.Metadata.read(reader, version)
      reader.finish()
      assert.deepEqual(topics, [])
    }
  }
})

test('a response header has tagged fields or not', () => {
  const writer = new KafkaWriter().start()
  writeResponseHeader(writer, 5, false)
  writeResponseHeader(writer, -1, true)
  assert.equal(writer.bytes().toString('hex'), '00000005ffffffff00')
})

test('an answer behind its header is what a client reads', () => {
  const writer = new KafkaWriter().start()
  for (const version of [0, 3]) {
    writer.start()
    writeResponseHeader(writer, 9, version >= API_VERSIONS.FindCoordinator.flexibleFrom)
    const value = { nodeId: 4, host: 'a', port: 1 }
    API_CODECS.FindCoordinator.write(writer, version, value)
    const answer = decodeResponse('FindCoordinator', version, writer.bytes())
    assert.equal(answer.correlationId, 9)
    assert.equal(answer.value['nodeId'], 4)
    assert.equal(answer.value['host'], 'a')
  }
})

test('a size is waited for, and refused beyond the limit', () => {
  const bytes = Buffer.from('00000000000a', 'hex')
  assert.equal(requestSize(bytes, { at: 0, end: 3 }, 100), null)
  assert.equal(requestSize(bytes, { at: 2, end: 6 }, 10), 10)
  assert.throws(() => requestSize(bytes, { at: 2, end: 6 }, 9), /10 octets, limit is 9/)
  assert.throws(() => requestSize(Buffer.alloc(4, 0xff), { at: 0, end: 4 }, 9), /-1 octets/)
})

test('every error has a name, and every name one code', () => {
  assert.equal(ERROR.NONE, 0)
  assert.equal(ERROR_NAMES.get(ERROR.OFFSET_OUT_OF_RANGE), 'OFFSET_OUT_OF_RANGE')
  assert.equal(ERROR_NAMES.size, Object.keys(ERROR).length)
  assert.equal(ERROR_NAMES.size, 135)
})
