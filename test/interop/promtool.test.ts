/** Prometheus's own promtool reads what /metrics serves, and finds nothing to say against it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { connect } from 'amqplib'
import { startManaged } from '../support/management-client.ts'
import { cacheFolder } from './driver.ts'

const PROGRAM = path.join(cacheFolder('promtool'), 'promtool')

test('promtool', async (context) => {
  if (!existsSync(PROGRAM)) {
    context.skip(`promtool is absent: no ${PROGRAM} (test/interop/setup.sh fetches it)`)
    return
  }
  await using broker = await startManaged()
  const connection = await connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  await channel.assertQueue('odd "name" \\ of\tqueue')
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  for (const where of ['/metrics', '/metrics/per-object']) {
    const response = await fetch(broker.url('http') + where, { headers: { authorization } })
    const input = await response.text()
    const { status, stdout, stderr } = spawnSync(PROGRAM, ['check', 'metrics'], {
      input,
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.equal(stdout + stderr, '', where)
    assert.equal(status, 0, where)
  }
  await connection.close()
})
