/**
 * AMQP 0-9-1 on a real broker in memory, without sockets: what a test sends arrives at once, the
 * clock stands still until it is moved, and the far side can stop reading.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Authenticator, UserStore } from '../../src/auth/index.ts'
import { Broker, type BrokerLog } from '../../src/broker/index.ts'
import {
  AMQP_0_9_1_HEADER,
  type BasicProperties,
  type ContentHeader,
  decodeContentHeader,
  decodeMethod,
  encodeContentHeader,
  encodeMethod,
  type FieldTable,
  type FieldValue,
  FRAME,
  FrameParser,
  type MethodInput,
  type MethodName,
  type MethodOf,
} from '../../src/codec/amqp091/index.ts'
import { type EmbeddedEngine, openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import type { ConnectionHandler, PeerInfo, PeerTls, Transport } from '../../src/net/index.ts'
import {
  type Amqp091,
  type Amqp091Limits,
  createAmqp091,
} from '../../src/protocols/amqp091/index.ts'

/** On a slow machine with other work; only what does not come takes so long. */
const WAIT_MS = 30_000

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly text: string
}

export class Amqp091Harness {
  readonly clock: ManualClock
  readonly broker: Broker
  readonly users: UserStore
  readonly protocol: Amqp091
  readonly logged: LogLine[]
  readonly #wires: Wire[] = []

  private constructor(parts: {
    readonly clock: ManualClock
    readonly broker: Broker
    readonly users: UserStore
    readonly protocol: Amqp091
    readonly logged: LogLine[]
  }) {
    this.clock = parts.clock
    this.broker = parts.broker
    this.users = parts.users
    this.protocol = parts.protocol
    this.logged = parts.logged
  }

  /** Closed when the test ends, which fails if anything was logged as an error. */
  static async open(t: TestContext, limits: Partial<Amqp091Limits> = {}): Promise<Amqp091Harness> {
    const clock = new ManualClock()
    const random = new SeededRandom(7)
    const turn = new Turn()
    const logged: LogLine[] = []
    const log = logInto(logged)
    const engine: EmbeddedEngine = await openEmbeddedEngine({ memory: true, clock })
    const users = await UserStore.open(engine.kv, { random })
    const broker = await Broker.open({ engine, clock, random, turn, log })
    const authenticator = new Authenticator(users, { clock })
    const parts = { broker, users, authenticator, turn, clock, random, log }
    const protocol = createAmqp091({ ...parts, limits })
    const harness = new Amqp091Harness({ clock, broker, users, protocol, logged })
    t.after(async () => {
      for (const wire of harness.#wires) wire.cut()
      await settled()
      await broker.close()
      await engine.close()
      assert.deepEqual(
        logged.filter(({ level }) => level === 'error'),
        [],
      )
    })
    return harness
  }

  /** A socket on which nothing was sent yet. */
  connect(tls: PeerTls | null = null): Wire {
    const wire = new Wire(this.#wires.length + 1, tls)
    this.#wires.push(wire)
    wire.start(this.protocol)
    return wire
  }

  /** A connection after connection.open-ok. */
  async login(options: LoginOptions = {}): Promise<Wire> {
    const wire = this.connect()
    await wire.login(options)
    return wire
  }

  /** A connection with channel 1 open. */
  async channel(options: LoginOptions = {}): Promise<Wire> {
    const wire = await this.login(options)
    wire.method(1, { name: 'channel.open' })
    await wire.expect('channel.open-ok')
    return wire
  }
}

export interface LoginOptions {
  readonly channelMax?: number
  readonly frameMax?: number
  readonly heartbeat?: number
  readonly capabilities?: readonly string[]
  readonly virtualHost?: string
  readonly password?: string
}

export interface Frame {
  readonly channel: number
  readonly name: MethodName | 'header' | 'body' | 'heartbeat'
  readonly method?: MethodOf<MethodName>
  readonly header?: ContentHeader
  readonly body?: Buffer
}

const ALL_CAPABILITIES = [
  'basic.nack',
  'consumer_cancel_notify',
  'connection.blocked',
  'publisher_confirms',
  'authentication_failure_close',
]

/** The client's end of one connection, and the transport of the broker's end. */
export class Wire implements Transport {
  readonly id: number
  readonly peer: PeerInfo
  readonly frames: Frame[] = []
  /** Octets as they came, also such as are no frames. */
  readonly received: Buffer[] = []
  pendingBytes = 0
  isPaused = false
  isEnded = false
  isClosed = false
  /** False: nothing that is written is taken, as by a peer that does not read. */
  isReading = true
  #handler: ConnectionHandler | null = null
  #unread: Buffer[] = []
  #unsent: Buffer[] = []
  readonly #parser: FrameParser

  constructor(id: number, tls: PeerTls | null) {
    this.id = id
    this.peer = {
      remoteAddress: '127.0.0.1',
      remotePort: 40_000 + id,
      localAddress: '127.0.0.1',
      localPort: 5672,
      listener: 'test',
      tls,
    }
    this.#parser = new FrameParser(
      {
        onMethod: (channel, id, bytes, start, end) => {
          const method = decodeMethod(id, bytes, start, end)
          this.frames.push({ channel, name: method.name, method })
        },
        onHeader: (channel, bytes, start, end) => {
          const header = decodeContentHeader(Buffer.from(bytes), start, end)
          this.frames.push({ channel, name: 'header', header })
        },
        onBody: (channel, bytes, start, end) => {
          const body = Buffer.from(bytes.subarray(start, end))
          this.frames.push({ channel, name: 'body', body })
        },
        onHeartbeat: () => this.frames.push({ channel: 0, name: 'heartbeat' }),
      },
      0,
    )
  }

  start(protocol: Amqp091): void {
    this.#handler = protocol.accept(this)
  }

  // --- the broker's side ---

  write(bytes: Uint8Array): boolean {
    if (this.isEnded || this.isClosed) return true
    if (!this.isReading) {
      this.#unread.push(Buffer.from(bytes))
      this.pendingBytes += bytes.length
      return false
    }
    this.#take(Buffer.from(bytes))
    return true
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    for (const bytes of this.#unsent.splice(0)) this.send(bytes)
  }

  end(): void {
    this.isEnded = true
    queueMicrotask(() => this.cut())
  }

  destroy(): void {
    this.isEnded = true
    queueMicrotask(() => this.cut())
  }

  // --- the client's side ---

  /** Arrives at once, or when the socket is read again. */
  send(bytes: Uint8Array): void {
    if (this.isClosed) return
    const read = Buffer.from(bytes)
    if (this.isPaused) {
      this.#unsent.push(read)
      return
    }
    this.#handler?.received(read)
    // Reads are borrowed: whoever kept a part of it now finds this.
    read.fill(0xaa)
  }

  method(channel: number, method: MethodInput): void {
    this.send(encodeMethod(channel, method))
  }

  /** The frames of a publish; to be sent whole, cut, or with something in between. */
  publish(channel: number, to: PublishTo, body: string | Buffer = 'x'): void {
    this.send(publishBytes(channel, to, body))
  }

  /** Reads again: what was not taken is. */
  read(): void {
    this.isReading = true
    for (const bytes of this.#unread.splice(0)) this.#take(bytes)
    this.pendingBytes = 0
    this.#handler?.drained()
  }

  /** The socket is gone, as when the client's process died. */
  cut(): void {
    if (this.isClosed) return
    this.isClosed = true
    const handler = this.#handler
    this.#handler = null
    handler?.closed(null)
  }

  shutdown(reason: string): void {
    this.#handler?.shutdown(reason)
  }

  /** The next frame of that name, whatever comes before it. */
  async next<Name extends MethodName>(name: Name): Promise<MethodOf<Name>>
  async next(name: Frame['name']): Promise<unknown>
  async next(name: Frame['name']): Promise<unknown> {
    await until(() => this.frames.some((frame) => frame.name === name), name, this)
    const index = this.frames.findIndex((frame) => frame.name === name)
    const [frame] = this.frames.splice(0, index + 1).slice(-1)
    return frame!.method ?? frame!.header ?? frame!.body
  }

  /** The very next frame, which must be a method of that name. */
  async expect<Name extends MethodName>(name: Name): Promise<MethodOf<Name>> {
    await until(() => this.frames.length > 0, name, this)
    const frame = this.frames.shift()!
    assert.equal(frame.name, name, `got ${JSON.stringify(frame.method ?? frame.name)}`)
    return frame.method as MethodOf<Name>
  }

  /** The next message: of basic.deliver, basic.get-ok or basic.return. */
  async message<Name extends 'basic.deliver' | 'basic.get-ok' | 'basic.return'>(
    name: Name,
  ): Promise<{ method: MethodOf<Name>; properties: BasicProperties; body: string }> {
    const method = (await this.next(name)) as MethodOf<Name>
    const { bodySize, properties } = (await this.next('header')) as ContentHeader
    const parts: Buffer[] = []
    for (let got = 0; got < bodySize;) {
      const part = (await this.next('body')) as Buffer
      parts.push(part)
      got += part.length
    }
    return { method, properties, body: Buffer.concat(parts).toString() }
  }

  /** Turns of the loop in which nothing of that name may come. */
  async nothing(name: Frame['name']): Promise<void> {
    await settled()
    assert.equal(
      this.frames.filter((frame) => frame.name === name).length,
      0,
      `${name} came: ${JSON.stringify(this.frames.map((frame) => frame.name))}`,
    )
  }

  async closed(): Promise<void> {
    await until(() => this.isClosed, 'the end of the socket', this)
  }

  /** Reads connection.close, answers it, and returns its code and text. */
  async refusal(): Promise<{ code: number; text: string; methodId: number }> {
    const { replyCode, replyText, classId, methodId } = await this.next('connection.close')
    this.method(0, { name: 'connection.close-ok' })
    await this.closed()
    return { code: replyCode, text: replyText, methodId: (classId << 16) | methodId }
  }

  /** Reads channel.close, answers it, and returns its code and text. */
  async channelRefusal(): Promise<{ code: number; text: string; methodId: number }> {
    await until(() => this.frames.some(({ name }) => name === 'channel.close'), 'close', this)
    const index = this.frames.findIndex(({ name }) => name === 'channel.close')
    const [frame] = this.frames.splice(0, index + 1).slice(-1)
    const close = frame!.method as MethodOf<'channel.close'>
    this.method(frame!.channel, { name: 'channel.close-ok' })
    const methodId = (close.classId << 16) | close.methodId
    return { code: close.replyCode, text: close.replyText, methodId }
  }

  startOk(options: LoginOptions = {}): void {
    const names = options.capabilities ?? ALL_CAPABILITIES
    const capabilities: FieldTable = new Map(names.map((name) => [name, true]))
    this.method(0, {
      name: 'connection.start-ok',
      clientProperties: new Map<string, FieldValue>([
        ['product', 'test'],
        ['capabilities', capabilities],
      ]),
      mechanism: 'PLAIN',
      response: `\0guest\0${options.password ?? 'guest'}`,
      locale: 'en_US',
    })
  }

  async login(options: LoginOptions = {}): Promise<void> {
    this.send(AMQP_0_9_1_HEADER)
    await this.expect('connection.start')
    this.startOk(options)
    const tune = await this.expect('connection.tune')
    this.method(0, {
      name: 'connection.tune-ok',
      channelMax: options.channelMax ?? tune.channelMax,
      frameMax: options.frameMax ?? tune.frameMax,
      heartbeat: options.heartbeat ?? 0,
    })
    this.method(0, { name: 'connection.open', virtualHost: options.virtualHost ?? '/' })
    await this.expect('connection.open-ok')
  }

  #take(bytes: Buffer): void {
    this.received.push(bytes)
    if (bytes.equals(AMQP_0_9_1_HEADER)) return
    this.#parser.push(bytes)
  }
}

export interface PublishTo {
  readonly exchange?: string
  readonly key: string
  readonly mandatory?: boolean
  readonly immediate?: boolean
  readonly properties?: BasicProperties
  /** Body octets per frame; default: one frame. */
  readonly frameBytes?: number
}

export function publishBytes(channel: number, to: PublishTo, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body)
  const parts = [
    encodeMethod(channel, {
      name: 'basic.publish',
      exchange: to.exchange ?? '',
      routingKey: to.key,
      mandatory: to.mandatory ?? false,
      immediate: to.immediate ?? false,
    }),
    frame(FRAME.HEADER, channel, encodeContentHeader(bytes.length, to.properties)),
  ]
  const size = to.frameBytes ?? Math.max(1, bytes.length)
  for (let at = 0; at < bytes.length; at += size) {
    parts.push(frame(FRAME.BODY, channel, bytes.subarray(at, at + size)))
  }
  return Buffer.concat(parts)
}

/** A frame of any type and payload, right or wrong. */
export function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(payload.length + 8)
  bytes.writeUInt8(type, 0)
  bytes.writeUInt16BE(channel, 1)
  bytes.writeUInt32BE(payload.length, 3)
  bytes.set(payload, 7)
  bytes.writeUInt8(FRAME.END, bytes.length - 1)
  return bytes
}

/** Some turns of the loop: whatever follows from what was sent has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function until(condition: () => boolean, what: string, wire: Wire): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  while (!condition()) {
    if (performance.now() > deadline) {
      const there = wire.frames.map(({ name, method }) => (method ? JSON.stringify(method) : name))
      assert.fail(`no ${what} within ${WAIT_MS} ms; there is: ${there.join(', ')}`)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function logInto(lines: LogLine[]): BrokerLog {
  const at =
    (level: LogLine['level']) =>
    (fields: object, text: string): void => {
      const cause = (fields as { err?: unknown }).err
      const why = level === 'error' && cause instanceof Error ? ` ${cause.stack}` : ''
      lines.push({ level, text: text + why })
    }
  return { info: at('info'), warn: at('warn'), error: at('error') }
}
