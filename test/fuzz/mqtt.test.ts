/** MQTT sessions with one or two things wrong, and greedy ones, beside an honest client. */
import assert from 'node:assert/strict'
import { connect as connectSocket, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { uint16, varint } from '../support/mqtt-octets.ts'
import { FuzzArena, type Cases } from './fuzz-arena.ts'
import { ONLY_CASE } from './fuzz-settings.ts'
import { memoryPeak } from './memory-peak.ts'
import {
  connect,
  mutateMqtt,
  type Packet,
  publish,
  randomMqttSession,
  subscribe,
} from './mqtt-packets.ts'
import type { Draw } from './sessions.ts'
import { Tally } from './tally.ts'

const MIB = 1024 * 1024
/** What the caches may keep when all is over; a leak in thousands of cases is above it. */
const GROWTH_BYTES_MAX = 32 * MIB
/** A broker that takes nothing for so long has stopped reading. */
const STALLED_MS = 2_000
const ENDS_WITHIN_MS = 15_000
/** Reason codes that a thousand cases must have met, or they tested less than they say. */
const EXPECTED = ['0x81', '0x82', '0x95', 'CONNACK 0x00', 'no answer']

let arena: FuzzArena
before(async () => {
  arena = await FuzzArena.open('mqtt')
})
after(async () => arena[Symbol.asyncDispose]())

function open(): Socket {
  const socket = connectSocket(arena.target.process!.mqttPort, '127.0.0.1')
  socket.on('error', () => {
    // The broker may close while we write: that is an answer too.
  })
  return socket
}

/** Sends a session in pieces of chance, and waits for the end; what came back is the result. */
async function run(packets: readonly Packet[], draw: Draw): Promise<Buffer> {
  const socket = open()
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  const ended = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
  })
  const bytes = Buffer.concat(packets.map((one) => one.bytes))
  for (let at = 0; at < bytes.length;) {
    const size = draw.chance(50) ? bytes.length : 1 + draw.below(40)
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

test('a session with a fault in it ends in a reason code or a clean close', async (context) => {
  const tally = new Tally()
  const one: Cases['run'] = async (draw, note) => {
    const { packets, note: what } = mutateMqtt(randomMqttSession(draw), draw)
    note(
      `${what}: ${packets.map(({ label, bytes }) => `${label} ${bytes.toString('hex').slice(0, 200)}`).join('\n')}`,
    )
    for (const code of codesOf(await run(packets, draw))) tally.add(code)
  }
  await arena.run({ count: 300, run: one })
  const beforeBytes = await arena.heldBytes()
  await arena.run({ count: 1_500, run: one })
  context.diagnostic(tally.text)
  await arena.checkNothingLeft(beforeBytes, GROWTH_BYTES_MAX)
  if (ONLY_CASE !== null) return
  for (const code of EXPECTED) assert.ok(tally.has(code), `no case met ${code}: ${tally.text}`)
})

/** Reason codes of CONNACK and DISCONNECT. */
function codesOf(answer: Buffer): string[] {
  if (answer.length === 0) return ['no answer']
  const codes: string[] = []
  for (let at = 0; at + 2 <= answer.length;) {
    let size = 0
    let shift = 0
    let next = at + 1
    for (; next < answer.length; next++, shift += 7) {
      size |= (answer[next]! & 0x7f) << shift
      if (answer[next]! < 0x80) break
    }
    next++
    const type = answer[at]! >> 4
    if (type === 2) codes.push(`CONNACK ${hex(answer[next + 1] ?? 0)}`)
    if (type === 14) codes.push(hex(answer[next] ?? 0))
    at = next + size
  }
  return codes
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}

/** Connected, and past its CONNACK unless it does not read. */
async function attacker(clientId: string, reads: boolean): Promise<Socket> {
  const socket = open()
  socket.write(connect({ version: 4, clientId, clean: true }).bytes)
  await new Promise((resolve) => {
    socket.once('readable', resolve)
  })
  if (reads) socket.resume()
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

function publishes(topic: string, qos: number, count: number): Buffer {
  const payload = Buffer.alloc(16 * 1024)
  const one = publish({ version: 4, topic, qos, payload }).bytes
  return Buffer.concat(Array.from({ length: count }, () => one))
}

for (const qos of [0, 1]) {
  test(`subscribers of QoS ${qos} that never read`, async () => {
    const lazy = await Promise.all(
      Array.from({ length: 20 }, async (_one, index) => attacker(`lazy-${qos}-${index}`, false)),
    )
    for (const socket of lazy) {
      socket.pause()
      socket.write(subscribe(4, ['greedy/#'], qos).bytes)
    }
    await arena.control.progress()
    const publisher = await attacker(`greedy-${qos}`, true)
    const peak = await memoryPeak(arena, async () => {
      await flood(publisher, publishes('greedy/x', 0, 16), 256 * MIB)
      await arena.control.progress()
    })
    // QoS 0: 4 MiB of output for each of 20, and what is in the making. QoS 1: the queues of
    // the sessions are in memory up to a limit and on disk beyond it.
    assertWithin(peak, 400)
    for (const socket of [...lazy, publisher]) socket.destroy()
    await arena.checkHealth()
    await arena.watch?.untilConnections(1, 15_000)
  })
}

test('packets that stay incomplete', async () => {
  const sockets: Socket[] = []
  const peak = await memoryPeak(arena, async () => {
    for (let index = 0; index < 100; index++) {
      const socket = await attacker(`slow-${index}`, true)
      // 16 MiB are announced and 64 KiB come.
      socket.write(Buffer.concat([Buffer.of(0x30), varint(16 * MIB), uint16(1), Buffer.from('a')]))
      socket.write(Buffer.alloc(64 * 1024))
      sockets.push(socket)
    }
    await arena.control.progress()
  })
  assertWithin(peak, 150)
  for (const socket of sockets) socket.destroy()
  await arena.checkHealth()
})

test('pings whose answers are never read', async () => {
  const socket = await attacker('pings', false)
  socket.pause()
  const pings = Buffer.alloc(64 * 1024, Buffer.of(0xc0, 0))
  const peak = await memoryPeak(arena, async () => {
    await flood(socket, pings, 64 * MIB)
    await arena.control.progress()
  })
  assertWithin(peak, 120)
  socket.destroy()
  await arena.checkHealth()
})

function assertWithin(bytes: number, limitMib: number): void {
  assert.ok(bytes < limitMib * MIB, `took ${(bytes / MIB).toFixed(0)} MiB, allowed ${limitMib}`)
}
