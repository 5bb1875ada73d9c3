import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AmqpFrameError, replyText } from './frame-error.ts'
import { CONNECTION_REPLIES, REPLY, REPLY_NAMES } from './spec.gen.ts'

test('an error knows its reply code and who is to blame', () => {
  const cause = new Error('inside')
  const error = new AmqpFrameError('SYNTAX_ERROR', 'no table', { classId: 50, methodId: 10, cause })
  assert.deepEqual([error.replyCode, error.classId, error.methodId], [502, 50, 10])
  assert.equal(error.cause, cause)
  assert.deepEqual(new AmqpFrameError('FRAME_ERROR', 'x').classId, 0)
})

test('a reply text fits into a short string and never ends inside a character', () => {
  assert.equal(replyText('NOT_FOUND', "no queue 'x'"), "NOT_FOUND - no queue 'x'")
  assert.equal(replyText('NO_ROUTE', ''), 'NO_ROUTE')
  for (let size = 236; size < 248; size += 1) {
    const text = replyText('NOT_FOUND', `${'x'.repeat(size)}€€€`)
    assert.ok(Buffer.byteLength(text) <= 255)
    assert.ok(Buffer.byteLength(text) >= Math.min(253, 12 + size))
    assert.ok(!text.includes('\ufffd'))
  }
})

test('reply codes and names belong together', () => {
  assert.equal(REPLY.PRECONDITION_FAILED, 406)
  assert.equal(REPLY_NAMES.get(504), 'CHANNEL_ERROR')
  assert.ok(CONNECTION_REPLIES.has('FRAME_ERROR') && !CONNECTION_REPLIES.has('NOT_FOUND'))
})
