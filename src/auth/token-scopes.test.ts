import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenScopes } from './token-scopes.ts'

test('a scope allows one kind of use of the names that fit', () => {
  const scopes = new TokenScopes(['read:shop/orders.*', 'write:*/*.in', 'configure:%2F/a%2Fb%2A'])
  assert.equal(scopes.allowed('shop', 'orders.eu', 'read'), true)
  assert.equal(scopes.allowed('shop', 'orders', 'read'), false)
  assert.equal(scopes.allowed('shop', 'orders.eu', 'write'), false)
  assert.equal(scopes.allowed('other', 'orders.eu', 'read'), false)
  assert.equal(scopes.allowed('any', 'x.in', 'write'), true)
  assert.equal(scopes.allowed('any', 'x.in.y', 'write'), false)
  assert.equal(scopes.allowed('/', 'a/b*', 'configure'), true)
  assert.equal(scopes.allowed('/', 'a/bc', 'configure'), false)
})

test('whoever may do something in a virtual host may enter it', () => {
  const scopes = new TokenScopes(['read:shop-*/x', 'tag:administrator'])
  assert.equal(scopes.mayEnter('shop-1'), true)
  assert.equal(scopes.mayEnter('/'), false)
  assert.deepEqual(scopes.tags, ['administrator'])
})

test('a third part narrows routing keys, without it all are allowed', () => {
  const scopes = new TokenScopes(['write:*/t/eu.*', 'read:*/t'])
  const asked = { user: 'u', vhost: '/', exchange: 't' } as const
  assert.equal(scopes.topicAllowed({ ...asked, kind: 'write', routingKey: 'eu.x' }), true)
  assert.equal(scopes.topicAllowed({ ...asked, kind: 'write', routingKey: 'us.x' }), false)
  assert.equal(scopes.topicAllowed({ ...asked, kind: 'read', routingKey: 'us.x' }), true)
  assert.equal(scopes.allowed('/', 't', 'write'), true)
})

test('what is no scope of ours allows nothing', () => {
  const texts = ['openid', 'read:x', 'read:a/b/c/d', 'read:%zz/x', 'own:*/*', 'read:', 'tag:a b']
  const scopes = new TokenScopes(texts)
  for (const kind of ['read', 'write', 'configure'] as const) {
    assert.equal(scopes.allowed('x', 'x', kind), false)
  }
  assert.equal(scopes.mayEnter('a'), false)
  assert.deepEqual(scopes.tags, [])
})

test('gaps that could fit in many ways are still decided', () => {
  const scopes = new TokenScopes([`read:*/${'*a'.repeat(50)}`])
  assert.equal(scopes.allowed('/', `${'a'.repeat(5000)}b`, 'read'), false)
  assert.equal(scopes.allowed('/', 'a'.repeat(50), 'read'), true)
  assert.equal(scopes.allowed('/', 'a'.repeat(49), 'read'), false)
  assert.equal(new TokenScopes(['read:*/ab*ba']).allowed('/', 'aba', 'read'), false)
})
