import { PREFIX_BYTES, writePrefix } from '../../codec/grpc/index.ts'
import { fieldsOf, statusFields } from '../grpc-fields.ts'
import { Metadata } from '../metadata.ts'
import { type Status, STATUS_CODES } from '../status.ts'
import type { CallWire } from './call.ts'
import type { Compression } from './compression.ts'
import { endOfStream } from './connect-error.ts'
import type { Exchange } from './exchange.ts'

/** What all wires share whose end is a last piece of content. */
abstract class ContentWire implements CallWire {
  protected readonly exchange: Exchange
  readonly #contentType: string
  #hasHead = false

  constructor(exchange: Exchange, contentType: string) {
    this.exchange = exchange
    this.#contentType = contentType
  }

  get isWaiting(): boolean {
    return this.exchange.isWaiting
  }

  head(metadata: Metadata, compression: Compression | null): void {
    this.#hasHead = true
    this.exchange.head(200, [
      ...['content-type', this.#contentType],
      ...(compression === null ? [] : [this.encodingField, compression]),
      ...(fieldsOf(metadata) ?? []),
    ])
  }

  message(prefix: Uint8Array, bytes: Uint8Array): void {
    this.exchange.send(prefix, bytes)
  }

  end(status: Status, trailers: Metadata): void {
    if (!this.#hasHead) this.head(Metadata.EMPTY, null)
    const bytes = this.last(status, trailers)
    const prefix = Buffer.alloc(PREFIX_BYTES)
    writePrefix(prefix, this.lastFlags, bytes.length)
    this.exchange.send(prefix, bytes)
    this.exchange.end()
  }

  taken(bytes: number): void {
    this.exchange.taken(bytes)
  }

  stopClient(): void {
    this.exchange.stopClient()
  }

  protected abstract readonly encodingField: string
  protected abstract readonly lastFlags: number
  protected abstract last(status: Status, trailers: Metadata): Buffer
}

/** gRPC-Web: the trailers are the last piece of content. */
export class GrpcWebWire extends ContentWire {
  protected readonly encodingField = 'grpc-encoding'
  protected readonly lastFlags = 0x80

  protected last(status: Status, trailers: Metadata): Buffer {
    const fields = ['grpc-status', String(STATUS_CODES[status.code])]
    fields.push(...(statusFields(status, trailers) ?? []))
    let text = ''
    for (let index = 0; index < fields.length; index += 2) {
      text += `${fields[index]}: ${fields[index + 1]}\r\n`
    }
    return Buffer.from(text, 'latin1')
  }
}

/** Streams of Connect: the last piece of content is JSON that says how the call ended. */
export class ConnectWire extends ContentWire {
  protected readonly encodingField = 'connect-content-encoding'
  protected readonly lastFlags = 0x02

  protected last(status: Status, trailers: Metadata): Buffer {
    return endOfStream(status, trailers)
  }
}
