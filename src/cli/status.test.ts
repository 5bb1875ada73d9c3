import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrokerStatus } from '../model/shapes/status.ts'
import { formatStatus } from './status.ts'

const STATUS: BrokerStatus = {
  version: '1.2.3',
  pid: 42,
  startedAtMs: 0,
  data: '/data',
  memoryBytes: 100_000_000,
  memoryLimitBytes: 1_000_000_000,
  diskFreeBytes: 20_000_000_000,
  diskFreeLimitBytes: 1_000_000_000,
  store: { engine: 'embedded', durability: 'fsync', state: 'ready' },
  listeners: [{ name: 'amqp', address: '127.0.0.1:5672', tls: false, connections: 1 }],
  alarm: null,
  vhosts: 1,
  destinations: 2,
  ready: 3,
  unsettled: 4,
  consumers: 5,
  connections: 1,
}

test('status is a line for each thing one wants to know', () => {
  assert.deepEqual(formatStatus(STATUS, 93_784_000).split('\n'), [
    'version     1.2.3',
    'process     42, up 1 d 2 h',
    'data        /data',
    'store       embedded, ready, a confirm means fsync',
    'publishers  may publish',
    'amqp        127.0.0.1:5672, 1 connection',
    'queues      2 in 1 virtual host',
    'messages    3 ready, 4 unsettled',
    'consumers   5',
    '',
  ])
})

test('an alarm says why publishers wait', () => {
  const text = formatStatus({ ...STATUS, alarm: 'the disk is full' }, 5000)
  assert.match(text, /^publishers {2}must wait: the disk is full$/m)
  assert.match(text, /up 5 s$/m)
})
