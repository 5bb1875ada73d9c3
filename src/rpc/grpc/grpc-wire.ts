import { ERROR, type Http2Session, type Http2Stream } from '../../codec/http2/index.ts'
import { fieldsOf, statusFields } from '../grpc-fields.ts'
import type { Metadata } from '../metadata.ts'
import { type Status, STATUS_CODES } from '../status.ts'
import type { CallWire } from './call.ts'
import { type Compression, COMPRESSION_NAMES } from './compression.ts'

const COMMON = ['grpc-accept-encoding', `identity,${COMPRESSION_NAMES}`] as const
const HEAD: readonly string[] = [':status', '200', 'content-type', 'application/grpc', ...COMMON]
const HEADS: ReadonlyMap<string, readonly string[]> = new Map([
  ['proto', HEAD],
  ['json', [':status', '200', 'content-type', 'application/grpc+json', ...COMMON]],
])
/** By the number of the status. */
const TRAILERS: readonly (readonly string[])[] = Object.values(STATUS_CODES).map((code) => [
  'grpc-status',
  String(code),
])

/** gRPC over a stream of HTTP/2. */
export class GrpcWire implements CallWire {
  readonly #session: Http2Session
  readonly #stream: Http2Stream
  readonly #head: readonly string[]
  #hasHead = false

  constructor(session: Http2Session, stream: Http2Stream, contentType: string) {
    this.#session = session
    this.#stream = stream
    this.#head = HEADS.get(contentType) ?? HEAD
  }

  get isWaiting(): boolean {
    return this.#stream.waiting !== null
  }

  head(metadata: Metadata, compression: Compression | null): void {
    this.#hasHead = true
    const fields = fieldsOf(metadata)
    const extra = compression === null ? fields : ['grpc-encoding', compression, ...(fields ?? [])]
    this.#session.sendHeaders(this.#stream, this.#head, { extra })
  }

  message(prefix: Uint8Array, bytes: Uint8Array): void {
    this.#session.sendPair(this.#stream, prefix, bytes)
  }

  end(status: Status, trailers: Metadata): void {
    const fixed = TRAILERS[STATUS_CODES[status.code]]!
    const fields = statusFields(status, trailers)
    if (this.#hasHead) return this.#session.sendTrailers(this.#stream, fixed, fields)
    const extra = [...fixed, ...(fields ?? [])]
    this.#session.sendHeaders(this.#stream, this.#head, { extra, isLast: true })
  }

  taken(bytes: number): void {
    this.#session.taken(this.#stream, bytes)
  }

  /** RFC 9113, §8.1 */
  stopClient(): void {
    if (!this.#stream.peerEnded) this.#session.reset(this.#stream, ERROR.NO_ERROR)
  }
}
