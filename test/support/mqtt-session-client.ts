/** A client that keeps its half of a session as the standard asks, whatever becomes of the broker. */
import assert from 'node:assert/strict'
import type { RandomSource } from '../../src/lib/random.ts'
import { type AckName, type MqttVersion, type Seen, WirePeer } from './wire-peer.ts'

interface Outgoing {
  readonly packetId: number
  readonly payload: string
  readonly qos: 1 | 2
  isReleased: boolean
}

interface Settings {
  readonly version: MqttVersion
  readonly clientId: string
  /** Of MQTT 5. */
  readonly receiveMaximum: number
  readonly random: RandomSource
}

/** How many publishes the broker lets be under way. */
const UNDER_WAY_MAX = 19
/** One answer in so many waits for a later turn. */
const HOLDS_ONE_IN = 3

export class SessionClient {
  /** Payloads in the order in which they came; of QoS 2 without what is known to be a repetition. */
  readonly received: Record<1 | 2, string[]> = { 1: [], 2: [] }
  /** Payloads whose exchange is over. */
  readonly acknowledged: string[] = []
  readonly #settings: Settings
  readonly #outgoing: Outgoing[] = []
  /** Packet ids of QoS 2 that were received and not released, with what came under them. */
  readonly #incoming: Map<number, string> = new Map()
  /** Answers that wait; lost with the connection. */
  #held: (readonly [AckName, number])[] = []
  #peer: WirePeer | null = null
  #hasSession = false
  #nextId = 1

  constructor(settings: Settings) {
    this.#settings = settings
  }

  get isConnected(): boolean {
    return this.#peer !== null
  }

  get isIdle(): boolean {
    return this.#outgoing.length === 0 && this.#held.length === 0 && this.#incoming.size === 0
  }

  /** Connects and takes up where it was; the session must be there from the second time on. */
  async connect(port: number): Promise<void> {
    const { version, clientId, receiveMaximum } = this.#settings
    const properties = [
      ['SessionExpiryInterval', 1_000_000],
      ['ReceiveMaximum', receiveMaximum],
    ] as const
    const as = { version, clientId, clean: false, properties }
    const { peer, connack } = await WirePeer.open(port, as)
    this.#peer = peer
    assert.equal(connack.sessionPresent, this.#hasSession, `the session of ${clientId}`)
    this.#hasSession = true
    for (const { packetId, qos, payload, isReleased } of this.#outgoing) {
      if (isReleased) peer.ack('PUBREL', packetId)
      else peer.publish({ topic: topicOf(payload), payload, qos, packetId, dup: true })
    }
  }

  async subscribe(filter: string): Promise<void> {
    await this.#peer!.subscribe(filter, 2)
  }

  /** Nothing when as many are under way as may be. */
  publish(payload: string, qos: 1 | 2): boolean {
    if (this.#peer === null || this.#outgoing.length >= UNDER_WAY_MAX) return false
    while (this.#outgoing.some(({ packetId }) => packetId === this.#nextId)) this.#next()
    const packetId = this.#nextId
    this.#next()
    this.#outgoing.push({ packetId, payload, qos, isReleased: false })
    this.#peer.publish({ topic: topicOf(payload), payload, qos, packetId })
    return true
  }

  /** Takes what has come; with `all` nothing is held back. */
  async take(all: boolean): Promise<number> {
    if (this.#peer === null) return 0
    if (all || this.#settings.random.integer(2) === 0) this.#release()
    let packets: Seen[]
    try {
      packets = await this.#peer.upToPing()
    } catch {
      // The broker has gone meanwhile: what was on its way is lost.
      await this.vanish()
      return 0
    }
    for (const packet of packets) this.#took(packet, all)
    return packets.length
  }

  async vanish(): Promise<void> {
    const peer = this.#peer
    this.#peer = null
    this.#held = []
    await peer?.vanish()
  }

  #next(): void {
    this.#nextId = (this.#nextId % 30) + 1
  }

  #took({ type, packetId, payload, qos }: Seen, all: boolean): void {
    switch (type) {
      case 'PUBLISH':
        this.#tookPublish(packetId, payload, qos as 1 | 2)
        this.#answer(qos === 1 ? 'PUBACK' : 'PUBREC', packetId, all)
        return
      case 'PUBREL':
        this.#incoming.delete(packetId)
        this.#answer('PUBCOMP', packetId, all)
        return
      case 'PUBREC': {
        const found = this.#outgoing.find((one) => one.packetId === packetId)
        if (found !== undefined) found.isReleased = true
        this.#answer('PUBREL', packetId, all)
        return
      }
      default:
        this.#finished(packetId)
    }
  }

  #tookPublish(packetId: number, payload: string, qos: 1 | 2): void {
    if (qos === 2) {
      const known = this.#incoming.get(packetId)
      if (known !== undefined) {
        assert.equal(payload, known, `another message under the packet id ${packetId}`)
        return
      }
      this.#incoming.set(packetId, payload)
    }
    this.received[qos].push(payload)
  }

  #finished(packetId: number): void {
    const at = this.#outgoing.findIndex((one) => one.packetId === packetId)
    if (at < 0) return
    this.acknowledged.push(this.#outgoing[at]!.payload)
    this.#outgoing.splice(at, 1)
  }

  #answer(type: AckName, packetId: number, all: boolean): void {
    // One behind another, or the order of section 4.6 is lost.
    const isHeld = this.#held.length > 0 || this.#settings.random.integer(HOLDS_ONE_IN) === 0
    if (!all && isHeld) this.#held.push([type, packetId])
    else this.#peer!.ack(type, packetId)
  }

  #release(): void {
    for (const [type, packetId] of this.#held) this.#peer!.ack(type, packetId)
    this.#held = []
  }
}

function topicOf(payload: string): string {
  return `s/${payload.slice(0, payload.indexOf('-'))}`
}
