/** A Kafka client that knows the schemas of messages and nothing else. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import type { ApiMessages, ApiName } from '../../src/codec/kafka/index.ts'
import { decodeResponse, encodeRequest, type WireStruct } from './kafka-wire.ts'

const ANSWERED_WITHIN_MS = 10_000
const SIZE_BYTES = 4

interface Awaited {
  readonly name: string
  readonly version: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** The answer with every field there; what its version does not have is empty. Uuids are 16 bytes. */
export type Answer<N extends ApiName> = Whole<ApiMessages[N]['response']>

type Whole<T> = T extends Uint8Array
  ? Buffer
  : T extends readonly (infer Element)[]
    ? readonly Whole<Element>[]
    : T extends object
      ? { readonly [Field in keyof T]-?: Whole<Exclude<T[Field], undefined>> }
      : T

export class KafkaPeer {
  readonly #socket: Socket
  readonly #clientId: string
  readonly #awaited: Map<number, Awaited> = new Map()
  #chunks: Buffer[] = []
  #size = 0
  #lastId = 0
  #isOver = false

  private constructor(socket: Socket, clientId: string) {
    this.#socket = socket
    this.#clientId = clientId
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#received(chunk))
    socket.on('error', () => {
      // The broker closes while we write: `close` follows.
    })
    socket.on('close', () => this.#closed())
  }

  static async connect(port: number, clientId = 'peer'): Promise<KafkaPeer> {
    const socket = connect(port, '127.0.0.1')
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new KafkaPeer(socket, clientId)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Resolves with the answer; rejects when the connection ends before. */
  async call<N extends ApiName>(name: N, version: number, body: WireStruct): Promise<Answer<N>> {
    const correlationId = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const timer = setTimeout(() => {
      this.#awaited.delete(correlationId)
      reject(new Error(`no answer to ${name} within ${ANSWERED_WITHIN_MS} ms`))
    }, ANSWERED_WITHIN_MS)
    this.#awaited.set(correlationId, { name, version, resolve, reject, timer })
    const clientId = this.#clientId
    this.#socket.write(encodeRequest(name, { version, correlationId, clientId, body }))
    // The schemas that read it are those the types were made of.
    return promise as Promise<Answer<N>>
  }

  close(): void {
    this.#socket.destroy()
  }

  #received(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    while (this.#size >= SIZE_BYTES) {
      if (this.#chunks[0]!.length < SIZE_BYTES) this.#chunks = [Buffer.concat(this.#chunks)]
      const frameSize = SIZE_BYTES + this.#chunks[0]!.readInt32BE(0)
      if (this.#size < frameSize) return
      const bytes = Buffer.concat(this.#chunks)
      this.#chunks = [bytes.subarray(frameSize)]
      this.#size -= frameSize
      this.#answered(bytes.subarray(SIZE_BYTES, frameSize))
    }
  }

  #answered(bytes: Buffer): void {
    const awaited = this.#awaited.get(bytes.readInt32BE(0))
    assert.ok(awaited !== undefined, 'an answer that nobody waits for')
    this.#awaited.delete(bytes.readInt32BE(0))
    clearTimeout(awaited.timer)
    try {
      awaited.resolve(decodeResponse(awaited.name, awaited.version, bytes).value)
    } catch (error) {
      awaited.reject(error as Error)
    }
  }

  #closed(): void {
    this.#isOver = true
    for (const { name, reject, timer } of this.#awaited.values()) {
      clearTimeout(timer)
      reject(new Error(`the connection was closed instead of an answer to ${name}`))
    }
    this.#awaited.clear()
  }
}
