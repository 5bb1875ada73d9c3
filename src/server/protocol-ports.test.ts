import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PORTS } from './protocol-ports.ts'
import { PROTOCOLS } from './protocols.ts'

test('no listener and no port has two owners', () => {
  const names = PORTS.map(({ name }) => name)
  assert.deepEqual(names, [...new Set(names)])
  const ports = PORTS.map(({ standardPort }) => standardPort)
  assert.deepEqual(ports, [...new Set(ports)])
})

test('whatever is available is served by one protocol, the HTTP API aside', () => {
  const available = PORTS.filter((port) => port.available && !port.name.startsWith('http'))
  const served = PROTOCOLS.flatMap(({ listeners }) => listeners)
  assert.deepEqual(served.toSorted(), available.map(({ name }) => name).toSorted())
})
