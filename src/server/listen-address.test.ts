import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  connectAddress,
  formatListenAddress,
  isLoopback,
  parseListenAddress,
} from './listen-address.ts'

test('every way to write an address is read', () => {
  const cases: [string | number | boolean, unknown][] = [
    ['127.0.0.1:5672', { host: '127.0.0.1', port: 5672 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['broker.example.com:5672', { host: 'broker.example.com', port: 5672 }],
    ['[::1]:5672', { host: '::1', port: 5672 }],
    ['[fe80::1%eth0]:5672', { host: 'fe80::1%eth0', port: 5672 }],
    ['*:5672', { host: '::', port: 5672 }],
    ['5672', { host: '127.0.0.1', port: 5672 }],
    [0, { host: '127.0.0.1', port: 0 }],
    ['off', null],
    [false, null],
  ]
  for (const [text, expected] of cases) assert.deepEqual(parseListenAddress(text), expected)
})

test('what is no address is not guessed', () => {
  const wrong = ['', 'banana', ':5672', '127.0.0.1', '127.0.0.1:', '::1:5672', '1.2.3.4:65536']
  for (const text of [...wrong, '127.0.0.1:-1', '1.5', '99999', 'http://a:1', true, -1, 1.5]) {
    assert.equal(parseListenAddress(text), undefined, String(text))
  }
})

test('an address that was written is read back', () => {
  const host = fc.constantFrom('127.0.0.1', '::1', '::', 'localhost', 'a-b.c')
  fc.assert(
    fc.property(host, fc.nat(65_535), (name, port) => {
      const address = { host: name, port }
      assert.deepEqual(parseListenAddress(formatListenAddress(address)), address)
    }),
  )
})

test('only loopback is loopback', () => {
  for (const host of [
    '127.0.0.1',
    '127.9.9.9',
    'localhost',
    'LOCALHOST',
    '::1',
    '::ffff:127.0.0.1',
  ])
    assert.equal(isLoopback(host), true, host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.com', '127.0.0.1.example.com', ''])
    assert.equal(isLoopback(host), false, host)
})

test('an address that stands for all is reached over loopback', () => {
  assert.equal(connectAddress({ host: '0.0.0.0', port: 1 }).host, '127.0.0.1')
  assert.equal(connectAddress({ host: '::', port: 1 }).host, '::1')
  assert.equal(connectAddress({ host: '10.0.0.1', port: 1 }).host, '10.0.0.1')
})
