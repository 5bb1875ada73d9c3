/** Hostile bytes on the RPC port: each connection has its end, and an honest client is served beside them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ERROR, PREFACE } from '../../src/codec/http2/index.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { GrpcJsClient } from '../support/grpc-js-client.ts'
import { Http2Peer } from '../support/http2-peer.ts'

const SESSIONS = 150
const ENDS_WITHIN_MS = 30_000
const MIB = 1024 * 1024
const HEALTH = '/grpc.health.v1.Health/Check'
const REQUEST = [':method', 'POST', ':scheme', 'http', ':path', HEALTH, ':authority', 'a']
const FIELDS = ['te', 'trailers', 'content-type', 'application/grpc']

const broker = new BrokerProcess()
let honest: GrpcJsClient
before(async () => {
  await broker.start()
  honest = new GrpcJsClient(`127.0.0.1:${broker.rpcPort}`)
})
after(async () => {
  honest[Symbol.dispose]()
  await broker[Symbol.asyncDispose]()
})

async function checkHonest(): Promise<void> {
  const { reply } = await honest.unary(HEALTH, Buffer.alloc(0))
  assert.deepEqual(reply, Buffer.from([8, 1]))
}

/** Sends pieces while they are taken, and gives back all that came until the other side closed. */
async function send(
  pieces: Iterable<Buffer>,
  { ends }: { readonly ends: boolean },
): Promise<Buffer> {
  const socket = connect(broker.rpcPort, '127.0.0.1')
  const got: Buffer[] = []
  let isClosed = false
  socket.on('data', (bytes) => void got.push(bytes))
  socket.on('error', () => {})
  socket.on('close', () => (isClosed = true))
  for (const piece of pieces) {
    if (isClosed) break
    if (!socket.write(piece)) await Promise.race([drained(socket), sleep(1000)])
  }
  if (ends) socket.end()
  for (let i = 0; i < ENDS_WITHIN_MS / 10 && !isClosed; i++) await sleep(10)
  assert.ok(isClosed, 'the broker keeps a connection that it should have ended')
  return Buffer.concat(got)
}

function drained(socket: ReturnType<typeof connect>): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', resolve)
    socket.once('close', () => resolve())
  })
}

/** What an honest client would say: a few calls. */
function honestBytes(): Buffer {
  const peer = new Http2Peer('client')
  for (let i = 0; i < 4; i++) {
    const stream = peer.session.open([...REQUEST, ...FIELDS], ['x-count', String(i)])
    peer.session.sendData(stream, Buffer.alloc(5), true)
  }
  return peer.sink.take()
}

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, payload])
}

const BEGINNING = Buffer.concat([PREFACE, frame(4, 0, 0, Buffer.alloc(0))])

test('sessions with wrong octets end, and honest clients notice nothing', async () => {
  const random = new SeededRandom(7700)
  const good = honestBytes()
  for (let session = 0; session < SESSIONS; session++) {
    const bytes = Buffer.from(good)
    const faults = 1 + random.integer(8)
    for (let i = 0; i < faults; i++) bytes[random.integer(bytes.length)] = random.integer(256)
    const cut = random.integer(bytes.length)
    await send([bytes.subarray(0, cut), bytes.subarray(cut)], { ends: true })
    if (session % 30 === 0) await checkHonest()
  }
  await checkHonest()
})

const block = (() => {
  const peer = new Http2Peer('client')
  peer.sink.take()
  peer.session.open([...REQUEST, ...FIELDS], null)
  return peer.sink.take().subarray(9)
})()

/** The same frames again and again, which no honest client would send. */
const FLOODS: Readonly<Record<string, (turn: number) => Buffer>> = {
  'rapid reset': (turn) =>
    Buffer.concat([
      frame(1, 4, 2 * turn + 1, block),
      frame(3, 0, 2 * turn + 1, Buffer.from([0, 0, 0, 8])),
    ]),
  CONTINUATION: (turn) =>
    turn === 0 ? frame(1, 0, 1, block) : frame(9, 0, 1, Buffer.alloc(1000, 0x82)),
  PING: () => frame(6, 0, 0, Buffer.alloc(8)),
  SETTINGS: () => frame(4, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0])),
  'empty DATA': (turn) => (turn === 0 ? frame(1, 4, 1, block) : frame(0, 0, 1, Buffer.alloc(0))),
}

for (const [name, make] of Object.entries(FLOODS)) {
  test(`a flood of ${name} gets GOAWAY with ENHANCE_YOUR_CALM`, async () => {
    const pieces = function* (): Iterable<Buffer> {
      yield BEGINNING
      for (let turn = 0; turn < 40_000; turn++) yield make(turn)
    }
    const got = await send(pieces(), { ends: false })
    const goaway = got.lastIndexOf(Buffer.from([7, 0, 0, 0, 0, 0]))
    assert.ok(goaway >= 0, `no GOAWAY among ${got.length} octets`)
    assert.equal(got.readUInt32BE(goaway + 10), ERROR.ENHANCE_YOUR_CALM)
    await checkHonest()
  })
}

test('a header bomb is refused, and costs little memory', async () => {
  const bomb = Buffer.concat([
    block,
    Buffer.from([0x40, 1, 0x78, 0x7f, 0xbd, 0x1e]),
    Buffer.alloc(4028, 0x79),
    Buffer.alloc(10_000, 0x80 | 62),
  ])
  const before = residentBytes()
  const pieces = function* (): Iterable<Buffer> {
    yield BEGINNING
    for (let turn = 0; turn < 200; turn++) yield frame(1, 5, 2 * turn + 1, bomb)
  }
  const got = await send(pieces(), { ends: true })
  assert.ok(got.length < MIB)
  // What the blocks mean is 40 MB each, 8 GB in all.
  assert.ok(residentBytes() - before < 256 * MIB)
  await checkHonest()
})

/** Linux only, as the other tests of this kind. */
function residentBytes(): number {
  const status = readFileSync(`/proc/${broker.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024
}
