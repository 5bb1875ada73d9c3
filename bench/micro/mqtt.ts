/**
 * What a message through MQTT costs the broker without sockets and disk: `node
 * bench/micro/mqtt.ts [seconds of CPU] [case...]`.
 *
 * Clients and broker share this process: packets are handed over in the sizes that sockets would,
 * 300 messages of 100 B at once. CPU time is that of this thread, the clients' part included; so
 * it can be compared on a machine that others use, where rates cannot.
 */
import { Authenticator, UserStore } from '../../src/auth/index.ts'
import { Broker } from '../../src/broker/index.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import type {
  ConnectionHandler,
  PeerInfo,
  ProtocolHandler,
  Transport,
} from '../../src/net/index.ts'
import { createMqtt } from '../../src/protocols/mqtt/index.ts'
import {
  connectPacket,
  PACKET,
  packetIdStart,
  PacketRange,
  publishPacket,
  type Qos,
  subscribePacket,
  type Version,
} from '../../src/load/mqtt/wire.ts'

const BATCH = 300
const PEER: PeerInfo = {
  ...{ remoteAddress: '127.0.0.1', remotePort: 1, localAddress: '127.0.0.1', localPort: 2 },
  ...{ listener: 'mqtt', tls: null },
}

let nextId = 1

/** A client without a socket: what it is written is read at once, what it answers comes later. */
class FakeClient implements Transport {
  readonly id: number
  readonly peer: PeerInfo = PEER
  readonly pendingBytes = 0
  received = 0
  acknowledged = 0
  readonly #handler: ConnectionHandler
  readonly #range = new PacketRange()
  readonly #answers: Buffer = Buffer.alloc(1 << 20)
  #answerBytes = 0

  constructor(id: number, protocol: ProtocolHandler) {
    this.id = id
    this.#handler = protocol.accept(this)
  }

  send(bytes: Buffer): void {
    this.#handler.received(bytes)
  }

  /** Sends the acknowledgements of what came. */
  answer(): void {
    if (this.#answerBytes === 0) return
    const bytes = this.#answers.subarray(0, this.#answerBytes)
    this.#answerBytes = 0
    this.#handler.received(bytes)
  }

  write(bytes: Uint8Array): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const range = this.#range
    for (let at = 0; range.next(view, at, bytes.length); at = range.end) {
      const type = range.first >> 4
      const qos = (range.first >> 1) & 3
      if (type === PACKET.PUBLISH) {
        this.received++
        if (qos === 0) continue
        this.#add(qos === 1 ? PACKET.PUBACK : PACKET.PUBREC, view, packetIdStart(view, range))
      } else if (type === PACKET.PUBREL) this.#add(PACKET.PUBCOMP, view, range.body)
      else if (type === PACKET.PUBREC) this.#add(PACKET.PUBREL, view, range.body)
      else this.acknowledged++
    }
    return true
  }

  pause(): void {}

  resume(): void {}

  end(): void {}

  destroy(): void {
    throw new Error('the broker destroyed a connection')
  }

  #add(type: number, view: DataView, packetIdAt: number): void {
    const answers = this.#answers
    const first = (type << 4) | (type === PACKET.PUBREL ? 2 : 0)
    answers[this.#answerBytes++] = first
    answers[this.#answerBytes++] = 2
    answers[this.#answerBytes++] = view.getUint8(packetIdAt)
    answers[this.#answerBytes++] = view.getUint8(packetIdAt + 1)
  }
}

interface Case {
  readonly qos: Qos
  readonly version: Version
  readonly isKept: boolean
  /** Of the publisher, in turn. */
  readonly topicCount: number
  readonly subscriberCount: number
}

const BASE: Case = { qos: 0, version: 4, isKept: false, topicCount: 1, subscriberCount: 1 }
const CASES: Readonly<Record<string, Case>> = {
  qos0: BASE,
  'qos0-v5': { ...BASE, version: 5 },
  'qos0-topics': { ...BASE, topicCount: 1_000 },
  'qos0-fanout': { ...BASE, subscriberCount: 100 },
  qos1: { ...BASE, qos: 1 },
  'qos1-topics': { ...BASE, qos: 1, topicCount: 1_000 },
  'qos1-fanout': { ...BASE, qos: 1, subscriberCount: 100 },
  'qos1-session': { ...BASE, qos: 1, isKept: true },
  qos2: { ...BASE, qos: 2 },
  'qos2-session': { ...BASE, qos: 2, isKept: true },
}

const seconds = Number(process.argv[2] ?? 3)
const names = process.argv.length > 3 ? process.argv.slice(3) : Object.keys(CASES)
for (const name of names) {
  const perMessage = await runCase(CASES[name] ?? BASE)
  console.log(`${name.padEnd(14)} ${perMessage.toFixed(2)} µs of CPU a delivery`)
}

async function runCase(options: Case): Promise<number> {
  const turn = new Turn()
  const world = { clock: systemClock, random: systemRandom, turn }
  const engine = await openEmbeddedEngine({ memory: true, clock: systemClock })
  const log = { info: () => {}, warn: console.warn, error: console.error }
  const broker = await Broker.open({ engine, ...world, log })
  const users = await UserStore.open(engine.kv, { random: systemRandom })
  const authenticator = new Authenticator(users, { clock: systemClock })
  const protocol = createMqtt({ ...world, broker, users, authenticator, log, version: '0' })
  try {
    return await measure(protocol, options)
  } finally {
    await broker.close()
    await engine.close()
  }
}

async function measure(protocol: ProtocolHandler, options: Case): Promise<number> {
  const { qos, version, subscriberCount } = options
  const subscribers: FakeClient[] = []
  for (let index = 0; index < subscriberCount; index++) {
    const subscriber = await connect(protocol, `sub-${index}`, options)
    subscriber.send(subscribePacket(version, ['bench/+/state'], qos))
    await until(() => subscriber.acknowledged === 2)
    subscribers.push(subscriber)
  }
  const publisher = await connect(protocol, 'pub', { ...options, isKept: false })
  const batches = Array.from({ length: 10 }, (_, index) => batchOf(options, index))
  const round = async (index: number): Promise<void> => {
    const before = publisher.acknowledged
    publisher.send(batches[index % batches.length]!)
    const expected = (index + 1) * BATCH
    await until(() => {
      publisher.answer()
      for (const subscriber of subscribers) subscriber.answer()
      const isAcknowledged = qos === 0 || publisher.acknowledged >= before + BATCH
      return isAcknowledged && subscribers.every(({ received }) => received >= expected)
    })
  }
  let index = 0
  const run = async (cpuSeconds: number): Promise<number> => {
    const from = index
    const before = process.threadCpuUsage()
    for (;;) {
      for (let left = 10; left > 0; left--) await round(index++)
      const { user, system } = process.threadCpuUsage(before)
      const usedMicros = user + system
      if (usedMicros >= cpuSeconds * 1e6) return usedMicros / (index - from)
    }
  }
  await run(seconds / 2)
  return (await run(seconds)) / (BATCH * subscriberCount)
}

async function connect(
  protocol: ProtocolHandler,
  clientId: string,
  { version, isKept }: Case,
): Promise<FakeClient> {
  const client = new FakeClient(nextId++, protocol)
  client.send(connectPacket({ clientId, version, clean: !isKept, keepAliveSeconds: 0 }))
  await until(() => client.acknowledged === 1)
  return client
}

function batchOf({ version, qos, topicCount }: Case, batch: number): Buffer {
  const body = Buffer.alloc(100, 'x')
  const packets = Array.from({ length: BATCH }, (_, index) => {
    const topic = `bench/device-${(batch * BATCH + index) % topicCount}/state`
    return publishPacket({ version, topic, qos, packetId: index + 1, body })
  })
  return Buffer.concat(packets)
}

/** Lets the broker's turns run until something is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}
