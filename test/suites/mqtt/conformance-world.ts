/** What the tests of docs/mqtt-conformance.md share: one broker a file, and clients that end. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'
import { type ConnectAs, WirePeer, type MqttVersion, type Seen } from '../../support/wire-peer.ts'

export class World {
  #broker: TestBroker | null = null
  #peers: WirePeer[] = []
  #names = 0

  get broker(): TestBroker {
    return this.#broker!
  }

  get port(): number {
    return this.broker.port('mqtt')
  }

  async start(): Promise<void> {
    this.#broker = await startTestBroker({ listen: { mqtt: 0 } })
  }

  async stop(): Promise<void> {
    await this.#broker?.[Symbol.asyncDispose]()
  }

  /** A topic, a client id, a group that no other test has. */
  name(): string {
    this.#names++
    return `n${this.#names}`
  }

  async open(as: ConnectAs = {}): Promise<WirePeer> {
    return (await this.connected(as)).peer
  }

  async connected(as: ConnectAs = {}): Promise<{ peer: WirePeer; connack: Seen }> {
    const opened = await WirePeer.open(this.port, { clientId: this.name(), ...as })
    this.#peers.push(opened.peer)
    return opened
  }

  /** A connection without a CONNECT. */
  raw(version: MqttVersion): WirePeer {
    const peer = new WirePeer(this.port, version)
    this.#peers.push(peer)
    return peer
  }

  /** All that comes until the broker has nothing left to do. */
  async all(peer: WirePeer): Promise<Seen[]> {
    const first = await peer.upToPing()
    await this.broker.settle()
    return [...first, ...(await peer.upToPing())]
  }

  async vanishAll(): Promise<void> {
    const peers = this.#peers
    this.#peers = []
    await Promise.all(peers.map(async (peer) => peer.vanish()))
  }
}

export type Versions = readonly MqttVersion[]
export const BOTH: Versions = [4, 5]

type Run = (world: World, version: MqttVersion) => Promise<void>

/** Registers the tests of one file, which share a broker. */
export function conformance(): (title: string, versions: Versions, run: Run) => void {
  const world = new World()
  before(async () => world.start())
  after(async () => world.stop())
  return (title, versions, run) => {
    for (const version of versions) {
      const name = { 3: '3.1', 4: '3.1.1', 5: '5.0' }[version]
      test(`${title}, MQTT ${name}`, async () => {
        try {
          await run(world, version)
        } finally {
          await world.vanishAll()
        }
      })
    }
  }
}

/** The one packet there is. */
export function only(packets: readonly Seen[]): Seen {
  assert.equal(packets.length, 1, packets.map(({ bytes }) => bytes.toString('hex')).join(' '))
  return packets[0]!
}

/** Payloads in the order they came. */
export function payloads(packets: readonly Seen[]): string[] {
  return packets.filter(({ type }) => type === 'PUBLISH').map(({ payload }) => payload)
}
