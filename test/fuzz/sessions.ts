/**
 * Random sessions that keep to the grammar: a handshake, channels, and any mixture of what clients
 * ask. They may be refused (a queue that is missing), but never for how they are written.
 */
import {
  METHOD,
  type BasicProperties,
  type FieldTable,
  type FieldValue,
  type MethodInput,
} from '../../src/codec/amqp091/index.ts'
import type { SeededRandom } from '../../src/lib/random.ts'
import { body, header, method, PROTOCOL_HEADER, type Piece } from './pieces.ts'

const QUEUES: readonly string[] = ['fuzz.q0', 'fuzz.q1', 'fuzz.q2', 'fuzz.q3', 'fuzz.q4']
const EXCHANGES: readonly string[] = ['fuzz.x0', 'fuzz.x1', 'fuzz.x2', 'fuzz.x3']

const TAGS = ['t0', 't1', 't2']
const KEYS = ['', 'a', 'a.b', 'a.b.c', '#', '*.b', '100', 'x'.repeat(255)]
const TYPES = ['direct', 'fanout', 'topic', 'headers', 'x-consistent-hash', 'x-delayed-message']
const CHANNELS_MAX = 3

/** Draws what sessions and mutations are made of. */
export class Draw {
  readonly random: SeededRandom

  constructor(random: SeededRandom) {
    this.random = random
  }

  below(bound: number): number {
    return this.random.integer(bound)
  }

  one<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  queue(): string {
    return this.chance(85) ? this.one(QUEUES) : this.one(['', 'fuzz.missing', 'amq.fuzz'])
  }

  exchange(): string {
    if (this.chance(70)) return this.one(EXCHANGES)
    return this.one(['', 'amq.direct', 'amq.topic', 'amq.headers', 'amq.fanout', 'fuzz.missing'])
  }
}

export interface SessionOptions {
  readonly user: string
  readonly password: string
}

/** The handshake and 1 to 40 operations on a few channels. */
export function randomSession(draw: Draw, options: SessionOptions): Piece[] {
  const pieces = handshake(options)
  const opened: number[] = []
  const count = 1 + draw.below(40)
  for (let index = 0; index < count; index++) {
    if (opened.length === 0 || (opened.length < CHANNELS_MAX && draw.chance(10))) {
      const channel = opened.length + 1
      opened.push(channel)
      pieces.push(method(channel, { name: 'channel.open' }))
      continue
    }
    const channel = draw.one(opened)
    if (draw.chance(35)) pieces.push(...publish(draw, channel))
    else pieces.push(method(channel, randomRequest(draw)))
  }
  return pieces
}

export function handshake({ user, password }: SessionOptions): Piece[] {
  const capabilities = new Map([
    ['authentication_failure_close', true],
    ['consumer_cancel_notify', true],
    ['connection.blocked', true],
  ])
  return [
    PROTOCOL_HEADER,
    method(0, {
      name: 'connection.start-ok',
      clientProperties: new Map<string, FieldValue>([
        ['product', 'fuzz'],
        ['capabilities', capabilities],
      ]),
      mechanism: 'PLAIN',
      response: `\0${user}\0${password}`,
      locale: 'en_US',
    }),
    method(0, { name: 'connection.tune-ok', channelMax: 2047, frameMax: 131_072, heartbeat: 0 }),
    method(0, { name: 'connection.open', virtualHost: '/' }),
  ]
}

export function publish(draw: Draw, channel: number): Piece[] {
  const size = draw.chance(20) ? 0 : draw.below(draw.chance(10) ? 20_000 : 200)
  const bytes = Buffer.alloc(size, 'fuzz ')
  const pieces: Piece[] = [
    method(channel, {
      name: 'basic.publish',
      exchange: draw.chance(50) ? '' : draw.exchange(),
      routingKey: draw.chance(70) ? draw.one(QUEUES) : draw.one(KEYS),
      mandatory: draw.chance(20),
    }),
    header(channel, size, properties(draw)),
  ]
  for (let at = 0; at < size;) {
    const end = draw.chance(80) ? size : at + 1 + draw.below(size - at)
    pieces.push(body(channel, bytes.subarray(at, end)))
    at = end
  }
  return pieces
}

function properties(draw: Draw): BasicProperties {
  return {
    ...(draw.chance(50) ? { deliveryMode: 1 + draw.below(2) } : {}),
    ...(draw.chance(20) ? { priority: draw.below(256) } : {}),
    ...(draw.chance(10) ? { expiration: draw.one(['0', '1', '50', '60000', 'soon', '']) } : {}),
    ...(draw.chance(10) ? { userId: draw.one(['guest', 'nobody']) } : {}),
    ...(draw.chance(10) ? { replyTo: draw.one(['amq.rabbitmq.reply-to', 'fuzz.q0']) } : {}),
    ...(draw.chance(30) ? { headers: table(draw, 3) } : {}),
    ...(draw.chance(10) ? { timestamp: 2n ** 63n + 5n } : {}),
    ...(draw.chance(10) ? { messageId: 'm'.repeat(255), correlationId: '\0\r\n' } : {}),
  }
}

const HEADER_NAMES = ['CC', 'BCC', 'x-delay', 'x-death', 'x-match', 'x-delivery-count', 'k', '']

function table(draw: Draw, depth: number): FieldTable {
  const entries = Array.from({ length: draw.below(4) }, (): [string, FieldValue] => {
    return [draw.one(HEADER_NAMES), fieldValue(draw, depth)]
  })
  return new Map(entries)
}

function fieldValue(draw: Draw, depth: number): FieldValue {
  const leaf = [
    null,
    true,
    -1,
    0,
    2 ** 31 - 1,
    -(2 ** 40),
    'fuzz.q1',
    'any',
    'soon',
    { type: 'double', value: Number.NaN } as const,
    { type: 'long', value: 2n ** 63n - 1n } as const,
    { type: 'timestamp', value: 2n ** 64n - 1n } as const,
    { type: 'decimal', scale: 255, value: -1 } as const,
    { type: 'longstr', value: Uint8Array.of(0xff, 0xfe) } as const,
    Uint8Array.of(0, 1, 2),
  ] satisfies FieldValue[]
  if (depth === 0 || draw.chance(70)) return draw.one(leaf)
  if (draw.chance(50)) return table(draw, depth - 1)
  return Array.from({ length: draw.below(4) }, () => fieldValue(draw, depth - 1))
}

const QUEUE_ARGUMENTS: readonly (readonly [string, readonly FieldValue[]])[] = [
  ['x-message-ttl', [0, 50, -1, 'soon', 2 ** 40]],
  ['x-expires', [1, 60_000, 0, true]],
  ['x-max-length', [0, 1, 10, -1, 'ten']],
  ['x-max-length-bytes', [0, 1000, null]],
  ['x-overflow', ['drop-head', 'reject-publish', 'reject-publish-dlx', 'explode', 1]],
  ['x-dead-letter-exchange', ['', 'fuzz.x0', 'fuzz.missing', 5]],
  ['x-dead-letter-routing-key', ['fuzz.q0', 'fuzz.q1', false]],
  ['x-max-priority', [1, 10, 255, 256, 0, -1]],
  ['x-queue-type', ['classic', 'quorum', 'stream', 'imaginary', 9]],
  ['x-single-active-consumer', [true, false, 'yes']],
  ['x-delivery-limit', [0, 1, -1]],
  ['x-max-age', ['7D', '1s', 'D', -5]],
  ['x-unheard-of', [new Map([['a', [1, new Map()]]])]],
]

function queueArguments(draw: Draw): FieldTable {
  if (draw.chance(50)) return new Map()
  const entries = Array.from({ length: 1 + draw.below(3) }, (): [string, FieldValue] => {
    const [name, values] = draw.one(QUEUE_ARGUMENTS)
    return [name, draw.one(values)]
  })
  return new Map(entries)
}

type Operation = (draw: Draw) => MethodInput

const OPERATIONS: readonly Operation[] = [
  (draw) => ({
    name: 'queue.declare',
    queue: draw.queue(),
    passive: draw.chance(20),
    durable: draw.chance(30),
    exclusive: draw.chance(30),
    autoDelete: draw.chance(30),
    nowait: draw.chance(10),
    arguments: queueArguments(draw),
  }),
  (draw) => ({ name: 'queue.declare', queue: draw.queue(), autoDelete: true }),
  (draw) => ({
    name: 'queue.bind',
    queue: draw.queue(),
    exchange: draw.exchange(),
    routingKey: draw.one(KEYS),
    arguments: table(draw, 1),
  }),
  (draw) => ({
    name: 'queue.unbind',
    queue: draw.queue(),
    exchange: draw.exchange(),
    routingKey: draw.one(KEYS),
  }),
  (draw) => ({ name: 'queue.purge', queue: draw.queue(), nowait: draw.chance(10) }),
  (draw) => ({
    name: 'queue.delete',
    queue: draw.queue(),
    ifUnused: draw.chance(20),
    ifEmpty: draw.chance(20),
    nowait: draw.chance(10),
  }),
  (draw) => ({
    name: 'exchange.declare',
    exchange: draw.exchange(),
    type: draw.one(TYPES),
    passive: draw.chance(10),
    durable: draw.chance(30),
    autoDelete: draw.chance(40),
    internal: draw.chance(10),
    arguments: draw.chance(60)
      ? new Map()
      : new Map([
          ['alternate-exchange', draw.one<FieldValue>(['fuzz.x1', 'fuzz.missing', 7])],
          ['x-delayed-type', draw.one<FieldValue>(['direct', 'topic', 'imaginary', 1])],
        ]),
  }),
  (draw) => ({
    name: 'exchange.bind',
    destination: draw.exchange(),
    source: draw.exchange(),
    routingKey: draw.one(KEYS),
  }),
  (draw) => ({
    name: 'exchange.unbind',
    destination: draw.exchange(),
    source: draw.exchange(),
    routingKey: draw.one(KEYS),
  }),
  (draw) => ({
    name: 'exchange.delete',
    exchange: draw.exchange(),
    ifUnused: draw.chance(20),
    nowait: draw.chance(10),
  }),
  (draw) => ({
    name: 'basic.consume',
    queue: draw.chance(90) ? draw.queue() : 'amq.rabbitmq.reply-to',
    consumerTag: draw.chance(80) ? draw.one(TAGS) : '',
    noAck: draw.chance(40),
    exclusive: draw.chance(10),
    nowait: draw.chance(10),
    arguments: draw.chance(80)
      ? new Map()
      : new Map([
          ['x-priority', draw.one<FieldValue>([5, -5, 'high'])],
          ['x-stream-offset', draw.one<FieldValue>(['first', 'next', 'never', 0, -1, '1D'])],
        ]),
  }),
  (draw) => ({ name: 'basic.cancel', consumerTag: draw.one(TAGS), nowait: draw.chance(10) }),
  (draw) => ({ name: 'basic.get', queue: draw.queue(), noAck: draw.chance(50) }),
  (draw) => ({
    name: 'basic.qos',
    prefetchCount: draw.one([0, 1, 10, 65_535]),
    global: draw.chance(30),
  }),
  (draw) => ({ name: 'basic.ack', deliveryTag: deliveryTag(draw), multiple: draw.chance(30) }),
  (draw) => ({
    name: 'basic.nack',
    deliveryTag: deliveryTag(draw),
    multiple: draw.chance(30),
    requeue: draw.chance(50),
  }),
  (draw) => ({ name: 'basic.reject', deliveryTag: deliveryTag(draw), requeue: draw.chance(50) }),
  () => ({ name: 'basic.recover', requeue: true }),
  () => ({ name: 'basic.recover-async', requeue: true }),
  () => ({ name: 'confirm.select' }),
  () => ({ name: 'tx.select' }),
  () => ({ name: 'tx.commit' }),
  () => ({ name: 'tx.rollback' }),
  () => ({ name: 'channel.flow', active: true }),
  () => ({ name: 'channel.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 }),
  () => ({ name: 'channel.open' }),
]

/** What a client may ask on an open channel, publishes aside. */
export function randomRequest(draw: Draw): MethodInput {
  return draw.one(OPERATIONS)(draw)
}

function deliveryTag(draw: Draw): number {
  return draw.chance(70) ? 1 + draw.below(3) : draw.one([0, 7, 2 ** 40])
}

/** Ids of methods for mutations: all there are, and some that are not. */
export const METHOD_IDS: readonly number[] = [
  ...Object.values(METHOD),
  0,
  0xffff_ffff,
  0x003c_03e7,
  0x0063_0001,
]
