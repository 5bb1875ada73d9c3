import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expirationMsOf } from './expiration.ts'

function parse(text: string): number {
  const bytes = Buffer.from(`xx${text}yy`)
  return expirationMsOf(bytes, 2, bytes.length - 2)
}

test('digits are milliseconds', () => {
  assert.equal(parse('0'), 0)
  assert.equal(parse('007'), 7)
  assert.equal(parse('+5'), 5)
  assert.equal(parse('60000'), 60_000)
  assert.equal(parse('99999999999'), 99_999_999_999)
  assert.equal(parse('9'.repeat(40)), Number.MAX_SAFE_INTEGER)
})

test('anything else is refused in the words of RabbitMQ', () => {
  const texts: Record<string, string> = {
    '': "invalid expiration '': no_integer",
    abc: "invalid expiration 'abc': no_integer",
    ' 5': "invalid expiration ' 5': no_integer",
    '-1': "invalid expiration '-1': {value_negative,-1}",
    '1.5': 'invalid expiration \'1.5\': {leftover_string,".5"}',
    '12a': 'invalid expiration \'12a\': {leftover_string,"a"}',
  }
  for (const [text, message] of Object.entries(texts)) {
    assert.throws(() => parse(text), { message, reply: 'PRECONDITION_FAILED' })
  }
})
