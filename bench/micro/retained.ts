/**
 * What retained messages cost and how soon they are found: `node --expose-gc
 * bench/micro/retained.ts [keys]`, by default 1,000,000.
 *
 * The broker is in this process, on a directory of its own, without a protocol. Keys are
 * `fleet.F.device-D.state`, a thousand devices to a fleet; messages are persistent, 100 bytes each.
 * A time is that of the whole match, from the call to `done`; the longest turn is the longest time
 * that sockets would have waited meanwhile.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Broker, type VirtualHost } from '../../src/broker/index.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import { encodeAddress } from '../../src/model/address.ts'
import { MessageDraft } from '../../src/model/message-draft.ts'

const keyCount = Number(process.argv[2] ?? 1_000_000)
const MIB = 1024 * 1024
/** Messages set in one turn. */
const BATCH = 500
const ROUNDS = 5

const directory = await mkdtemp(path.join(tmpdir(), 'waystation-retained-'))
const draft = new MessageDraft()
draft.persistent = true
const body = Buffer.alloc(100)
draft.setBody(body, 0, body.length)

let { engine, broker } = await open()
const before = usedMemory()
await fill('first set', (n) => n)
const filled = usedMemory()
console.log(
  `memory: ${mib(filled.used - before.used)} MiB in all, of which the index ` +
    `${mib(retained().memoryBytes)} MiB; resident ${mib(filled.resident)} MiB`,
)
await patterns()
await fill('replaced, in no order', (n) => (n * 7_919_993) % keyCount)
await idle()
console.log(`stored: ${mib(broker.storedBytes)} MiB`)
await patterns()
await broker.close()
await engine.close()
const startMs = performance.now()
;({ engine, broker } = await open())
console.log(`restart: ${(performance.now() - startMs).toFixed(0)} ms, ${retained().count} keys`)
const restarted = usedMemory()
console.log(`memory after it: ${mib(restarted.used)} MiB, resident ${mib(restarted.resident)} MiB`)
await patterns()
await broker.close()
await engine.close()
await rm(directory, { recursive: true, force: true })

async function open(): Promise<{
  engine: Awaited<ReturnType<typeof openEmbeddedEngine>>
  broker: Broker
}> {
  const opened = await openEmbeddedEngine({ directory, clock: systemClock })
  const log = { info: () => {}, warn: console.warn, error: console.error }
  const made = await Broker.open({
    engine: opened,
    clock: systemClock,
    random: systemRandom,
    turn: new Turn(),
    log,
  })
  return { engine: opened, broker: made }
}

function retained(): VirtualHost['retained'] {
  return broker.vhost('/')!.retained
}

async function fill(what: string, order: (n: number) => number): Promise<void> {
  const fromMs = performance.now()
  for (let n = 0; n < keyCount; n++) {
    const place = order(n)
    const key = `fleet.${Math.floor(place / 1000)}.device-${place % 1000}.state`
    const address = encodeAddress('amq.topic', key)
    draft.setAddress(address, 0, address.length)
    retained().set(key, draft)
    if (n % BATCH === BATCH - 1) await committed()
  }
  await committed()
  const seconds = (performance.now() - fromMs) / 1000
  console.log(`${what}: ${Math.round(keyCount / seconds)} a second, ${BATCH} to a commit`)
}

function committed(): Promise<void> {
  return new Promise((resolve, reject) => {
    broker.onCommit({
      committed: (_ticket, error) => {
        if (error === null) resolve()
        else reject(error)
      },
    })
  })
}

async function patterns(): Promise<void> {
  for (const pattern of [
    'fleet.7.device-7.state',
    'fleet.7.device-7.nothing',
    'fleet.7.*.state',
    'fleet.*.device-7.state',
    'fleet.7.#',
    '*.*.*.nothing',
    '#.device-7.#',
    '#',
  ]) {
    await measure(pattern)
  }
}

async function measure(pattern: string): Promise<void> {
  const times: number[] = []
  let count = 0
  let longestMs = 0
  let watching = true
  let lastMs = performance.now()
  const watch = (): void => {
    longestMs = Math.max(longestMs, performance.now() - lastMs)
    lastMs = performance.now()
    if (watching) setImmediate(watch)
  }
  watch()
  for (let round = 0; round < ROUNDS; round++) {
    count = 0
    const fromMs = performance.now()
    await new Promise<void>((resolve) => {
      const visit = (): boolean => {
        count++
        return true
      }
      retained().match(pattern, visit, () => resolve())
    })
    times.push(performance.now() - fromMs)
  }
  watching = false
  times.sort((a, b) => a - b)
  console.log(
    `  ${pattern.padEnd(26)} ${String(count).padStart(8)} found, ` +
      `median ${times[ROUNDS >> 1]!.toFixed(2)} ms, worst ${times.at(-1)!.toFixed(2)} ms, ` +
      `longest turn ${longestMs.toFixed(1)} ms`,
  )
}

/** Long enough for what is dead to be given back. */
function idle(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 5000)
  })
}

function usedMemory(): { used: number; resident: number } {
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { used: heapUsed + external, resident: rss }
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(0)
}
