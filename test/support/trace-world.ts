/** A broker, clients of three protocols and its HTTP API, for tests that ask where messages are. */
import { type ChannelModel, type ConfirmChannel, connect, type GetMessage } from 'amqplib'
import { connectAsync, type MqttClient } from 'mqtt'
import type { TraceView } from '../../src/broker/tracing/tracer.ts'
import { startTestBroker, type TestBroker } from '../../src/testing/index.ts'
import { getOne } from './amqp-messages.ts'

const GUEST = `Basic ${Buffer.from('guest:guest').toString('base64')}`

export class TraceWorld implements AsyncDisposable {
  readonly broker: TestBroker
  readonly channel: ConfirmChannel
  readonly mqtt: MqttClient
  readonly #connection: ChannelModel

  private constructor(
    broker: TestBroker,
    connection: ChannelModel,
    clients: { readonly channel: ConfirmChannel; readonly mqtt: MqttClient },
  ) {
    this.broker = broker
    this.#connection = connection
    this.channel = clients.channel
    this.mqtt = clients.mqtt
  }

  static async open(): Promise<TraceWorld> {
    const broker = await startTestBroker({ listen: { amqp: 0, mqtt: 0, kafka: 0, http: 0 } })
    const connection = await connect(broker.url('amqp'))
    // A test may cut it.
    connection.on('error', () => {})
    const mqtt = await connectAsync(`mqtt://127.0.0.1:${broker.port('mqtt')}`, {
      protocolVersion: 5,
      clientId: 'tracing-test',
      username: 'guest',
      password: 'guest',
      reconnectPeriod: 0,
    })
    const channel = await connection.createConfirmChannel()
    return new TraceWorld(broker, connection, { channel, mqtt })
  }

  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.broker.port('http')}${path}`, {
      method,
      headers: { authorization: GUEST, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text === '' ? null : JSON.parse(text)
  }

  async post(path: string, body: unknown): Promise<Record<string, unknown>> {
    return (await this.request('POST', path, body)) as Record<string, unknown>
  }

  async messages(id: string): Promise<TraceView[]> {
    const query = new URLSearchParams({ id }).toString()
    return (await this.request('GET', `/v1/traces/messages?${query}`)) as TraceView[]
  }

  async get(queue: string): Promise<GetMessage> {
    return getOne(this.channel, queue)
  }

  /** Resolves when so many messages wait. */
  async until(queue: string, ready: number): Promise<void> {
    await this.broker.destination(queue).waitFor({ ready })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mqtt.endAsync(true)
    await this.#connection.close().catch(() => {})
    await this.broker[Symbol.asyncDispose]()
  }
}
