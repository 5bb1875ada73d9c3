import { nowMs, sleep } from '../../../src/load/clock.ts'
import { cpuSeconds, diskBytes, residentBytes } from '../process-stats.ts'
import type { Metrics, Target } from '../target.ts'
import { MqttClient } from '../../../src/load/mqtt/client.ts'
import { PACKET, PacketRange, publishPacket, type Qos } from '../../../src/load/mqtt/wire.ts'

const DEVICES_PER_FLEET = 1_000
const BODY_BYTES = 100
/** Publishes under way at once while the set is filled. */
const WINDOW = 1_000
const ROUNDS = 5
const SETTLE_MS = 3_000
const LOOKUP_TIMEOUT_MS = 120_000
/** Of that many topics a lookup is not repeated. */
const MANY = 100_000

interface Lookup {
  readonly name: string
  readonly filters: readonly string[]
  readonly expected: number
}

/**
 * Retained messages of `fleet/F/device-D/state`, a thousand devices to a fleet, in a fresh broker:
 * what they take, and how soon a new subscription has all that it matches.
 *
 * A lookup's time runs from SUBSCRIBE to the last message. While everything is looked up, another
 * client pings: its longest wait is how long one subscriber holds up all others.
 */
export async function runMqttRetained(target: Target, count: number): Promise<Metrics> {
  const { server } = target
  if (server.pid !== null) await server.renew()
  const metrics: Record<string, number> = { topics: count }
  const before = residentBytes(server.pid)
  const client = await open(target, 'retained')
  const cpuBefore = cpuSeconds(server.pid)
  const filledMs = await fill(client, count)
  metrics['set/s'] = (count * 1_000) / filledMs
  metrics['broker CPU µs/set'] = ((cpuSeconds(server.pid) - cpuBefore) * 1e6) / count
  await sleep(SETTLE_MS)
  metrics['resident before MB'] = before / 1e6
  metrics['resident MB'] = residentBytes(server.pid) / 1e6
  metrics['bytes/topic'] = (residentBytes(server.pid) - before) / count
  if (server.dataDirectory !== null) metrics['disk MB'] = diskBytes(server.dataDirectory) / 1e6
  const pinger = new Pinger(await open(target, 'pinger'))
  try {
    await lookUpAll({ target, client, pinger, metrics }, count)
  } finally {
    // A lookup that failed must not leave clients that keep the process alive.
    await Promise.allSettled([client.close(), pinger.close()])
  }
  metrics['resident after lookups MB'] = residentBytes(server.pid) / 1e6
  if (server.pid !== null) await server.renew()
  return metrics
}

interface LookupParts {
  readonly target: Target
  readonly client: MqttClient
  readonly pinger: Pinger
  readonly metrics: Record<string, number>
}

async function lookUpAll(
  { target: { server }, client, pinger, metrics }: LookupParts,
  count: number,
): Promise<void> {
  for (const lookup of lookups(count)) {
    const times: number[] = []
    const rounds = lookup.expected < MANY ? ROUNDS : 1
    const cpuIdle = cpuSeconds(server.pid)
    for (let round = 0; round < rounds; round++) {
      pinger.start()
      times.push(await find(client, lookup))
      const waitMs = await pinger.stop()
      if (lookup.expected >= MANY) metrics[`${lookup.name}: longest PINGREQ ms`] = waitMs
    }
    const perMessage = 1e6 / (rounds * lookup.expected)
    metrics[`${lookup.name}: broker CPU µs/message`] =
      (cpuSeconds(server.pid) - cpuIdle) * perMessage
    times.sort((a, b) => a - b)
    metrics[`${lookup.name}: ${lookup.expected} in ms`] = times[rounds >> 1] ?? Number.NaN
  }
}

function lookups(count: number): readonly Lookup[] {
  const fleets = Math.ceil(count / DEVICES_PER_FLEET)
  const exact = 'fleet/0/device-7/state'
  return [
    { name: 'one topic', filters: [exact], expected: 1 },
    { name: 'fleet/0/+/state', filters: ['fleet/0/+/state'], expected: DEVICES_PER_FLEET },
    { name: 'fleet/+/device-7/state', filters: ['fleet/+/device-7/state'], expected: fleets },
    { name: 'fleet/0/#', filters: ['fleet/0/#'], expected: DEVICES_PER_FLEET },
    // What matches nothing has no end to be seen, so one that matches is asked for behind it.
    { name: '+/+/+/none', filters: ['+/+/+/none', exact], expected: 1 },
    { name: '#', filters: ['#'], expected: count },
  ]
}

async function open(target: Target, name: string): Promise<MqttClient> {
  const connect = { clientId: `bench-${name}`, version: 4, clean: true } as const
  return MqttClient.open(target.server.endpoint, { ...connect, keepAliveSeconds: 0 })
}

/** Sets them all with QoS 1; milliseconds until the last is acknowledged. */
async function fill(client: MqttClient, count: number): Promise<number> {
  const startMs = nowMs()
  const cold = client.scan
  const range = new PacketRange()
  let acknowledged = 0
  let published = 0
  await new Promise<void>((resolve, reject) => {
    client.onError = reject
    const proceed = (): void => {
      const end = Math.min(count, acknowledged + WINDOW)
      if (end - published < WINDOW / 4 && end < count) return
      const packets: Buffer[] = []
      while (published < end) packets.push(retainedPacket(published++))
      client.socket.write(Buffer.concat(packets))
    }
    client.scan = (view, end) => {
      let at = 0
      for (; range.next(view, at, end); at = range.end) {
        if (range.first >> 4 === PACKET.PUBACK) acknowledged++
      }
      if (acknowledged >= count) resolve()
      else proceed()
      return at
    }
    proceed()
  })
  client.scan = cold
  return nowMs() - startMs
}

function retainedPacket(index: number): Buffer {
  const fleet = Math.floor(index / DEVICES_PER_FLEET)
  const topic = `fleet/${fleet}/device-${index % DEVICES_PER_FLEET}/state`
  const qos: Qos = 1
  const packetId = (index % WINDOW) + 1
  const body = Buffer.alloc(BODY_BYTES, 'x')
  return publishPacket({ version: 4, topic, qos, packetId, body, retain: true })
}

/** Subscribes, waits for what is due, unsubscribes; the milliseconds until the last came. */
async function find(client: MqttClient, { filters, expected }: Lookup): Promise<number> {
  const cold = client.scan
  const range = new PacketRange()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let found = 0
  client.onError = reject
  client.scan = (view, end) => {
    let at = 0
    while (range.next(view, at, end)) {
      const isMessage = range.first >> 4 === PACKET.PUBLISH
      if (isMessage) found++
      if (found > expected) throw new Error(`more than ${expected} match ${filters.join()}`)
      at = range.end
    }
    // The cold scan passes over messages and takes the replies among them.
    cold(view, at)
    if (found === expected) resolve()
    return at
  }
  const timer = setTimeout(
    () => reject(new Error(`${found} of ${expected} came for ${filters.join()}`)),
    LOOKUP_TIMEOUT_MS,
  )
  const startMs = nowMs()
  const subscribed = client.subscribe(filters, 0)
  try {
    await promise
  } finally {
    clearTimeout(timer)
  }
  const tookMs = nowMs() - startMs
  await subscribed
  await client.unsubscribe(filters)
  client.scan = cold
  return tookMs
}

/** Pings without a pause and remembers the longest wait. */
class Pinger {
  readonly #client: MqttClient
  #isRunning = false
  #longestMs = 0
  #done: Promise<void> = Promise.resolve()

  constructor(client: MqttClient) {
    this.#client = client
  }

  start(): void {
    this.#isRunning = true
    this.#longestMs = 0
    this.#done = this.#run()
    // Whoever stops it is told; until then nobody listens.
    this.#done.catch(() => {})
  }

  async stop(): Promise<number> {
    this.#isRunning = false
    await this.#done
    return this.#longestMs
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      const startMs = nowMs()
      await this.#client.ping()
      this.#longestMs = Math.max(this.#longestMs, nowMs() - startMs)
      await sleep(1)
    }
  }
}
