import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CALL_WINDOW,
  DEADLINE_MS_DEFAULT,
  DEADLINE_MS_MAX_DEFAULT,
  deadlineAfter,
  messageCost,
  permissionNameOf,
  serviceOf,
} from './call.ts'

test('a call has a deadline, whatever is asked for', () => {
  assert.equal(deadlineAfter(5, null), 5 + DEADLINE_MS_DEFAULT)
  assert.equal(deadlineAfter(5, 100), 105)
  assert.equal(deadlineAfter(5, -1), 5)
  assert.equal(deadlineAfter(5, Infinity), 5 + DEADLINE_MS_MAX_DEFAULT)
  assert.equal(deadlineAfter(5, 100, 50), 55)
})

test('a path names a service and a method', () => {
  assert.equal(serviceOf('/shop.v1.Orders/place'), 'shop.v1.Orders')
  for (const path of ['', '/', '//', 'a/b', '/a', '/a/', '//b']) assert.equal(serviceOf(path), null)
  assert.equal(permissionNameOf('shop.v1.Orders'), 'rpc.shop.v1.Orders')
})

test('empty messages use up a window too', () => {
  assert.ok(messageCost(0) > 0)
  assert.ok(CALL_WINDOW / messageCost(0) < 10_000)
})
