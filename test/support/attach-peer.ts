/** A provider that knows nothing but a gRPC library of other people and our `.proto` file. */
import {
  createFileRegistry,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js'
import { OWN_FILES } from '../../src/rpc/own-files.gen.ts'
import type { GrpcJsClient } from './grpc-js-client.ts'
import { until } from './grpc-js-client.ts'

const [, file] = OWN_FILES
const registry = createFileRegistry(fromJson(FileDescriptorProtoSchema, file!), () => undefined)
const FROM = registry.getMessage('waystation.rpc.v1.FromProvider')!
const TO = registry.getMessage('waystation.rpc.v1.ToProvider')!

export interface PeerCall {
  readonly id: number
  readonly path: string
  readonly metadata?: readonly { readonly name: string; readonly text?: string }[]
  readonly timeoutMs: number
  readonly contentType: string
}

export interface ToProvider {
  readonly registered?: { readonly instanceId: string; readonly messageBytesMax: number }
  readonly call?: PeerCall
  readonly request?: { readonly id: number; readonly message?: string; readonly last?: boolean }
  readonly cancel?: { readonly id: number; readonly reason: string }
  readonly credit?: { readonly id: number; readonly octets: number }
  readonly drain?: { readonly reason: string }
}

export class AttachPeer {
  readonly said: ToProvider[] = []
  /** How the stream ended: code and text. */
  end: string | null = null
  /** Called for each message, after it was noted. */
  onMessage: (message: ToProvider) => void = () => {}
  readonly #stream: ClientDuplexStream<Buffer, Buffer>

  constructor(client: GrpcJsClient) {
    this.#stream = client.stream('/waystation.rpc.v1.Provider/Attach')
    this.#stream.on('data', (bytes: Buffer) => {
      const message = toJson(TO, fromBinary(TO, bytes)) as ToProvider
      this.said.push(message)
      this.onMessage(message)
    })
    this.#stream.on('error', ({ code, details }: ServiceError) => (this.end = `${code} ${details}`))
    this.#stream.on('end', () => (this.end ??= '0 '))
  }

  /** Registers and waits until it is. */
  static async attach(client: GrpcJsClient, register: object = {}): Promise<AttachPeer> {
    const peer = new AttachPeer(client)
    peer.send({ register: { services: ['test.Echo'], capacity: 100, ...register } })
    await until(() => peer.said.length > 0 || peer.end !== null, 'the registration')
    if (peer.end !== null) throw new Error(peer.end)
    return peer
  }

  get calls(): PeerCall[] {
    return this.said.flatMap(({ call }) => call ?? [])
  }

  send(message: object): void {
    this.write(toBinary(FROM, fromJson(FROM, message as JsonValue)))
  }

  write(bytes: Uint8Array): void {
    this.#stream.write(Buffer.from(bytes))
  }

  /** Nothing more is read. */
  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  /** Says no more. */
  halfClose(): void {
    this.#stream.end()
  }

  kill(): void {
    this.#stream.cancel()
  }

  /** Answers each request with itself, and the end of requests with OK. */
  echo(): this {
    this.onMessage = ({ request }) => {
      if (request === undefined) return
      const { id, message, last } = request
      if (last === true) this.send({ end: { id, ...(message === undefined ? {} : { message }) } })
      else this.send({ reply: { id, message } })
    }
    return this
  }
}
