import {
  type CallOptions,
  Client,
  credentials,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { setTimeout } from 'node:timers/promises'

const identity = (bytes: Buffer): Buffer => bytes

/** A gRPC client of other people, that sends and gets bytes. */
export class GrpcJsClient implements Disposable {
  readonly client: Client

  constructor(address: string, options: object = {}) {
    this.client = new Client(address, credentials.createInsecure(), options)
  }

  unary(
    path: string,
    request: Buffer,
    { metadata, options = {} }: CallSettings = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const answer: Mutable<Answer> = {
        reply: Buffer.alloc(0),
        head: new Metadata(),
        trailers: new Metadata(),
      }
      const fields = metadata ?? new Metadata()
      const call = this.client.makeUnaryRequest(
        path,
        identity,
        identity,
        request,
        fields,
        options,
        (error, reply) => {
          if (error !== null) reject(error)
          else answer.reply = reply!
        },
      )
      call.on('metadata', (head) => (answer.head = head))
      call.on('status', (status) => {
        answer.trailers = status.metadata
        if (status.code === 0) resolve(answer)
      })
    })
  }

  stream(path: string, options: CallOptions = {}): ClientDuplexStream<Buffer, Buffer> {
    return this.client.makeBidiStreamRequest(path, identity, identity, new Metadata(), options)
  }

  [Symbol.dispose](): void {
    this.client.close()
  }
}

export interface CallSettings {
  readonly metadata?: Metadata
  readonly options?: CallOptions
}

interface Answer {
  readonly reply: Buffer
  readonly head: Metadata
  readonly trailers: Metadata
}
type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** The messages of a stream, and how it ended; 0 is OK. */
export async function collect(
  call: ClientDuplexStream<Buffer, Buffer>,
): Promise<{ replies: Buffer[]; code: number; details: string }> {
  const replies: Buffer[] = []
  try {
    for await (const reply of call) replies.push(reply as Buffer)
    return { replies, code: 0, details: '' }
  } catch (error) {
    const { code, details } = error as ServiceError
    return { replies, code, details }
  }
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 3000 && !condition(); i++) await setTimeout(10)
  if (!condition()) throw new Error(`waited too long for ${what}`)
}
