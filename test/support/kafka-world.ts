/** A broker in this process that speaks only Kafka, on a clock of the test's, and peers for it. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { RecordBatchWriter } from '../../src/codec/kafka/record-batch-writer.ts'
import { crc32c } from '../../src/protocols/kafka/crc32c.ts'
import { startTestBroker, type TestBroker } from '../../src/testing/index.ts'
import { KafkaPeer } from './kafka-peer.ts'

const ONLY_KAFKA = { amqp: false, mqtt: false, 'mqtt-ws': false, kafka: 0 } as const
const TIMESTAMP_MS = Date.UTC(2026, 0, 1)

export class KafkaWorld {
  readonly broker: TestBroker
  readonly #t: TestContext

  private constructor(broker: TestBroker, t: TestContext) {
    this.broker = broker
    this.#t = t
  }

  static async open(t: TestContext, listen: { readonly http?: number } = {}): Promise<KafkaWorld> {
    const broker = await startTestBroker({ listen: { ...ONLY_KAFKA, ...listen } })
    t.after(() => broker[Symbol.asyncDispose]())
    return new KafkaWorld(broker, t)
  }

  async connect(clientId?: string): Promise<KafkaPeer> {
    const peer = await KafkaPeer.connect(this.broker.port('kafka'), clientId)
    this.#t.after(() => peer.close())
    return peer
  }
}

/** Makes a topic and returns its id. */
export async function createTopic(
  peer: KafkaPeer,
  name: string,
  numPartitions = 1,
): Promise<Buffer> {
  const topics = [{ name, numPartitions, replicationFactor: -1, assignments: [], configs: [] }]
  const answer = await peer.call('CreateTopics', 7, { topics, timeoutMs: 1000 })
  assert.equal(answer.topics[0]!.errorCode, 0)
  return answer.topics[0]!.topicId as unknown as Buffer
}

/** Writes one batch with these values, and resolves when it is on disk. */
export async function produce(
  peer: KafkaPeer,
  name: string,
  values: readonly string[],
  keyOf: (value: string) => string | null = () => null,
): Promise<void> {
  const writer = new RecordBatchWriter()
  writer.start({ baseOffset: 0, baseTimestampMs: TIMESTAMP_MS })
  values.forEach((value, offsetDelta) => {
    const key = keyOf(value)
    const record = { offsetDelta, timestampMs: TIMESTAMP_MS, headers: [] }
    const keyBytes = key === null ? null : Buffer.from(key)
    writer.add({ ...record, key: keyBytes, value: Buffer.from(value) })
  })
  const answer = await peer.call('Produce', 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name, partitionData: [{ index: 0, records: writer.finish(crc32c) }] }],
  })
  assert.equal(answer.responses[0]!.partitionResponses[0]!.errorCode, 0)
}
