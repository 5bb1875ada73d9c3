/**
 * What delayed messages cost and how late they are: `node --expose-gc bench/micro/delayed.ts
 * [pending] [rate] [seconds] [ids]`, by default 1,000,000 pending, fired at 10,000/s for 20 s. With
 * `ids` each message has an id of its own, by which it could be cancelled.
 *
 * The broker is in this process, on a directory of its own, without a protocol. Messages are
 * persistent, 100 bytes each; every one is routed to a queue with a consumer that does not settle.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Broker, type StoredMessage } from '../../src/broker/index.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import { encodeAddress } from '../../src/model/address.ts'
import { MessageDraft } from '../../src/model/message-draft.ts'

const [pending = 1_000_000, rate = 10_000, seconds = 20] = process.argv.slice(2, 5).map(Number)
const hasIds = process.argv[5] === 'ids'
const BODY_BYTES = 100
const MIB = 1024 * 1024
/** Messages published in one turn. */
const BATCH = 1000

const directory = await mkdtemp(path.join(tmpdir(), 'waystation-delayed-'))
const engine = await openEmbeddedEngine({ directory, clock: systemClock })
const log = { info: () => {}, warn: console.warn, error: console.error }
const broker = await Broker.open({
  engine,
  clock: systemClock,
  random: systemRandom,
  turn: new Turn(),
  log,
})
const vhost = broker.vhost('/')!
const queue = await vhost.declareQueue({
  name: 'q',
  profile: 'queue',
  durable: true,
  autoDelete: false,
  exclusiveOwner: null,
  arguments: new Map(),
  settings: {},
  countsAttempts: false,
  prioritiesMax: 0,
  singleActive: false,
})

const before = usedMemory()
const startMs = performance.now()
const leadMs = (pending / 50_000) * 1000 + 5000
const firstMs = systemClock.now() + leadMs
const draft = new MessageDraft()
const address = encodeAddress('', 'q')
draft.setAddress(address, 0, address.length)
draft.persistent = true
const body = Buffer.alloc(BODY_BYTES)
draft.setBody(body, 0, BODY_BYTES)
const route = vhost.route(vhost.exchange('')!, 'q')
for (let n = 0; n < pending; n++) {
  const dueMs = firstMs + Math.floor((n * 1000) / rate)
  draft.delayMs = dueMs - systemClock.now()
  body.writeDoubleBE(dueMs, 0)
  if (hasIds) draft.schedule = { atMs: 0, id: `id-${n}`, cancels: null, cron: null, zone: null }
  vhost.publish(route, draft)
  if (n % BATCH === BATCH - 1) await new Promise((resolve) => setImmediate(resolve))
}
const publishedS = (performance.now() - startMs) / 1000
const after = usedMemory()
console.log(`${pending} pending, published in ${publishedS.toFixed(1)} s`)
console.log(
  `heap ${inMiB(after.heap - before.heap)}, array buffers ${inMiB(after.buffers - before.buffers)}`,
)

const latenesses: number[] = []
const consumer = queue.consume({
  sink: {
    deliver: (_consumer, message) => void latenesses.push(latenessOf(message)),
    cancelled() {},
  },
  tag: 'bench',
  noAck: true,
  exclusive: false,
  priority: 0,
  owner: latenesses,
  arguments: new Map(),
})
consumer.resume()
const waitMs = firstMs - systemClock.now() + seconds * 1000
await new Promise((resolve) => setTimeout(resolve, waitMs))
latenesses.sort((a, b) => a - b)
const at = (share: number): string =>
  `${latenesses[Math.floor((latenesses.length - 1) * share)]} ms`
console.log(`${latenesses.length} fired in ${seconds} s`)
console.log(`late by: median ${at(0.5)}, 99 % ${at(0.99)}, 99.9 % ${at(0.999)}, most ${at(1)}`)
await broker.close()
await engine.close()
await rm(directory, { recursive: true, force: true })

function latenessOf(message: StoredMessage): number {
  return systemClock.now() - message.data.readDoubleBE(message.bodyStart)
}

function usedMemory(): { readonly heap: number; readonly buffers: number } {
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return { heap: heapUsed, buffers: arrayBuffers }
}

function inMiB(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
