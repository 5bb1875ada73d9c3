import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AmqpFrameError, METHOD, REPLY } from '../../codec/amqp091/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { AmqpError, failureOf, notFound, REPLIES, resourceLocked } from './errors.ts'

test('every refusal of the broker has a reply of the scope the specification gives it', () => {
  for (const [code, { reply, scope }] of Object.entries(REPLIES)) {
    assert.ok(REPLY[reply] >= 300, code)
    assert.equal(new AmqpError(reply, 'x').scope, scope, code)
  }
})

test('what was thrown becomes a close that blames the method', () => {
  const refused = failureOf(new BrokerError('NOT_FOUND', "no queue 'x'"), METHOD.BASIC_GET)
  assert.deepEqual(refused, {
    reply: 'NOT_FOUND',
    scope: 'channel',
    text: "no queue 'x'",
    methodId: METHOD.BASIC_GET,
    isOurs: false,
  })
  const locked = failureOf(resourceLocked('q', '/'), METHOD.QUEUE_DECLARE)
  assert.equal(locked.scope, 'channel')
  assert.match(locked.text, /^cannot obtain exclusive access to locked queue 'q' in vhost '\/'\. /)
  assert.equal(notFound('exchange', 'x', '/').message, "no exchange 'x' in vhost '/'")
})

test('a frame out of place blames the method it disturbed, or none', () => {
  const none = new AmqpFrameError('UNEXPECTED_FRAME', 'x')
  assert.equal(failureOf(none, METHOD.BASIC_PUBLISH).methodId, 0)
  const about = { classId: 60, methodId: 40 }
  const disturbed = new AmqpFrameError('UNEXPECTED_FRAME', 'x', about)
  assert.equal(failureOf(disturbed, METHOD.BASIC_QOS).methodId, METHOD.BASIC_PUBLISH)
  const malformed = new AmqpFrameError('SYNTAX_ERROR', 'x')
  assert.equal(failureOf(malformed, METHOD.BASIC_QOS).methodId, METHOD.BASIC_QOS)
})

test('a fault of ours ends the connection and keeps its story to itself', () => {
  const fault = failureOf(new TypeError('secret path'), 0)
  assert.deepEqual([fault.reply, fault.scope, fault.text], ['INTERNAL_ERROR', 'connection', ''])
  assert.equal(fault.isOurs, true)
})
