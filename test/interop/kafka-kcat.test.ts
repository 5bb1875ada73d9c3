/** kcat, the command line of librdkafka. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'

import { closeKafka, openKafka } from '../support/kafka-target.ts'
import { onPath } from './driver.ts'
import { ended, output } from './kafka-command.ts'

const skip = onPath('kcat') === null ? 'kcat is absent (test/interop/setup.sh fetches it)' : false

after(closeKafka)

async function kcat(args: readonly string[], input = ''): Promise<string> {
  const { plain } = await openKafka()
  return output(['kcat', '-b', plain, '-q', ...args], input)
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

function newName(): string {
  return `ws-kcat-${randomBytes(6).toString('hex')}`
}

test('kcat produces and consumes keys, headers, nulls and every codec', { skip }, async () => {
  const topic = newName()
  await kcat(['-P', '-t', topic, '-K:', '-Z', '-H', 'h=one', '-H', 'i=two'], 'key:value\ngone:\n')
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
    await kcat(['-P', '-t', topic, '-z', codec], `${codec} ${'.'.repeat(500)}\n`)
  }
  const format = ['-f', '%o %K:%k %S:%s %h\n']
  const seen = lines(await kcat(['-C', '-t', topic, '-o', 'beginning', '-e', ...format]))
  assert.deepEqual(seen, [
    '0 3:key 5:value h=one,i=two',
    '1 4:gone -1: h=one,i=two',
    `2 -1: 505:gzip ${'.'.repeat(500)} `,
    `3 -1: 507:snappy ${'.'.repeat(500)} `,
    `4 -1: 504:lz4 ${'.'.repeat(500)} `,
    `5 -1: 505:zstd ${'.'.repeat(500)} `,
  ])
  const last = await kcat(['-C', '-t', topic, '-o', '-2', '-e', '-f', '%o %p\n'])
  assert.deepEqual(lines(last), ['4 0', '5 0'])
})

test('kcat lists the cluster and asks for offsets by time', { skip }, async () => {
  const topic = newName()
  const before = Date.now() - 1_000
  await kcat(['-P', '-t', topic, '-X', 'enable.idempotence=true'], 'a\nb\n')
  const listed = JSON.parse(await kcat(['-L', '-J', '-t', topic])) as {
    brokers: { name: string }[]
    topics: { topic: string; partitions: { partition: number; leader: number }[] }[]
  }
  assert.deepEqual(
    listed.brokers.map(({ name }) => name),
    [(await openKafka()).plain],
  )
  assert.equal(listed.topics[0]?.topic, topic)
  assert.equal(listed.topics[0]?.partitions[0]?.partition, 0)
  assert.match(await kcat(['-Q', '-t', `${topic}:0:${before}`]), /\[0\] offset 0/)
  assert.match(await kcat(['-Q', '-t', `${topic}:0:${Date.now() + 60_000}`]), /\[0\] offset (2|-1)/)
})

test('kcat is a member of a group, and goes on where it was', { skip }, async () => {
  const topic = newName()
  const group = newName()
  const options = ['-X', 'auto.offset.reset=earliest', '-f', '%s\n', '-G', group, topic]
  await kcat(['-P', '-t', topic], 'a\nb\nc\n')
  assert.deepEqual(lines(await kcat(['-c', '2', ...options])), ['a', 'b'])
  assert.deepEqual(lines(await kcat(['-c', '1', ...options])), ['c'])
})

test('kcat produces in a transaction', { skip }, async () => {
  const topic = newName()
  await kcat(['-P', '-t', topic, '-X', `transactional.id=${newName()}`], 'a\nb\n')
  const committed = ['-X', 'isolation.level=read_committed']
  const seen = await kcat(['-C', '-t', topic, '-e', '-o', 'beginning', '-f', '%s\n', ...committed])
  assert.deepEqual(lines(seen), ['a', 'b'])
})

test('kcat logs in with SASL and TLS', { skip }, async () => {
  const { sasl, tls, caFile, user, password } = await openKafka()
  const topic = newName()
  await kcat(['-P', '-t', topic], 'secret\n')
  const read = async (settings: Readonly<Record<string, string>>): Promise<string> => {
    const options = Object.entries(settings).flatMap(([key, value]) => ['-X', `${key}=${value}`])
    const { stdout } = await ended([
      ...['kcat', '-q', '-C', '-t', topic, '-e', '-o', 'beginning', '-f', '%s', '-m', '5'],
      ...['-X', `sasl.username=${user}`, ...options],
    ])
    return stdout
  }
  const plain = { 'bootstrap.servers': sasl, 'security.protocol': 'SASL_PLAINTEXT' }
  const mechanism = { 'sasl.mechanism': 'PLAIN' }
  assert.equal(await read({ ...plain, ...mechanism, 'sasl.password': password }), 'secret')
  assert.equal(await read({ ...plain, ...mechanism, 'sasl.password': 'wrong' }), '')
  const encrypted = {
    'bootstrap.servers': tls,
    'security.protocol': 'SASL_SSL',
    'sasl.mechanism': 'PLAIN',
    'sasl.password': password,
    'ssl.ca.location': caFile,
  }
  assert.equal(await read(encrypted), 'secret')
})
