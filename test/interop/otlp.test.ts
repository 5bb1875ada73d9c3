/** Metrics by OTLP, read with the messages that OpenTelemetry itself publishes for Python. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { CommandFolder } from '../support/command.ts'
import { OtlpReceiver } from '../support/otlp-receiver.ts'
import { cacheFolder } from './driver.ts'

const PYTHON = path.join(cacheFolder('python'), 'bin/python')
const READER = path.join(import.meta.dirname, 'python/otlp_metrics.py')

interface Point {
  readonly attributes: Readonly<Record<string, string>>
  readonly value: number
  readonly buckets: readonly number[]
}

interface Metric {
  readonly kind: 'sum' | 'gauge' | 'histogram'
  readonly unit: string
  readonly monotonic: boolean
  readonly temporality: number
  readonly points: readonly Point[]
}

interface Read {
  readonly resource: Readonly<Record<string, string>>
  readonly metrics: Readonly<Record<string, Metric>>
}

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

function read(body: string): Read {
  const { status, stdout, stderr } = spawnSync(PYTHON, [READER], { input: body, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout) as Read
}

test('metrics by OTLP are what Prometheus is told', async (context) => {
  if (!existsSync(PYTHON)) {
    context.skip('opentelemetry-proto is absent (test/interop/setup.sh fetches it)')
    return
  }
  await using receiver = new OtlpReceiver()
  const endpoint = `${await receiver.listen()}/v1/metrics`
  const settings = ['exportEvery=1s', `otlp=${endpoint}`].flatMap((one) => [
    '--set',
    `metrics.${one}`,
  ])
  const names = ['--set', 'tracing.serviceName=shop']
  await using command = folder.start(folder.freshDirectory(), ...settings, ...names)
  const { listeners } = await command.ready()
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('orders')
  for (let index = 0; index < 3; index++) channel.sendToQueue('orders', Buffer.from('x'))
  await channel.waitForConfirms()
  const published = 'waystation_messages_published_total'
  const isWhole = ({ body }: { readonly body: string }): boolean => {
    return body.includes(`"${published}"`) && read(body).metrics[published]?.points[0]?.value === 3
  }
  const { body, path: where, contentType } = await receiver.until(isWhole)
  assert.deepEqual([where, contentType], ['/v1/metrics', 'application/json'])
  const { resource, metrics } = read(body)
  assert.equal(resource['service.name'], 'shop')
  const { kind, monotonic, temporality, points } = metrics[published]!
  assert.deepEqual(
    { kind, monotonic, temporality },
    { kind: 'sum', monotonic: true, temporality: 2 },
  )
  assert.deepEqual(points[0]?.attributes, { protocol: 'AMQP 0-9-1', vhost: '/' })
  assert.equal(metrics['process_resident_memory_bytes']?.unit, 'By')
  const syncs = metrics['waystation_disk_sync_seconds']!
  assert.deepEqual([syncs.kind, syncs.unit], ['histogram', 's'])
  const [{ value: count, buckets } = { value: 0, buckets: [] }] = syncs.points
  assert.ok(count > 0)
  assert.equal(
    buckets.reduce((sum, one) => sum + one, 0),
    count,
  )

  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const url = `http://${listeners['http']}/metrics`
  const text = await (await fetch(url, { headers: { authorization } })).text()
  const told = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name)
  assert.deepEqual(Object.keys(metrics).toSorted(), told.toSorted())
  await connection.close()
  const before = receiver.requests.length
  command.kill('SIGTERM')
  assert.equal((await command.ended).code, 0)
  assert.ok(receiver.requests.length > before, 'it sends a last time when it stops')
})

test('a broker whose metrics nobody takes works, and says so', async () => {
  const settings = ['exportEvery=1s', 'otlp=http://127.0.0.1:1/v1/metrics']
  const args = settings.flatMap((one) => ['--set', `metrics.${one}`])
  await using command = folder.start(folder.freshDirectory(), ...args)
  const { listeners } = await command.ready()
  const connection = await connect(`amqp://${listeners['amqp']}`)
  await connection.close()
  command.kill('SIGTERM')
  const { code, stdout } = await command.ended
  assert.equal(code, 0)
  assert.match(stdout, /OTLP: something cannot be sent/)
})
