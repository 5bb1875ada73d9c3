/**
 * AMQP 0-9-1 frame by frame, for what client libraries hide or never send: methods without wait,
 * wrong orders, exact replies. It keeps every frame it gets in order and understands none.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import {
  AMQP_0_9_1_HEADER,
  decodeContentHeader,
  decodeMethod,
  encodeContentHeader,
  encodeMethod,
  FRAME,
  FrameParser,
  HEARTBEAT_FRAME,
  METHOD_NAMES,
  type BasicProperties,
  type ContentHeader,
  type FieldTable,
  type Method,
  type MethodInput,
  type MethodName,
  type MethodOf,
} from '../../src/codec/amqp091/index.ts'
import type { Target } from './target.ts'

/** On a slow machine with other work; only what does not come takes so long. */
const ARRIVES_WITHIN_MS = 30_000

export type Incoming =
  | { readonly kind: 'method'; readonly channel: number; readonly method: Method }
  | { readonly kind: 'header'; readonly channel: number; readonly header: ContentHeader }
  | { readonly kind: 'body'; readonly channel: number; readonly body: Buffer }
  | { readonly kind: 'heartbeat' }

/** What may be asked of the handshake. */
export interface OpenOptions {
  readonly mechanism?: string
  readonly response?: string | Uint8Array
  readonly virtualHost?: string
  readonly clientProperties?: FieldTable
  readonly frameMax?: number
  readonly channelMax?: number
  /** Seconds; default 0, no heartbeats. */
  readonly heartbeat?: number
}

const CAPABILITIES: FieldTable = new Map([
  [
    'capabilities',
    new Map([
      ['basic.nack', true],
      ['consumer_cancel_notify', true],
      ['connection.blocked', true],
      ['publisher_confirms', true],
      ['authentication_failure_close', true],
    ]),
  ],
])

export class RawClient {
  /** Writes every octet apart from the others. */
  cutsWrites = false
  readonly #socket: Socket
  readonly #target: Target
  readonly #incoming: Incoming[] = []
  #wake: (() => void) | null = null
  #ended = false
  /** Octets that came before any frame: the answer to a wrong protocol header. */
  #plain: Buffer[] | null = null

  private constructor(socket: Socket, target: Target) {
    this.#socket = socket
    this.#target = target
    const parser = new FrameParser(
      {
        onMethod: (channel, methodId, bytes, start, end) => {
          const method = decodeMethod(methodId, bytes, start, end)
          this.#arrived({ kind: 'method', channel, method })
        },
        onHeader: (channel, bytes, start, end) => {
          const header = decodeContentHeader(Buffer.from(bytes), start, end)
          this.#arrived({ kind: 'header', channel, header })
        },
        onBody: (channel, bytes, start, end) => {
          this.#arrived({ kind: 'body', channel, body: Buffer.from(bytes.subarray(start, end)) })
        },
        onHeartbeat: () => {
          this.#arrived({ kind: 'heartbeat' })
        },
      },
      0,
    )
    socket.on('data', (bytes: Buffer) => {
      if (this.#plain === null) parser.push(bytes)
      else {
        this.#plain.push(bytes)
        this.#wake?.()
      }
    })
    socket.on('error', () => {
      this.#end()
    })
    socket.on('close', () => {
      this.#end()
    })
  }

  /** A socket on which nothing has been sent. */
  static async connect(target: Target): Promise<RawClient> {
    const socket = connect(target.port, target.host)
    await once(socket, 'connect')
    socket.setNoDelay(true)
    return new RawClient(socket, target)
  }

  /** A connection after its handshake, without a channel. */
  static async open(target: Target, options: OpenOptions = {}): Promise<RawClient> {
    const client = await RawClient.connect(target)
    await client.login(options)
    client.sendMethod(0, {
      name: 'connection.open',
      virtualHost: options.virtualHost ?? '/',
    })
    await client.method('connection.open-ok')
    return client
  }

  /** The handshake up to tune-ok; returns what the server offered. */
  async login(options: OpenOptions = {}): Promise<MethodOf<'connection.tune'>> {
    this.sendHeader()
    await this.method('connection.start')
    this.startOk(options)
    const tune = await this.method('connection.tune')
    this.sendMethod(0, {
      name: 'connection.tune-ok',
      channelMax: options.channelMax ?? tune.channelMax,
      frameMax: options.frameMax ?? tune.frameMax,
      heartbeat: options.heartbeat ?? 0,
    })
    return tune
  }

  sendHeader(): void {
    this.write(AMQP_0_9_1_HEADER)
  }

  startOk(options: OpenOptions = {}): void {
    const { user, password } = this.#target
    this.sendMethod(0, {
      name: 'connection.start-ok',
      clientProperties: options.clientProperties ?? CAPABILITIES,
      mechanism: options.mechanism ?? 'PLAIN',
      response: options.response ?? `\0${user}\0${password}`,
      locale: 'en_US',
    })
  }

  async openChannel(channel: number): Promise<void> {
    this.sendMethod(channel, { name: 'channel.open' })
    await this.method('channel.open-ok')
  }

  write(bytes: Uint8Array): void {
    if (!this.cutsWrites) {
      this.#socket.write(bytes)
      return
    }
    for (const byte of bytes) this.#socket.write(Uint8Array.of(byte))
  }

  sendMethod(channel: number, method: MethodInput): void {
    this.write(encodeMethod(channel, method))
  }

  /** A frame of any type and payload, right or wrong. */
  sendFrame(type: number, channel: number, payload: Uint8Array): void {
    const frame = Buffer.alloc(payload.length + 8)
    frame.writeUInt8(type, 0)
    frame.writeUInt16BE(channel, 1)
    frame.writeUInt32BE(payload.length, 3)
    frame.set(payload, 7)
    frame.writeUInt8(FRAME.END, frame.length - 1)
    this.write(frame)
  }

  sendContent(channel: number, body: string | Uint8Array, properties: BasicProperties = {}): void {
    const bytes = Buffer.from(body)
    this.sendFrame(FRAME.HEADER, channel, encodeContentHeader(bytes.length, properties))
    if (bytes.length > 0) this.sendFrame(FRAME.BODY, channel, bytes)
  }

  sendPublish(
    channel: number,
    to: { readonly exchange?: string; readonly key: string; readonly mandatory?: boolean },
    body: string,
    properties: BasicProperties = {},
  ): void {
    this.sendMethod(channel, {
      name: 'basic.publish',
      exchange: to.exchange ?? '',
      routingKey: to.key,
      mandatory: to.mandatory ?? false,
    })
    this.sendContent(channel, body, properties)
  }

  sendHeartbeat(): void {
    this.write(HEARTBEAT_FRAME)
  }

  /** The next frame, whatever it is; null when the server has ended the connection. */
  async next(withinMs: number = ARRIVES_WITHIN_MS): Promise<Incoming | null> {
    const deadlineMs = performance.now() + withinMs
    while (this.#incoming.length === 0) {
      if (this.#ended) return null
      await this.#change(deadlineMs, 'no frame')
    }
    return this.#incoming.shift() ?? null
  }

  /** The next frame, which must be this method. Heartbeats before it are passed over. */
  async method<Name extends MethodName>(name: Name, withinMs?: number): Promise<MethodOf<Name>> {
    for (;;) {
      const incoming = await this.next(withinMs)
      if (incoming?.kind === 'heartbeat') continue
      assert.ok(incoming !== null, `the connection ended before ${name}`)
      const seen = describe(incoming)
      assert.ok(incoming.kind === 'method' && incoming.method.name === name, `${name}, got ${seen}`)
      return incoming.method as MethodOf<Name>
    }
  }

  /** The content behind a deliver, get-ok or return. */
  async content(): Promise<{ readonly header: ContentHeader; readonly body: Buffer }> {
    const first = await this.next()
    assert.ok(first?.kind === 'header', `a content header, got ${describe(first)}`)
    const pieces: Buffer[] = []
    let left = Number(first.header.bodySize)
    while (left > 0) {
      const piece = await this.next()
      assert.ok(piece?.kind === 'body', `a body frame, got ${describe(piece)}`)
      pieces.push(piece.body)
      left -= piece.body.length
    }
    return { header: first.header, body: Buffer.concat(pieces) }
  }

  /** The connection.close that must come next; it is answered. */
  async connectionClose(): Promise<{ code: number; text: string; method: string }> {
    const close = await this.method('connection.close')
    this.sendMethod(0, { name: 'connection.close-ok' })
    return closeOf(close)
  }

  /** The channel.close that must come next; it is answered. */
  async channelClose(channel: number): Promise<{ code: number; text: string; method: string }> {
    const close = await this.method('channel.close')
    this.sendMethod(channel, { name: 'channel.close-ok' })
    return closeOf(close)
  }

  /** Resolves when the server has closed the socket; frames before that are kept. */
  async ended(withinMs: number = ARRIVES_WITHIN_MS): Promise<void> {
    const deadlineMs = performance.now() + withinMs
    while (!this.#ended) await this.#change(deadlineMs, 'the socket is still open')
  }

  /** From now on collects octets as they are, without a frame parser. */
  plainly(): void {
    this.#plain = []
  }

  /** So many octets as came since `plainly`, or fewer if the connection ends. */
  async plainAnswer(bytes: number): Promise<Buffer> {
    const deadlineMs = performance.now() + ARRIVES_WITHIN_MS
    for (;;) {
      const answer = Buffer.concat(this.#plain ?? [])
      if (answer.length >= bytes || this.#ended) return answer
      await this.#change(deadlineMs, `only ${answer.length} octets`)
    }
  }

  /** Nothing has come that was not yet looked at. */
  get isQuiet(): boolean {
    return this.#incoming.length === 0
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #arrived(incoming: Incoming): void {
    this.#incoming.push(incoming)
    this.#wake?.()
  }

  #end(): void {
    this.#ended = true
    this.#wake?.()
  }

  async #change(deadlineMs: number, what: string): Promise<void> {
    const leftMs = deadlineMs - performance.now()
    if (leftMs <= 0) throw new Error(`${what} within ${ARRIVES_WITHIN_MS} ms`)
    await new Promise<void>((resolve) => {
      const timeout = setTimeout(resolve, leftMs)
      this.#wake = () => {
        clearTimeout(timeout)
        this.#wake = null
        resolve()
      }
    })
  }
}

function closeOf(close: MethodOf<'connection.close'> | MethodOf<'channel.close'>): {
  code: number
  text: string
  method: string
} {
  const blamed = METHOD_NAMES.get(close.classId * 0x10000 + close.methodId) ?? ''
  return { code: close.replyCode, text: close.replyText, method: blamed }
}

function describe(incoming: Incoming | null): string {
  if (incoming === null) return 'the end of the connection'
  if (incoming.kind !== 'method') return incoming.kind
  const { method } = incoming
  if (method.name === 'channel.close' || method.name === 'connection.close') {
    return `${method.name} ${method.replyCode} '${method.replyText}'`
  }
  return method.name
}
