/** Every kind of caller, made of clients of other people wherever there are any. */
import { status as STATUS, Metadata, type ServiceError } from '@grpc/grpc-js'
import {
  Code,
  ConnectError,
  createClient as connectClient,
  type Transport,
} from '@connectrpc/connect'
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { type ChannelModel, connect } from 'amqplib'
import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt'
import { decodeDetails } from '../../src/codec/grpc/index.ts'
import {
  type Channel,
  connectChannel,
  createClient,
  rpc,
  RpcError,
  service,
} from '../../src/client/index.ts'
import {
  type CallOptions,
  decodeText,
  descriptionOf,
  encodeText,
  type MatrixCaller,
  MESSAGE_BYTES_MAX,
  METHOD,
  type Outcome,
  TEXT,
  textIn,
  textMessage,
} from './call-matrix.ts'
import { GrpcJsClient } from './grpc-js-client.ts'

const NO_ANSWER: Outcome = { code: 'CANCELLED', text: '', detail: null }

function answered(text: string): Outcome {
  return { code: 'OK', text, detail: null }
}

/** Our own frames, to a broker or to a provider that listens. */
export class FrameCaller implements MatrixCaller {
  readonly name: string
  readonly #channel: Channel

  constructor(name: string, url: string) {
    this.name = name
    this.#channel = connectChannel(url, { messageBytesMax: MESSAGE_BYTES_MAX })
  }

  async call(name: string, text: string, options: CallOptions = {}): Promise<Outcome> {
    const contract = service(name, { [METHOD]: rpc.unary({ in: TEXT, out: TEXT }) })
    const policy = { retry: { attemptsMax: 1 } }
    const client = createClient(contract, this.#channel, { policy })
    try {
      return answered(textIn(await client[METHOD]!(textMessage(text), options)))
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      const { code, message, details } = error
      return { code, text: message, detail: detailOf(details[0]?.value) }
    }
  }

  close(): Promise<void> {
    return this.#channel.close()
  }
}

/** grpc-js. */
export class GrpcCaller implements MatrixCaller {
  readonly name = 'gRPC'
  readonly #client: GrpcJsClient

  constructor(address: string) {
    this.#client = new GrpcJsClient(address)
  }

  call(
    name: string,
    text: string,
    { deadlineMs = 10_000, signal }: CallOptions = {},
  ): Promise<Outcome> {
    const identity = (bytes: Buffer): Buffer => bytes
    return new Promise((resolve) => {
      const call = this.#client.client.makeUnaryRequest(
        ...([`/${name}/${METHOD}`, identity, identity, encodeText(text), new Metadata()] as const),
        { deadline: Date.now() + deadlineMs },
        (error, reply) => resolve(error === null ? answered(decodeText(reply!)) : failed(error)),
      )
      signal?.addEventListener('abort', () => call.cancel())
    })
  }

  async close(): Promise<void> {
    this.#client[Symbol.dispose]()
  }
}

function failed({ code, details, metadata }: ServiceError): Outcome {
  const [bytes] = metadata.get('grpc-status-details-bin')
  const detail = bytes === undefined ? null : decodeDetails(bytes as Buffer)[0]
  return { code: STATUS[code]!, text: details, detail: detailOf(detail?.value) }
}

/** Connect-ES, in one of its protocols. */
export class ConnectCaller implements MatrixCaller {
  readonly name: string
  readonly isJson: boolean
  readonly #transport: Transport

  private constructor(name: string, transport: Transport) {
    this.name = name
    this.isJson = name.includes('JSON')
    this.#transport = transport
  }

  static all(baseUrl: string): ConnectCaller[] {
    const http1 = { baseUrl, httpVersion: '1.1' } as const
    const json = createConnectTransport({ ...http1, useBinaryFormat: false })
    const binary = createConnectTransport({ baseUrl, httpVersion: '2', useBinaryFormat: true })
    return [
      new ConnectCaller('Connect, JSON', json),
      new ConnectCaller('Connect, binary', binary),
      new ConnectCaller('gRPC-Web', createGrpcWebTransport(http1)),
    ]
  }

  async call(
    name: string,
    text: string,
    { deadlineMs = 10_000, signal }: CallOptions = {},
  ): Promise<Outcome> {
    type Do = (request: unknown, options: object) => Promise<unknown>
    const client = connectClient(descriptionOf(name), this.#transport) as unknown as { do: Do }
    const options = { timeoutMs: deadlineMs, ...(signal === undefined ? {} : { signal }) }
    try {
      return answered(textIn(await client.do({ text }, options)))
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error
      const [detail] = error.details as readonly { readonly value?: Uint8Array }[]
      const code = Code[error.code]!.replace(/(?<!^)([A-Z])/g, '_$1').toUpperCase()
      return {
        code: code === 'CANCELED' ? 'CANCELLED' : code,
        text: error.rawMessage,
        detail: detailOf(detail?.value),
      }
    }
  }

  async close(): Promise<void> {}
}

/** amqplib: a channel for each call, which is closed where the call is cancelled. */
export class AmqpCaller implements MatrixCaller {
  readonly name = 'AMQP 0-9-1'
  readonly #connection: ChannelModel

  private constructor(connection: ChannelModel) {
    this.#connection = connection
  }

  static async open(url: string): Promise<AmqpCaller> {
    return new AmqpCaller(await connect(url))
  }

  async call(
    name: string,
    text: string,
    { deadlineMs, signal }: CallOptions = {},
  ): Promise<Outcome> {
    const channel = await this.#connection.createChannel()
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    const replyTo = 'amq.rabbitmq.reply-to'
    await channel.consume(
      replyTo,
      (message) => {
        const { headers } = message!.properties
        resolve(outcomeOf({ ...headers }, message!.content))
      },
      { noAck: true },
    )
    channel.publish('amq.rpc', `${name}.${METHOD}`, encodeText(text), {
      ...{ replyTo, correlationId: '1', contentType: 'application/protobuf' },
      ...(deadlineMs === undefined ? {} : { expiration: deadlineMs }),
    })
    signal?.addEventListener('abort', () => resolve(NO_ANSWER))
    const outcome = await promise
    await channel.close()
    return outcome
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}

/** MQTT.js: a response topic for each call, from which it goes where the call is cancelled. */
export class MqttCaller implements MatrixCaller {
  readonly name = 'MQTT 5'
  readonly #client: MqttClient
  readonly #waiting = new Map<string, (packet: IPublishPacket) => void>()
  #count = 0

  private constructor(client: MqttClient) {
    this.#client = client
    client.on('message', (topic, _payload, packet) => this.#waiting.get(topic)?.(packet))
  }

  static async open(url: string): Promise<MqttCaller> {
    const login = { username: 'guest', password: 'guest' }
    const client = await connectAsync(url, { ...login, protocolVersion: 5, reconnectPeriod: 0 })
    return new MqttCaller(client)
  }

  async call(
    name: string,
    text: string,
    { deadlineMs, signal }: CallOptions = {},
  ): Promise<Outcome> {
    this.#count += 1
    const responseTopic = `answers/${this.#count}`
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    this.#waiting.set(responseTopic, ({ payload, properties }) => {
      resolve(outcomeOf({ ...properties?.userProperties }, payload as Buffer))
    })
    await this.#client.subscribeAsync(responseTopic)
    await this.#client.publishAsync(`$rpc/${name}/${METHOD}`, encodeText(text), {
      properties: {
        ...{ responseTopic, contentType: 'application/protobuf' },
        // It counts in seconds.
        ...(deadlineMs === undefined
          ? {}
          : { messageExpiryInterval: Math.ceil(deadlineMs / 1000) }),
      },
    })
    signal?.addEventListener('abort', () => resolve(NO_ANSWER))
    const outcome = await promise
    await this.#client.unsubscribeAsync(responseTopic)
    return outcome
  }

  close(): Promise<void> {
    return this.#client.endAsync(true)
  }
}

/** The table of docs/message-calls.md, as a client of messages reads it. */
function outcomeOf(headers: Readonly<Record<string, unknown>>, body: Buffer): Outcome {
  const code = STATUS[Number(headers['grpc-status'])]!
  if (code === 'OK') return answered(decodeText(body))
  const { details = [] } = JSON.parse(body.toString()) as {
    readonly details?: readonly { readonly value: string }[]
  }
  const [detail] = details
  const value = detail === undefined ? undefined : Buffer.from(detail.value, 'base64')
  const text = headers['grpc-message']
  return { code, text: typeof text === 'string' ? text : '', detail: detailOf(value) }
}

function detailOf(value: Uint8Array | undefined): string | null {
  return value === undefined ? null : Buffer.from(value).toString()
}
