/** Kafka sessions with one or two things wrong, and greedy ones, beside an honest client. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaPeer } from '../support/kafka-peer.ts'
import { decodeResponse, encodeRequest } from '../support/kafka-wire.ts'
import { FuzzArena, type Cases } from './fuzz-arena.ts'
import { ONLY_CASE } from './fuzz-settings.ts'
import { batchOf } from './kafka-batches.ts'
import { type KafkaRequest, mutateKafka, randomKafkaSession } from './kafka-requests.ts'
import { memoryPeak } from './memory-peak.ts'
import type { Draw } from './sessions.ts'
import { Tally } from './tally.ts'

const MIB = 1024 * 1024
/** What the caches may keep when all is over; a leak in thousands of cases is above it. */
const GROWTH_BYTES_MAX = 32 * MIB
/** A broker that takes nothing for so long has stopped reading. */
const STALLED_MS = 2_000
const ENDS_WITHIN_MS = 20_000

let arena: FuzzArena
before(async () => {
  arena = await FuzzArena.open('kafka')
})
after(async () => arena[Symbol.asyncDispose]())

function kafkaPort(): number {
  return arena.target.process!.kafkaPort
}

function open(): Socket {
  const socket = connect(kafkaPort(), '127.0.0.1')
  socket.on('error', () => {
    // The broker may close while we write: that is an answer too.
  })
  return socket
}

/** Sends a session in pieces of chance, and waits for the end; what came back is the result. */
async function run(requests: readonly KafkaRequest[], draw: Draw): Promise<Buffer> {
  const socket = open()
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  const ended = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
  })
  const bytes = Buffer.concat(requests.map((one) => one.bytes))
  for (let at = 0; at < bytes.length;) {
    const size = draw.chance(50) ? bytes.length : 1 + draw.below(60)
    socket.write(bytes.subarray(at, at + size))
    at += size
    if (draw.chance(30)) await sleep(0)
  }
  socket.end()
  const inTime = await Promise.race([ended.then(() => true), sleep(ENDS_WITHIN_MS, false)])
  socket.destroy()
  assert.ok(inTime, 'the broker did not end a connection whose client had ended it')
  return Buffer.concat(chunks)
}

/** Every answer is a frame, comes in its place, and is what the schema says. */
function checkAnswers(answers: Buffer, requests: readonly KafkaRequest[], tally: Tally): void {
  let next = 0
  for (let at = 0; at < answers.length;) {
    const size = answers.readInt32BE(at)
    const frame = answers.subarray(at + 4, at + 4 + size)
    assert.equal(frame.length, size, 'an answer cut short')
    at += 4 + size
    const correlationId = frame.readInt32BE(0)
    const index = requests.findIndex(
      (one, place) => place >= next && one.correlationId === correlationId,
    )
    // A request that was changed may have become any other.
    if (index < 0) continue
    const { name, version, isWhole } = requests[index]!
    next = index + 1
    if (!isWhole) continue
    const { value } = decodeResponse(name, version, frame)
    tally.add('answered')
    for (const code of codesIn(value)) tally.add(`error ${code}`)
  }
  if (answers.length === 0) tally.add('no answer')
}

function codesIn(value: unknown): number[] {
  if (Array.isArray(value)) return value.flatMap((one) => codesIn(one))
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    name === 'errorCode' ? [inner as number] : codesIn(inner),
  )
}

/** What a thousand cases must have met, or they tested less than they say. */
const EXPECTED = ['answered', 'no answer', 'error 0', 'error 2', 'error 3', 'error 17', 'error 87']

test('a session with a fault in it is answered by the schema or closed', async (context) => {
  const tally = new Tally()
  const one: Cases['run'] = async (draw, note) => {
    const { requests, note: what } = mutateKafka(randomKafkaSession(draw), draw)
    const list = requests.map(
      ({ name, version, bytes }) => `${name} v${version} ${bytes.toString('hex').slice(0, 300)}`,
    )
    note(`${what}: ${list.join('\n')}`)
    checkAnswers(await run(requests, draw), requests, tally)
  }
  await arena.run({ count: 200, run: one })
  const beforeBytes = await arena.heldBytes()
  await arena.run({ count: 1_000, run: one })
  context.diagnostic(tally.text)
  await arena.checkNothingLeft(beforeBytes, GROWTH_BYTES_MAX)
  if (ONLY_CASE !== null) return
  for (const code of EXPECTED) assert.ok(tally.has(code), `no case met ${code}: ${tally.text}`)
})

/** Connected and known: asks for ApiVersions and reads the answer. */
async function attacker(): Promise<Socket> {
  const socket = open()
  socket.write(encodeRequest('Metadata', { version: 1, body: { topics: [] } }))
  await new Promise((resolve) => {
    socket.once('readable', resolve)
  })
  return socket
}

/** Until so much is sent, or the broker has not read for a while. */
async function flood(socket: Socket, bytes: Buffer, totalBytes: number): Promise<void> {
  for (let sent = 0; sent < totalBytes && !socket.destroyed; sent += bytes.length) {
    socket.write(bytes)
    const deadline = performance.now() + STALLED_MS
    while (socket.writableNeedDrain && performance.now() < deadline) await sleep(1)
    if (socket.writableNeedDrain) return
  }
}

test('requests that stay incomplete', async () => {
  const sockets: Socket[] = []
  const peak = await memoryPeak(arena, async () => {
    for (let index = 0; index < 100; index++) {
      const socket = await attacker()
      // 100 MiB are announced, the most that is allowed, and 64 KiB come.
      const size = Buffer.alloc(4)
      size.writeInt32BE(100 * MIB)
      socket.write(Buffer.concat([size, Buffer.alloc(64 * 1024)]))
      sockets.push(socket)
    }
    await arena.control.progress()
  })
  assertWithin(peak, 150)
  for (const socket of sockets) socket.destroy()
  await arena.checkHealth()
})

test('answers that are never read', async () => {
  const peer = await KafkaPeer.connect(kafkaPort())
  const value = Buffer.alloc(60_000, 'v')
  const records = batchOf(Array.from({ length: 15 }, () => ({ value })))
  const topicData = [{ name: 'fuzz.unread', partitionData: [{ index: 0, records }] }]
  await peer.call('Metadata', 8, {
    topics: [{ name: 'fuzz.unread' }],
    allowAutoTopicCreation: true,
  })
  for (let left = 32; left > 0; left--) {
    await peer.call('Produce', 7, { acks: -1, timeoutMs: 5_000, topicData })
  }
  const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 50 * MIB }
  const fetch = encodeRequest('Fetch', {
    version: 4,
    body: {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 50 * MIB,
      topics: [{ topic: 'fuzz.unread', partitions: [partition] }],
    },
  })
  const lazy = await Promise.all(Array.from({ length: 4 }, async () => attacker()))
  const peak = await memoryPeak(arena, async () => {
    await Promise.all(
      lazy.map(async (socket) => {
        socket.pause()
        await flood(socket, Buffer.concat(Array.from({ length: 100 }, () => fetch)), 64 * MIB)
      }),
    )
    await arena.control.progress()
  })
  // For each: 64 MiB of output, one answer more of some 30, and what is in the making.
  assertWithin(peak, 600)
  for (const socket of lazy) socket.destroy()
  peer.close()
  await arena.checkHealth()
})

test('requests whose small octets ask for many elements', async () => {
  const body = { groups: Array.from({ length: 200_000 }, () => '') }
  const request = encodeRequest('DescribeGroups', { version: 0, body })
  const topics = Array.from({ length: 300_000 }, () => ({ name: '' }))
  const tooMany = encodeRequest('Metadata', { version: 9, body: { topics } })
  const peak = await memoryPeak(arena, async () => {
    for (let left = 5; left > 0; left--) {
      const socket = await attacker()
      socket.resume()
      const ended = new Promise((resolve) => {
        socket.once('close', resolve)
      })
      socket.write(request)
      socket.write(tooMany)
      assert.ok(await Promise.race([ended.then(() => true), sleep(ENDS_WITHIN_MS, false)]))
    }
    await arena.control.progress()
  })
  assertWithin(peak, 300)
  await arena.checkHealth()
})

function assertWithin(bytes: number, limitMib: number): void {
  assert.ok(bytes < limitMib * MIB, `took ${(bytes / MIB).toFixed(0)} MiB, allowed ${limitMib}`)
}
