/**
 * How fast the AMQP 0-9-1 codec is alone: `node bench/micro/codec-amqp091.ts`.
 *
 * Each line of the parser and of the writer handles one read or one write of about 64 KiB; the
 * table at the end turns them into frames and messages a second.
 */
import { bench, run, summary } from 'mitata'
import {
  ChannelWriter,
  ContentHeaderView,
  ContentView,
  decodeFieldTable,
  decodeMethod,
  editContentHeader,
  encodeAddress,
  encodeContentHeader,
  encodeFieldTable,
  encodeMethod,
  encodeShortString,
  FrameParser,
  METHOD,
  PublishView,
  SettleView,
} from '../../src/codec/amqp091/index.ts'
import type { FrameHandler } from '../../src/codec/amqp091/index.ts'

const READ_BYTES = 65_536
const FRAME_SIZE_MAX = 131_072

/** Does what a connection must do with what comes: read the method, check the header. */
class Sink implements FrameHandler {
  readonly publish = new PublishView()
  readonly settle = new SettleView()
  readonly header = new ContentHeaderView()
  octets = 0

  onMethod(_channel: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === METHOD.BASIC_PUBLISH) this.publish.read(bytes, start, end)
    else if (id === METHOD.BASIC_ACK) this.settle.readAck(bytes, start, end)
    this.octets += end - start
  }

  onHeader(_channel: number, bytes: Buffer, start: number, end: number): void {
    this.header.read(bytes, start, end)
    this.octets += this.header.bodySize
  }

  onBody(_channel: number, _bytes: Buffer, start: number, end: number): void {
    this.octets += end - start
  }

  onHeartbeat(): void {
    this.octets += 1
  }
}

const writer = new ChannelWriter(1, FRAME_SIZE_MAX)
const consumerTag = encodeShortString('amq.ctag-0123456789abcdef')
const headers = new Map([
  ['trace', '0123456789abcdef0123456789abcdef'],
  ['attempt', '1'],
  ['tenant', 'a'],
])

function message(bodyBytes: number, withHeaders: boolean): ContentView {
  const properties = { deliveryMode: 2, contentType: 'application/json' }
  const header = encodeContentHeader(
    bodyBytes,
    withHeaders ? { ...properties, headers } : properties,
  )
  return new ContentView()
    .setAddress(encodeAddress({ exchange: '', routingKey: 'orders.created' }))
    .setHeader(header)
    .setBody(Buffer.alloc(bodyBytes, 7))
}

interface Wire {
  readonly bytes: Buffer
  readonly count: number
}

function fill(frameBytes: number, write: (out: Buffer, at: number) => number): Wire {
  const count = Math.max(1, Math.floor(READ_BYTES / frameBytes))
  const bytes = Buffer.alloc(count * frameBytes)
  let at = 0
  for (let i = 0; i < count; i += 1) at = write(bytes, at)
  return { bytes, count }
}

/** What one line handles: messages, and frames in each of them. */
const handled = new Map<string, { readonly messages: number; readonly frames: number }>()

function parsing(name: string, wire: Wire, frames: number, cutBytes: number = READ_BYTES): void {
  const parser = new FrameParser(new Sink(), FRAME_SIZE_MAX)
  const { length } = wire.bytes
  handled.set(name, { messages: wire.count, frames })
  bench(name, () => {
    for (let at = 0; at < length; at += cutBytes) {
      parser.push(wire.bytes, at, Math.min(at + cutBytes, length))
    }
  })
}

function writing(name: string, content: ContentView, frames: number): void {
  const count = Math.floor(READ_BYTES / writer.deliverBytes(consumerTag, content))
  const out = Buffer.alloc(READ_BYTES)
  let tag = 0
  handled.set(name, { messages: count, frames })
  bench(name, () => {
    let at = 0
    for (let i = 0; i < count; i += 1) {
      tag += 1
      at = writer.deliver(out, at, consumerTag, tag, false, content)
    }
    return at
  })
}

const acks = fill(21, (out, at) => writer.ack(out, at, 1, true))
const sizes = [16, 100, 1024] as const

summary(() => {
  parsing('parse acks', acks, 1)
  parsing('parse acks, reads of 1,000 octets', acks, 1, 1000)
  for (const size of sizes) {
    const content = message(size, false)
    const bytes = writer.publishBytes(content)
    const wire = fill(bytes, (out, at) => writer.publish(out, at, false, content))
    parsing(`parse publish of ${size} octets`, wire, 3)
  }
  const content = message(100, true)
  const wire = fill(writer.publishBytes(content), (out, at) =>
    writer.publish(out, at, false, content),
  )
  parsing('parse publish of 100 octets with three headers', wire, 3)
})

summary(() => {
  for (const size of sizes) writing(`write deliver of ${size} octets`, message(size, false), 3)
  const out = Buffer.alloc(READ_BYTES)
  handled.set('write acks', { messages: acks.count, frames: 1 })
  bench('write acks', () => {
    let at = 0
    for (let tag = 1; tag <= acks.count; tag += 1) at = writer.ack(out, at, tag, false)
    return at
  })
})

summary(() => {
  const declare = encodeMethod(1, {
    name: 'queue.declare',
    queue: 'orders',
    durable: true,
    arguments: new Map([['x-queue-type', 'quorum']]),
  })
  bench('decode queue.declare', () =>
    decodeMethod(METHOD.QUEUE_DECLARE, declare, 11, declare.length - 1))
  const table = encodeFieldTable(headers)
  bench('decode a table of three', () => decodeFieldTable(table))
  const payload = encodeContentHeader(100, { deliveryMode: 2, headers })
  const setHeaders = new Map([['x-delivery-count', 1]])
  bench('edit one header', () => editContentHeader(payload, { setHeaders }))
})

const result = await run()
console.log('')
for (const { alias, runs } of result.benchmarks) {
  const of = handled.get(alias)
  const stats = runs[0]?.stats
  if (of === undefined || stats === undefined) continue
  const perSecond = (of.messages * 1e9) / stats.avg
  const million = (value: number): string => (value / 1e6).toFixed(1).padStart(6)
  const rates = `${million(perSecond)} M/s ${million(perSecond * of.frames)} M frames/s`
  console.log(`${alias.padEnd(50)} ${rates}`)
}
