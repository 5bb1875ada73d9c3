/**
 * Mosquitto's byte vectors, octet by octet over a socket. Where this broker differs by choice the
 * vector is named in `DIFFERENT` with the sentence why, and must differ.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { connectAsync, type MqttClient } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'
import { packetOf, text, uint16, uint32, varint } from '../../support/mqtt-octets.ts'
import { MqttSocket } from '../../support/mqtt-socket.ts'

const FOLDER = path.join(import.meta.dirname, '../../../spec/mqtt/vectors')

interface Step {
  readonly type: 'send' | 'recv' | 'external_publish' | 'publish' | 'subscribe' | 'unsubscribe'
  readonly payload?: string
  readonly topic?: string
  readonly qos?: 0 | 1 | 2
}

interface Settings {
  readonly ver?: 3 | 4 | 5
  readonly connect?: boolean
  readonly expect_disconnect?: boolean
}

interface Vector extends Settings {
  readonly name: string
  readonly msgs: readonly Step[]
}

interface Group extends Settings {
  readonly group: string
  readonly disable?: boolean
  readonly tests: readonly Vector[]
}

/** Vectors that this broker answers in another way, and why. */
const DIFFERENT: readonly (readonly [name: RegExp, why: string])[] = [
  [/CONNECT: 10 proto ver [26]/, 'MQTT 3.1.1 asks for return code 1 [MQTT-3.1.2-2]'],
  [
    /v3.1.1 CONNECT: 10 (Password with 0x0000|Username flag 1 Password flag 1 ok)$/,
    'users are checked, mosquitto without a configuration lets everybody in',
  ],
  [/v5.0 CONNECT: 10 Username flag 1 ok$/, 'as above'],
  [
    /OTHER: subpub (self publish|retain as normal) qos2$/,
    'a message of QoS 2 goes on when it comes, not when it is released; section 4.3.3 allows both',
  ],
  [/PUBLISH: 34 QoS 2 Dup flow\*3$/, 'an id may be sent again as often as the client likes'],
  [
    /\$ topic - connection\/state$/,
    'nobody publishes to $SYS topics; mosquitto lets bridges do so',
  ],
]

let broker: TestBroker
let helper: MqttClient
before(async () => {
  broker = await startTestBroker({ listen: { mqtt: 0 } })
  helper = await connectAsync(`mqtt://127.0.0.1:${broker.port('mqtt')}`, { reconnectPeriod: 0 })
})
after(async () => {
  await helper.endAsync(true)
  await broker[Symbol.asyncDispose]()
})

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.json'))) {
  test(`vectors of ${file}`, async () => {
    const groups = JSON.parse(readFileSync(path.join(FOLDER, file), 'utf8')) as readonly Group[]
    const failures: string[] = []
    for (const group of groups) {
      if (group.disable === true) continue
      for (const vector of group.tests) {
        const name = `${group.group.replaceAll(/\s+/g, ' ')}: ${vector.name}`
        const settings = {
          ver: 4,
          connect: true,
          expect_disconnect: true,
          ...group,
          ...vector,
        } as const
        const different = DIFFERENT.find(([pattern]) => pattern.test(name))
        let failure: string | null = null
        try {
          await run(vector, settings as Required<Settings>)
        } catch (error) {
          failure = (error as Error).message
        }
        // It may have ended before it took away what it had retained.
        if (failure !== null) {
          await helper.publishAsync('subpub/nap', '', { retain: true, qos: 1 })
        }
        if (different !== undefined && failure === null) failures.push(`${name}: is not different`)
        if (different === undefined && failure !== null) failures.push(`${name}: ${failure}`)
      }
    }
    assert.deepEqual(failures, [])
  })
}

async function run(vector: Vector, settings: Required<Settings>): Promise<void> {
  const peer = new Peer(broker.port('mqtt'), settings.ver)
  try {
    if (settings.connect) {
      peer.send(connectPacket(vector.name, settings.ver))
      const connack = await peer.packet()
      assert.equal(connack?.[0], 0x20, 'no CONNACK')
    }
    for (const step of vector.msgs) await take(peer, step)
    if (settings.expect_disconnect) {
      // A reason that the vector does not mention is as good as none.
      const rest = await peer.packet()
      const isReason = rest === null || rest[0] === 0xe0 || (rest[0] === 0x20 && rest[3]! >= 0x80)
      assert.ok(isReason, `not closed but ${rest?.toString('hex')}`)
      if (rest !== null) assert.equal(await peer.packet(), null, 'not closed')
    } else {
      peer.send(Buffer.of(0xc0, 0))
      assert.equal((await peer.packet())?.toString('hex'), 'd000', 'no PINGRESP')
    }
  } finally {
    await peer.end()
  }
}

async function take(peer: Peer, step: Step): Promise<void> {
  const { topic = '', qos = 0, payload = '' } = step
  switch (step.type) {
    case 'send':
      peer.send(octetsOf(payload))
      return
    case 'recv': {
      const got = await peer.packet()
      assert.ok(
        isAnswer(got, octetsOf(payload), peer),
        `${payload} expected, ${got?.toString('hex') ?? 'the end'} came`,
      )
      return
    }
    case 'external_publish':
    case 'publish':
      await helper.publishAsync(topic, payload, { qos })
      return
    default: {
      const isSubscribe = step.type === 'subscribe'
      const own = peer.version === 5 ? [Buffer.of(0)] : []
      const options = isSubscribe ? [Buffer.of(qos)] : []
      const parts = [uint16(1), ...own, text(topic), ...options]
      peer.send(packetOf(isSubscribe ? 0x82 : 0xa2, parts))
      await peer.packet()
    }
  }
}

/**
 * The packet ids of our own publishes are ours to choose; a reason may be explained, and CONNACK
 * tells of our limits, not of mosquitto's.
 */
function isAnswer(got: Buffer | null, expected: Buffer, peer: Peer): boolean {
  if (got === null || got[0] !== expected[0]) return false
  const type = got[0]! >> 4
  if (type === 14) return isFault(got[2]!, expected[2]!)
  if (type === 2) return got[2] === expected[2] && isFault(got[3]!, expected[3]!)
  if (type === 3 && (got[0]! & 6) !== 0) return samePublish(got, expected, peer)
  if (type >= 4 && type <= 7) return sameAck(got, expected, peer)
  return got.equals(expected)
}

/** Where an id is not known, `0x92` says so and mosquitto says nothing: both are right. */
function sameAck(got: Buffer, expected: Buffer, peer: Peer): boolean {
  const id = expected.readUInt16BE(2)
  const isSame = got.readUInt16BE(2) === (peer.ids.get(id) ?? id)
  return isSame && reasonOf(got) === reasonOf(expected)
}

/** That nobody is subscribed may be said and need not. */
function reasonOf(ack: Buffer): number {
  const reason = ack[4] ?? 0
  return reason === 0x92 || reason === 0x10 ? 0 : reason
}

/** Malformed packet, protocol error, invalid client id: where several fit, brokers differ. */
function isFault(got: number, expected: number): boolean {
  const faults = [0x81, 0x82, 0x85]
  return got === expected || (faults.includes(got) && faults.includes(expected))
}

function samePublish(got: Buffer, expected: Buffer, peer: Peer): boolean {
  const idAt = (bytes: Buffer): number => 4 + bytes.readUInt16BE(2)
  const mine = got.readUInt16BE(idAt(got))
  const theirs = expected.readUInt16BE(idAt(expected))
  peer.ids.set(theirs, mine)
  const same = Buffer.from(got)
  same.writeUInt16BE(theirs, idAt(got))
  return same.equals(expected)
}

/** A client of one vector. */
class Peer {
  readonly version: number
  /** Packet ids of the broker's publishes: the vector's and the real one. */
  readonly ids: Map<number, number> = new Map()
  readonly #socket: MqttSocket

  constructor(port: number, version: number) {
    this.version = version
    this.#socket = new MqttSocket(port)
  }

  send(bytes: Buffer): void {
    this.#socket.write(this.#translated(bytes))
  }

  async packet(): Promise<Buffer | null> {
    return this.#socket.packet()
  }

  async end(): Promise<void> {
    await this.#socket.destroy()
  }

  /** Acknowledges the publish that came, not the one the vector was written with. */
  #translated(bytes: Buffer): Buffer {
    const type = bytes[0]! >> 4
    if (type < 4 || type > 7 || bytes.length < 4) return bytes
    const mine = this.ids.get(bytes.readUInt16BE(2))
    if (mine === undefined) return bytes
    const translated = Buffer.from(bytes)
    translated.writeUInt16BE(mine, 2)
    return translated
  }
}

function connectPacket(clientId: string, version: number): Buffer {
  const name = version === 3 ? 'MQIsdp' : 'MQTT'
  const own = version === 5 ? [Buffer.of(0)] : []
  return packetOf(0x10, [text(name), Buffer.of(version, 2, 0, 10), ...own, text(clientId)])
}

function octetsOf(notation: string): Buffer {
  const parts = notation.match(/'[^']*'|\S+/g) ?? []
  return Buffer.concat(parts.map(octetsOfPart))
}

function octetsOfPart(part: string): Buffer {
  if (part.startsWith("'")) return Buffer.from(part.slice(1, -1))
  const number = Number(part.slice(1))
  switch (part[0]) {
    case 'i':
      return Buffer.of(number)
    case 'H':
    case 'k':
    case 'm':
    case 's':
      return uint16(number)
    case 'L':
      return uint32(number)
    case 'r':
    case 'v':
      return varint(number)
    default:
      return Buffer.from(part, 'hex')
  }
}
