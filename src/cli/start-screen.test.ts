import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startBroker } from '../server/index.ts'
import { readyLine, startScreen } from './start-screen.ts'

test('one screen says what listens where, where data lives and who may log in', async () => {
  await using broker = await startBroker({ listen: { amqp: 0, http: 0, 'mqtt-ws': 0 } })
  const screen = await startScreen(broker)
  assert.match(screen, /^\nWaystation \d+\.\d+\.\d+\S* is ready\n\n/)
  assert.match(
    screen,
    new RegExp(`^ {2}AMQP 0-9-1 +amqp {2}127\\.0\\.0\\.1:${broker.port()}$`, 'm'),
  )
  assert.match(screen, new RegExp(`http {2}127\\.0\\.0\\.1:${broker.port('http')}$`, 'm'))
  assert.match(screen, /^ {2}MQTT over WebSocket +mqtt-ws {2}127\.0\.0\.1:\d+\/mqtt$/m)
  assert.match(screen, /^ {2}data +in memory, gone when the broker stops$/m)
  assert.match(screen, /^ {2}user +guest, password guest, from this machine only$/m)
  assert.match(screen, /^ {2}stop +Ctrl\+C$/m)
})

test('a password that was set is not shown', async () => {
  const defaultUser = { name: 'alice', password: 'wonderland' }
  await using broker = await startBroker({ defaultUser })
  const screen = await startScreen(broker)
  assert.doesNotMatch(screen, /wonderland|guest/)
})

test('programs read one line', async () => {
  await using broker = await startBroker()
  const line = readyLine(broker, 12.6)
  assert.equal(line.indexOf('\n'), line.length - 1)
  const { time, version, ...rest } = JSON.parse(line) as Record<string, unknown>
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/)
  assert.match(String(version), /^\d+\./)
  assert.deepEqual(rest, {
    level: 'info',
    msg: 'ready',
    listeners: { amqp: `127.0.0.1:${broker.port()}` },
    data: 'memory',
    pid: process.pid,
    readyMs: 13,
  })
})
