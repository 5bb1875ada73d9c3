import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

interface Latencies {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

interface Report {
  readonly protocol: string
  readonly published: number
  readonly consumed: number
  readonly publishedPerSecond: number
  readonly consumedPerSecond: number
  readonly seconds: number
  readonly confirm: Latencies | null
  readonly delivery: Latencies | null
}

async function bench(...args: readonly string[]): Promise<Report> {
  const { code, stdout, stderr } = await folder.run(['bench', '--json', ...args])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as Report
}

function checkLatencies(latencies: Latencies | null, count: number): void {
  assert.equal(latencies?.count, count)
  const { p50Ms, p99Ms, maxMs } = latencies
  assert.ok(p50Ms > 0 && p50Ms <= p99Ms && p99Ms <= maxMs + 0.01, JSON.stringify(latencies))
}

test('a broker that is started for it is loaded over AMQP, and each message is counted once', async () => {
  const clients = ['--publishers', '2', '--consumers', '3', '--queues', '2', '--window', '50']
  const report = await bench('--start', ...clients, '--count', '3001', '--size', '1KiB')
  assert.deepEqual([report.published, report.consumed], [3001, 3001])
  checkLatencies(report.confirm, 3001)
  checkLatencies(report.delivery, 3001)
  assert.ok(report.publishedPerSecond > 0 && report.consumedPerSecond > 0 && report.seconds > 0)
})

test('a running broker is found by its data directory, and nothing is left on it', async () => {
  const data = folder.freshDirectory()
  await using broker = folder.start(data)
  const { listeners } = await broker.ready()
  const paced = await bench('--data', data, '--rate', '2000', '--for', '300ms')
  assert.equal(paced.consumed, paced.published)
  assert.ok(paced.published > 0 && paced.published <= 2000)
  const url = `amqp://${listeners['amqp']}`
  const unread = await bench('--broker', url, '--count', '100', '--consumers', '0')
  assert.deepEqual([unread.published, unread.consumed, unread.delivery], [100, 0, null])
  for (const qos of ['0', '2']) {
    const subscribers = ['--protocol', 'mqtt', '--qos', qos, '--consumers', '2']
    const report = await bench('--data', data, ...subscribers, '--count', '500')
    assert.deepEqual([report.published, report.consumed], [500, 1000])
    checkLatencies(report.delivery, 1000)
    if (qos === '0') assert.equal(report.confirm, null)
    else checkLatencies(report.confirm, 500)
  }
  const { stdout } = await folder.run(['queues', 'list', '--json', '--data', data])
  assert.deepEqual(JSON.parse(stdout), [])

  const shown = await folder.run(['bench', '--data', data, '--count', '10'])
  assert.match(
    shown.stdout,
    /: AMQP 0-9-1, 1 queue, 1 publisher, 1 consumer, 100 bytes[^]*published +10 [^]*consumed +10 [^]*confirm +p50 [\d.]+ ms[^]*delivery +p50 /,
  )
})

test('what cannot be is said, with the exit code of its kind', async () => {
  const cases: readonly [args: readonly string[], code: number, text: RegExp][] = [
    [['--protocol', 'stomp'], 2, /expected amqp or mqtt/],
    [['--size', '3'], 2, /expected a size from 16 bytes/],
    [['--protocol', 'mqtt', '--rate', '5'], 2, /AMQP only/],
    [['--broker', 'amqp://guest:secret-of-bench@127.0.0.1'], 2, /WAYSTATION_PASSWORD/],
    [['--broker', 'amqp://127.0.0.1:1'], 69, /no amqp at 127\.0\.0\.1:1: .*ECONNREFUSED/],
    [['--data', folder.freshDirectory()], 69, /no broker with an HTTP API runs/],
  ]
  for (const [args, code, text] of cases) {
    const ended = await folder.run(['bench', ...args])
    assert.equal(ended.code, code, ended.stderr)
    assert.match(ended.stderr, text)
  }
})
