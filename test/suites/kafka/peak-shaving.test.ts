/** Limits and rates as Kafka's clients meet them. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { ERROR } from '../../../src/codec/kafka/index.ts'
import { RecordBatchWriter } from '../../../src/codec/kafka/record-batch-writer.ts'
import { crc32c } from '../../../src/protocols/kafka/crc32c.ts'
import { startBroker } from '../../../src/server/index.ts'
import type { KafkaPeer } from '../../support/kafka-peer.ts'
import { createTopic, KafkaWorld } from '../../support/kafka-world.ts'

const AUTHORIZATION = `Basic ${Buffer.from('guest:guest').toString('base64')}`

async function put(port: number, path: string, body: object): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/${path}`, {
    method: 'PUT',
    headers: { authorization: AUTHORIZATION, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  assert.equal(answer.status, 204, await answer.text())
}

async function setPolicy(port: number, definition: object): Promise<void> {
  await put(port, 'policies/%2F/p', { pattern: '^t$', definition })
}

async function openWorld(t: TestContext, definition: object): Promise<[KafkaWorld, KafkaPeer]> {
  const world = await KafkaWorld.open(t, { http: 0 })
  const peer = await world.connect()
  await createTopic(peer, 't')
  await setPolicy(world.broker.port('http'), definition)
  return [world, peer]
}

type Answer = Awaited<ReturnType<typeof send>>

/** One batch of so many records. */
async function send(peer: KafkaPeer, count: number) {
  const writer = new RecordBatchWriter()
  writer.start({ baseOffset: 0, baseTimestampMs: 0 })
  for (let offsetDelta = 0; offsetDelta < count; offsetDelta++) {
    const record = { offsetDelta, timestampMs: 0, key: null, headers: [] }
    writer.add({ ...record, value: Buffer.from(`${offsetDelta}`) })
  }
  return peer.call('Produce', 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: 't', partitionData: [{ index: 0, records: writer.finish(crc32c) }] }],
  })
}

function codeOf(answer: Answer): number {
  return answer.responses[0]!.partitionResponses[0]!.errorCode
}

test('a producer that is too fast is told for how long it is not read', async (t) => {
  const [{ broker }, peer] = await openWorld(t, { 'publish-rate': 100 })
  const first = await send(peer, 60)
  assert.deepEqual([codeOf(first), first.throttleTimeMs], [0, 600])
  let isAnswered = false
  const second = send(peer, 1).then((answer) => {
    isAnswered = true
    return answer
  })
  await broker.clock.advance(599)
  assert.equal(isAnswered, false)
  await broker.clock.advance(1)
  assert.equal((await second).throttleTimeMs, 0)
})

test('a topic that refuses what is too much says so, and when to come again', async (t) => {
  const definition = { 'publish-rate': 100, overflow: 'reject-publish' }
  const [{ broker }, peer] = await openWorld(t, definition)
  assert.equal(codeOf(await send(peer, 12)), 0)
  const refused = await send(peer, 1)
  assert.equal(codeOf(refused), ERROR.THROTTLING_QUOTA_EXCEEDED)
  assert.equal(
    refused.responses[0]!.partitionResponses[0]!.errorMessage,
    "publish rate of topic 't' is 100/s, again in 30 ms",
  )
  assert.equal(refused.throttleTimeMs, 0)
  await broker.clock.advance(30)
  assert.equal(codeOf(await send(peer, 1)), 0)
})

test('a consumer is given what the rate of the topic allows', async (t) => {
  const [{ broker }, peer] = await openWorld(t, { 'consume-rate': 100 })
  await send(peer, 60)
  const fetch = async (fetchOffset: number) =>
    peer.call('Fetch', 12, {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1 << 20,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: 't',
          partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 }],
        },
      ],
    } as never)
  const answer = await fetch(0)
  // The batch goes whole; after it nothing is given until that is made up for.
  assert.equal(answer.throttleTimeMs, 510)
  let isAnswered = false
  const next = fetch(60).then(() => (isAnswered = true))
  await broker.clock.advance(509)
  assert.equal(isAnswered, false)
  await broker.clock.advance(1)
  await next
})

test('kafkajs keeps to the rate of its user and loses nothing', async (t) => {
  const broker = await startBroker({ listen: { kafka: 0, http: 0 } })
  t.after(() => broker[Symbol.asyncDispose]())
  await put(broker.port('http'), 'users/guest/limits', { 'publish-rate': 500 })
  const client = new Kafka({
    brokers: [`127.0.0.1:${broker.port('kafka')}`],
    logLevel: logLevel.NOTHING,
  })
  const producer = client.producer()
  await producer.connect()
  t.after(() => producer.disconnect())
  const startMs = performance.now()
  for (let batch = 0; batch < 5; batch++) {
    const messages = Array.from({ length: 50 }, (_, n) => ({ value: `${batch * 50 + n}` }))
    await producer.send({ topic: 'kept', messages })
  }
  // 50 at once; the other 200 after 400 ms at 500 a second; the last batch is not waited for.
  assert.ok(performance.now() - startMs >= 300)
  const admin = client.admin()
  await admin.connect()
  t.after(() => admin.disconnect())
  const [offsets] = await admin.fetchTopicOffsets('kept')
  assert.equal(offsets!.high, '250')
})
