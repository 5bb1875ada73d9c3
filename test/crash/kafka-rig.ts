import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Admin, type Consumer, Kafka, logLevel, type Producer } from 'kafkajs'
import type { SeededRandom } from '../../src/lib/random.ts'
import { BrokerProcess } from '../support/broker-process.ts'

const TRAFFIC_MS_MAX = 400
const PROGRESS_WITHIN_MS = 30_000
const READ_WITHIN_MS = 60_000

export const TOPIC = 'kill'
export const PARTITION_COUNT = 3

/** A broker that is killed again and again, and clients of kafkajs that find it each time. */
export class KafkaRig implements AsyncDisposable {
  readonly broker: BrokerProcess = new BrokerProcess({ args: ['--listen', 'http=off'] })
  readonly #kafka: Kafka
  readonly #disconnects: (() => Promise<void>)[] = []
  /** Traffic stops when it is set. */
  isOver = false

  constructor() {
    this.#kafka = new Kafka({
      clientId: 'kill',
      brokers: ['127.0.0.1:9092'],
      logLevel: logLevel.NOTHING,
      connectionTimeout: 5000,
      requestTimeout: 10_000,
      // Long enough for a broker that is being started.
      retry: { initialRetryTime: 20, maxRetryTime: 100, retries: 300 },
      // The broker has another port after each start.
      socketFactory: ({ onConnect }): Socket => {
        return connect({ port: this.broker.kafkaPort, host: '127.0.0.1' }, onConnect)
      },
    })
  }

  static async start(): Promise<KafkaRig> {
    const rig = new KafkaRig()
    await rig.broker.start()
    const admin = await rig.admin()
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITION_COUNT }] })
    return rig
  }

  async admin(): Promise<Admin> {
    const admin = this.#kafka.admin()
    await admin.connect()
    this.#disconnects.push(async () => admin.disconnect())
    return admin
  }

  async producer(transactionalId?: string): Promise<Producer> {
    const producer = this.#kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      ...(transactionalId === undefined ? {} : { transactionalId, transactionTimeout: 60_000 }),
    })
    await producer.connect()
    this.#disconnects.push(async () => producer.disconnect())
    return producer
  }

  /** One that sees only what is committed. */
  async consumer(groupId: string): Promise<Consumer> {
    const consumer = this.#kafka.consumer({
      groupId,
      readUncommitted: false,
      sessionTimeout: 10_000,
      heartbeatInterval: 500,
      maxWaitTimeInMs: 100,
    })
    await consumer.connect()
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
    this.#disconnects.push(async () => consumer.disconnect())
    return consumer
  }

  /**
   * Kills the broker `rounds` times at random moments after `progress` has grown, and calls
   * `started` after each start.
   */
  async killRounds(
    rounds: number,
    random: SeededRandom,
    { progress, started }: { progress: () => number; started: () => Promise<void> },
  ): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const before = progress()
      const deadline = performance.now() + PROGRESS_WITHIN_MS
      while (progress() === before) {
        if (performance.now() > deadline) throw new Error('the clients do not come back')
        await sleep(5)
      }
      await sleep(random.integer(TRAFFIC_MS_MAX))
      await this.broker.kill()
      await this.broker.start()
      await started()
    }
    this.isOver = true
  }

  /** All that a reader of what is committed sees, by partition, in order. */
  async readAll(): Promise<string[][]> {
    const producer = await this.producer()
    const partitions = Array.from({ length: PARTITION_COUNT }, (_, partition) => partition)
    const messages = partitions.map((partition) => ({ partition, value: 'end' }))
    await producer.send({ topic: TOPIC, messages })
    const found = partitions.map((): string[] => [])
    const consumer = await this.consumer(`reader-${performance.now()}`)
    await consumer.run({
      eachBatch: async ({ batch }) => {
        for (const { value } of batch.messages) found[batch.partition]!.push(String(value))
      },
    })
    const deadline = performance.now() + READ_WITHIN_MS
    while (found.some((values) => values.at(-1) !== 'end')) {
      if (performance.now() > deadline) throw new Error('what was written cannot be read')
      await sleep(20)
    }
    return found.map((values) => values.slice(0, -1))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isOver = true
    await Promise.allSettled(this.#disconnects.map(async (disconnect) => disconnect()))
    await this.broker[Symbol.asyncDispose]()
  }
}
