import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { checkMqttCounts } from './flow.ts'
import { MqttIdleClients } from './idle.ts'
import { MqttLoad, type MqttLoadResult, type MqttLoadSpec } from '../../../src/load/mqtt/load.ts'
import { createMqttSink, type MqttSinkFaults } from './sink.ts'
import { packet, PacketRange } from '../../../src/load/mqtt/wire.ts'

const COUNT = 1_000

async function withSink<Result>(
  faults: MqttSinkFaults,
  work: (endpoint: { host: string; port: number }) => Promise<Result>,
): Promise<Result> {
  const sink = createMqttSink(faults)
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve))
  try {
    return await work({ host: '127.0.0.1', port: (sink.address() as AddressInfo).port })
  } finally {
    sink.close()
  }
}

function loadSink(
  options: Partial<MqttLoadSpec>,
  faults: MqttSinkFaults = {},
): Promise<MqttLoadResult> {
  return withSink(faults, async (endpoint) => {
    const load = await MqttLoad.open({
      role: 'mqtt-load',
      ...endpoint,
      version: 4,
      qos: 0,
      publishers: 1,
      subscribers: 1,
      keepsSessions: false,
      bodyBytes: 100,
      window: 7,
      count: COUNT,
      seconds: 30,
      ...options,
    })
    return load.run()
  })
}

for (const version of [4, 5] as const) {
  for (const qos of [0, 1, 2] as const) {
    test(`MQTT ${version}, QoS ${qos}: every message is done and comes once, in order`, async () => {
      const result = await loadSink({ version, qos })
      assert.equal(result.published, COUNT)
      assert.equal(result.consumed, COUNT)
      assert.equal(result.acknowledged, qos === 0 ? 0 : COUNT)
      checkMqttCounts(result, { qos, subscribers: 1 })
    })
  }
}

test('a body longer than one socket read is counted once', async () => {
  const result = await loadSink({ qos: 1, bodyBytes: 100_000 })
  checkMqttCounts(result, { qos: 1, subscribers: 1 })
})

test('every subscriber gets what each publisher sends', async () => {
  const result = await loadSink({ qos: 1, publishers: 5, subscribers: 3 })
  assert.equal(result.published, 5 * COUNT)
  assert.equal(result.consumed, 15 * COUNT)
  checkMqttCounts(result, { qos: 1, subscribers: 3 })
})

// The fault is planted in the broker: a load program that does not notice measures nothing.
test('a lost message is noticed by the gap it leaves', async () => {
  const lost = loadSink({ qos: 1 }, { lose: 500 })
  await assert.rejects(lost, /message 501 came where 500 was due/)
})

test('a message that comes twice is noticed', async () => {
  await assert.rejects(loadSink({}, { double: 500 }), /message 500 came where 501 was due/)
  await assert.rejects(loadSink({}, { double: COUNT - 1 }), /999 came where 1000 was due/)
})

test('counts that differ and redelivery are refused', () => {
  const result: MqttLoadResult = {
    published: 4,
    acknowledged: 4,
    consumed: 8,
    redelivered: 0,
    startMs: 0,
    endMs: 1,
    samples: [],
  }
  const options = { qos: 1, subscribers: 2 } as const
  checkMqttCounts(result, options)
  assert.throws(() => checkMqttCounts({ ...result, acknowledged: 3 }, options), /but 3 were/)
  assert.throws(() => checkMqttCounts(result, { ...options, subscribers: 3 }), /but 8 came/)
  assert.throws(() => checkMqttCounts({ ...result, redelivered: 1 }, options), /redelivered/)
})

test('idle clients stay connected and all are answered', async () => {
  await withSink({}, async (endpoint) => {
    const spec = { ...endpoint, count: 120, keepAliveSeconds: 60, subscribedQos: 1 } as const
    const idle = await MqttIdleClients.open({ role: 'mqtt-idle', ...spec })
    const { answered } = await idle.ping()
    assert.equal(answered, 120)
    await idle.close()
  })
})

test('a packet is found whole or not at all, whatever the length of its length', () => {
  const range = new PacketRange()
  for (const size of [0, 1, 127, 128, 16_383, 16_384]) {
    const bytes = packet(0x30, Buffer.alloc(size))
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    for (const cut of [0, 1, 2, bytes.length - 1]) {
      if (cut < bytes.length) assert.equal(range.next(view, 0, cut), false)
    }
    assert.equal(range.next(view, 0, bytes.length), true)
    assert.equal(range.end - range.body, size)
  }
})
