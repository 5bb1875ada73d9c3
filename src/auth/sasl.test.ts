import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { HeaderMap, HeaderValue } from '../model/header-value.ts'
import type { Peer } from './credentials.ts'
import { createSaslMechanism, saslMechanisms, type SaslStep } from './sasl.ts'

const PEER: Peer = { address: '127.0.0.1', loopback: true }
const CERTIFIED: Peer = { ...PEER, certificateName: 'robot' }

function respond(name: string, response: string | Uint8Array | HeaderMap, peer = PEER): SaslStep {
  const mechanism = createSaslMechanism(name, peer)
  assert.ok(mechanism !== null)
  return mechanism.respond(typeof response === 'string' ? Buffer.from(response) : response)
}

function login(mechanism: string, username: string, password: string): SaslStep {
  return { kind: 'login', credentials: { mechanism, username, password } }
}

test('PLAIN reads user and password', () => {
  assert.deepEqual(respond('PLAIN', '\0guest\0guest'), login('PLAIN', 'guest', 'guest'))
  assert.deepEqual(respond('PLAIN', 'ü\0ü\0пароль'), login('PLAIN', 'ü', 'пароль'))
  assert.deepEqual(respond('PLAIN', '\0u\0'), login('PLAIN', 'u', ''))
  const text = fc.string({ minLength: 1 }).filter((value) => !value.includes('\0'))
  fc.assert(
    fc.property(text, text, (username, password) => {
      const step = respond('PLAIN', `\0${username}\0${password}`)
      assert.deepEqual(step, login('PLAIN', username, password))
    }),
  )
})

test('PLAIN asks once for a response that did not come', () => {
  const mechanism = createSaslMechanism('PLAIN', PEER)!
  const nothing = Buffer.alloc(0)
  assert.deepEqual(mechanism.respond(nothing), { kind: 'challenge', data: nothing })
  assert.deepEqual(mechanism.respond(Buffer.from('\0u\0p')), login('PLAIN', 'u', 'p'))
  assert.equal(mechanism.respond(nothing).kind, 'malformed')
})

test('what is not PLAIN is malformed, whatever the bytes', () => {
  const bad = ['x', 'guest\0guest', '\0u', '\0u\0p\0', '\0\0u\0p', 'other\0u\0p']
  for (const response of bad) assert.equal(respond('PLAIN', response).kind, 'malformed', response)
  const latin = Buffer.from('\0u\0p\xff', 'latin1')
  assert.equal(respond('PLAIN', latin).kind, 'malformed')
  assert.equal(respond('PLAIN', new Map()).kind, 'malformed')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const { kind } = respond('PLAIN', bytes)
      assert.ok(kind === 'malformed' || kind === 'login' || bytes.length === 0)
    }),
  )
})

test('AMQPLAIN reads a table', () => {
  const table = (entries: [string, HeaderValue][]): SaslStep =>
    respond('AMQPLAIN', new Map(entries))
  assert.deepEqual(
    table([
      ['LOGIN', 'u'],
      ['PASSWORD', Buffer.from('p')],
      ['OTHER', 1],
    ]),
    login('AMQPLAIN', 'u', 'p'),
  )
  assert.equal(table([['LOGIN', 'u']]).kind, 'malformed')
  assert.equal(
    table([
      ['LOGIN', ''],
      ['PASSWORD', 'p'],
    ]).kind,
    'malformed',
  )
  assert.equal(
    table([
      ['LOGIN', 'u'],
      ['PASSWORD', 5],
    ]).kind,
    'malformed',
  )
  assert.equal(respond('AMQPLAIN', 'LOGIN').kind, 'malformed')
})

test('EXTERNAL is what the certificate says, and open to nobody without one', () => {
  assert.deepEqual(saslMechanisms(PEER), ['PLAIN', 'AMQPLAIN'])
  assert.deepEqual(saslMechanisms(CERTIFIED), ['PLAIN', 'AMQPLAIN', 'EXTERNAL'])
  assert.equal(createSaslMechanism('EXTERNAL', PEER), null)
  assert.equal(createSaslMechanism('EXTERNAL', { ...PEER, certificateName: '' }), null)
  assert.equal(createSaslMechanism('plain', PEER), null)
  assert.equal(createSaslMechanism('constructor', PEER), null)
  const credentials = { mechanism: 'EXTERNAL', username: 'robot', password: null }
  for (const response of ['', 'robot']) {
    assert.deepEqual(respond('EXTERNAL', response, CERTIFIED), { kind: 'login', credentials })
  }
  assert.equal(respond('EXTERNAL', 'admin', CERTIFIED).kind, 'malformed')
  assert.equal(respond('EXTERNAL', Buffer.of(0xff), CERTIFIED).kind, 'malformed')
  assert.equal(respond('EXTERNAL', new Map(), CERTIFIED).kind, 'malformed')
})
