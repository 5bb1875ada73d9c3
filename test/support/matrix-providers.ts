/** Every kind of provider, made of programs of other people wherever there are any. */
import {
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  status as STATUS,
} from '@grpc/grpc-js'
import { connect } from 'amqplib'
import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt'
import { encodeStatus } from '../../src/codec/grpc/index.ts'
import { attachGrpc, type AttachedGrpc } from '../../src/client/attach-grpc.ts'
import {
  type Channel,
  connectChannel,
  listenChannel,
  type ListeningChannel,
  type Provider,
  rpc,
  RpcError,
  serve,
  service,
} from '../../src/client/index.ts'
import {
  ASK,
  decodeText,
  DECLARED,
  encodeText,
  LARGE,
  type MatrixProvider,
  METHOD,
  TEXT,
  textIn,
  textMessage,
} from './call-matrix.ts'
import { CutProxy } from './cut-proxy.ts'

/** Ports of the broker that providers connect to. */
export interface BrokerPorts {
  readonly amqp: number
  readonly mqtt: number
  readonly rpc: number
}

/** Our own client library. */
export class TypedProvider implements MatrixProvider {
  readonly name = 'typed'
  readonly takesJson = true
  readonly service = 'test.v1.Typed'
  readonly hearsCancel = true
  waitingCount = 0
  readonly #port: number
  #proxy: CutProxy | null = null
  #channel: Channel | null = null
  #provider: Provider | null = null

  constructor({ rpc: port }: BrokerPorts) {
    this.#port = port
  }

  async start(): Promise<void> {
    this.#proxy = await CutProxy.open(this.#port)
    this.#channel = connectChannel(`rpc://127.0.0.1:${this.#proxy.port}`)
    this.#provider = serveTexts(this.#channel, this)
    await this.#provider.ready
  }

  kill(): void {
    this.#proxy!.cut()
  }

  async close(): Promise<void> {
    await this.#provider?.close(0)
    await this.#channel?.close()
    this.#proxy?.cut()
  }
}

/** The same without a broker: it listens itself. */
export class DirectProvider implements MatrixProvider {
  readonly name = 'typed, listening'
  readonly takesJson = true
  readonly service = 'test.v1.Direct'
  readonly hearsCancel = true
  waitingCount = 0
  readonly #messageBytesMax: number
  #listening: ListeningChannel | null = null
  #proxy: CutProxy | null = null

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax
  }

  get url(): string {
    return `rpc://127.0.0.1:${this.#proxy?.port ?? 1}`
  }

  async start(): Promise<void> {
    this.#listening = await listenChannel({ messageBytesMax: this.#messageBytesMax })
    this.#proxy = await CutProxy.open(this.#listening.port)
    await serveTexts(this.#listening, this).ready
  }

  kill(): void {
    this.#proxy!.cut()
  }

  async close(): Promise<void> {
    this.#proxy?.cut()
    await this.#listening?.close()
  }
}

function serveTexts(channel: Channel, state: { waitingCount: number; service: string }): Provider {
  const contract = service(state.service, { [METHOD]: rpc.unary({ in: TEXT, out: TEXT }) })
  return serve(channel, contract, {
    async [METHOD](input: unknown, { signal }: { readonly signal: AbortSignal }) {
      const asked = textIn(input)
      if (asked === ASK.ERROR) {
        const { type, value } = DECLARED
        throw new RpcError('FAILED_PRECONDITION', DECLARED.text, { details: [{ type, value }] })
      }
      if (asked === ASK.WAIT) {
        state.waitingCount += 1
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        state.waitingCount -= 1
      }
      return textMessage(asked === ASK.LARGE ? LARGE : asked)
    },
  })
}

/** A server of grpc-js that knows no broker, behind what `waystation attach` is made of. */
export class GrpcProvider implements MatrixProvider {
  readonly name = 'gRPC server'
  readonly takesJson = false
  readonly service = 'test.v1.Grpc'
  readonly hearsCancel = true
  waitingCount = 0
  readonly #port: number
  readonly #server = new Server()
  #proxy: CutProxy | null = null
  #channel: Channel | null = null
  #attached: AttachedGrpc | null = null

  constructor({ rpc: port }: BrokerPorts) {
    this.#port = port
  }

  async start(): Promise<void> {
    const identity = (bytes: Buffer): Buffer => bytes
    const definition = {
      [METHOD]: {
        path: `/${this.service}/${METHOD}`,
        ...{ requestStream: false, responseStream: false },
        ...{ requestSerialize: identity, requestDeserialize: identity },
        ...{ responseSerialize: identity, responseDeserialize: identity },
      },
    }
    this.#server.addService(definition as Parameters<Server['addService']>[0], {
      [METHOD]: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) =>
        this.#answer(call, done),
    })
    const listening = await new Promise<number>((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure()
      this.#server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
        if (error === null) resolve(bound)
        else reject(error)
      })
    })
    this.#proxy = await CutProxy.open(listening)
    const { port } = this.#proxy
    this.#channel = connectChannel(`rpc://127.0.0.1:${this.#port}`)
    const spec = { instanceId: 'server', version: '', labels: {}, weight: 1 }
    await new Promise<void>((resolve) => {
      this.#attached = attachGrpc({
        ...{ channel: this.#channel!, capacity: 100, host: '127.0.0.1', port },
        spec: { ...spec, services: [this.service] },
        onAttached: resolve,
      })
    })
  }

  kill(): void {
    this.#proxy!.cut()
  }

  async close(): Promise<void> {
    await this.#attached?.close(0)
    await this.#channel?.close()
    this.#proxy?.cut()
    this.#server.forceShutdown()
  }

  #answer(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void {
    const asked = decodeText(call.request)
    if (asked === ASK.ERROR) {
      const code = STATUS.FAILED_PRECONDITION
      const metadata = new Metadata()
      const { text, type, value } = DECLARED
      metadata.set('grpc-status-details-bin', encodeStatus(code, text, [{ type, value }]))
      done({ code, details: text, metadata })
    } else if (asked === ASK.WAIT) {
      this.waitingCount += 1
      call.on('cancelled', () => void this.waitingCount--)
    } else done(null, encodeText(asked === ASK.LARGE ? LARGE : asked))
  }
}

/** What a consumer answers with, whatever its protocol; null: nothing. */
interface Reply {
  readonly body: Buffer
  readonly headers: Readonly<Record<string, string>>
}

function replyTo(body: Buffer, contentType: string | undefined): Reply | null {
  const isJson = contentType === 'application/json'
  const asked = decodeText(body, isJson)
  if (asked === ASK.WAIT) return null
  if (asked !== ASK.ERROR) {
    return { body: encodeText(asked === ASK.LARGE ? LARGE : asked, isJson), headers: {} }
  }
  const debug: unknown = JSON.parse(DECLARED.value.toString())
  return {
    body: Buffer.from(JSON.stringify({ details: [{ type: DECLARED.type, debug }] })),
    headers: { 'grpc-status': 'FAILED_PRECONDITION', 'grpc-message': DECLARED.text },
  }
}

/** A consumer of amqplib that answers to reply-to. */
export class AmqpProvider implements MatrixProvider {
  readonly name = 'AMQP consumer'
  readonly takesJson = true
  readonly service = 'test.v1.Amqp'
  readonly hearsCancel = false
  waitingCount = 0
  readonly #port: number
  #proxy: CutProxy | null = null

  constructor({ amqp: port }: BrokerPorts) {
    this.#port = port
  }

  async start(): Promise<void> {
    this.#proxy = await CutProxy.open(this.#port)
    const connection = await connect(`amqp://guest:guest@127.0.0.1:${this.#proxy.port}`)
    // It is cut off in the end.
    connection.on('error', () => {})
    const channel = await connection.createChannel()
    channel.on('error', () => {})
    const queue = `rpc-worker.${this.service}`
    await channel.assertQueue(queue)
    await channel.consume(queue, (message) => {
      if (message === null) return
      const {
        contentType,
        correlationId,
        replyTo: to,
      } = message.properties as {
        readonly contentType: string
        readonly correlationId: string
        readonly replyTo: string
      }
      const reply = replyTo(message.content, contentType)
      if (reply === null) {
        this.waitingCount += 1
        return
      }
      channel.sendToQueue(to, reply.body, { correlationId, headers: reply.headers })
      channel.ack(message)
    })
  }

  kill(): void {
    this.#proxy!.cut()
  }

  async close(): Promise<void> {
    this.#proxy?.cut()
  }
}

/** A client of MQTT.js that answers to response topics. */
export class MqttProvider implements MatrixProvider {
  readonly name = 'MQTT consumer'
  readonly takesJson = true
  readonly service = 'test.v1.Mqtt'
  readonly hearsCancel = false
  waitingCount = 0
  readonly #port: number
  #proxy: CutProxy | null = null
  #client: MqttClient | null = null

  constructor({ mqtt: port }: BrokerPorts) {
    this.#port = port
  }

  async start(): Promise<void> {
    this.#proxy = await CutProxy.open(this.#port)
    const client = await connectAsync(`mqtt://127.0.0.1:${this.#proxy.port}`, {
      ...{ username: 'guest', password: 'guest', protocolVersion: 5, reconnectPeriod: 0 },
    })
    this.#client = client
    client.on('error', () => {})
    client.on('message', (_topic, payload, packet) => this.#answer(client, payload, packet))
    await client.subscribeAsync(`$rpc/${this.service}/#`, { qos: 1 })
  }

  kill(): void {
    this.#proxy!.cut()
  }

  async close(): Promise<void> {
    await this.#client?.endAsync(true)
    this.#proxy?.cut()
  }

  #answer(client: MqttClient, payload: Buffer, { properties = {} }: IPublishPacket): void {
    const reply = replyTo(payload, properties.contentType)
    if (reply === null) {
      this.waitingCount += 1
      return
    }
    // MQTT.js cannot write user properties that are none.
    const isOk = Object.keys(reply.headers).length === 0
    client.publish(properties.responseTopic!, reply.body, {
      properties: {
        correlationData: properties.correlationData!,
        ...(isOk ? {} : { userProperties: reply.headers }),
      },
    })
  }
}
