/** Kafka requests drawn from the schemas, as clients send them or with something wrong. */
import { includes, readMessage } from '../../tools/kafka-schemas.ts'
import type { Field, Message, Struct } from '../../tools/kafka-schemas.ts'
import { API_VERSIONS } from '../../src/codec/kafka/api-keys.gen.ts'
import { emptyValue, encodeRequest, fieldsOf, structOf } from '../support/kafka-wire.ts'
import type { WireStruct } from '../support/kafka-wire.ts'
import { randomBatch } from './kafka-batches.ts'
import type { Draw } from './sessions.ts'

export interface KafkaRequest {
  readonly name: string
  readonly version: number
  readonly correlationId: number
  readonly bytes: Buffer
  /** As the schema has it: the answer must be, too. */
  readonly isWhole: boolean
}

const NAMES = Object.keys(API_VERSIONS) as (keyof typeof API_VERSIONS)[]
/** What clients ask most, and what changes most. */
const COMMON = [
  ...['Produce', 'Produce', 'Fetch', 'Metadata', 'ListOffsets', 'CreateTopics', 'DeleteTopics'],
  ...['JoinGroup', 'SyncGroup', 'OffsetCommit', 'OffsetFetch', 'ConsumerGroupHeartbeat'],
  ...['InitProducerId', 'AddPartitionsToTxn', 'EndTxn', 'ShareFetch', 'ApiVersions'],
] as const

const TOPICS = ['fuzz.a', 'fuzz.b', 'fuzz_c']
const ODD_TOPICS = ['fuzz.missing', '', '..', 'é', 'x'.repeat(250)]
const TEXTS = ['', 'fuzz', 'range', 'consumer', 'fuzz-group', 'a'.repeat(300), 'é\0', 'PLAIN', '*']
const NUMBERS = [0, 0, 0, 1, 1, 2, 3, -1, -2, 5, 100, 32_767, -32_768]
const INT32 = [2_147_483_647, -2_147_483_648, 65_536]
const INT64 = [Number.MAX_SAFE_INTEGER, -5, 1_700_000_000_000]

/** A waiting answer holds up the case, so nobody waits for long. */
const SHORT_MS: Readonly<Record<string, number>> = {
  maxWaitMs: 20,
  timeoutMs: 50,
  rebalanceTimeoutMs: 500,
}

/** What sensible clients say, so that most requests come further than the first check. */
const LIKELY: Readonly<Record<string, readonly number[]>> = {
  acks: [-1, -1, 1, 0],
  index: [0],
  partition: [0],
  partitionIndex: [0],
  numPartitions: [1, 2, -1],
  replicationFactor: [1, -1],
  fetchOffset: [0, 1],
  sessionTimeoutMs: [6_000],
}

/** One to twelve requests of one connection. */
export function randomKafkaSession(draw: Draw): KafkaRequest[] {
  const count = 1 + draw.below(12)
  return Array.from({ length: count }, (_, index) => randomRequest(draw, index + 1))
}

function randomRequest(draw: Draw, correlationId: number): KafkaRequest {
  const name = draw.chance(70) ? draw.one(COMMON) : draw.one(NAMES)
  const { versionMin, versionMax } = API_VERSIONS[name]
  const version = versionMin + draw.below(versionMax - versionMin + 1)
  const message = readSchema(`${name}Request`)
  const body = drawStruct(draw, { message, version, struct: message.structs[0]! })
  const bytes = encodeRequest(name, { version, correlationId, clientId: 'fuzz', body })
  return { name, version, correlationId, bytes, isWhole: true }
}

const schemas = new Map<string, Message>()

function readSchema(name: string): Message {
  const known = schemas.get(name) ?? readMessage(name)
  schemas.set(name, known)
  return known
}

interface Place {
  readonly message: Message
  readonly version: number
  readonly struct: Struct
}

function drawStruct(draw: Draw, place: Place): WireStruct {
  const entries: [string, unknown][] = []
  for (const field of fieldsOf(place.struct)) {
    if (!includes(field.versions, place.version)) continue
    if (field.tag !== null && draw.chance(70)) continue
    entries.push([field.name, drawField(draw, place, field)])
  }
  return Object.fromEntries(entries)
}

function drawField(draw: Draw, place: Place, field: Field): unknown {
  if (includes(field.nullable, place.version) && draw.chance(15)) return null
  if (!field.isArray) return drawOne(draw, place, field)
  const count = draw.chance(80) ? 1 : draw.below(4)
  return Array.from({ length: count }, () => drawOne(draw, place, field))
}

function drawOne(draw: Draw, place: Place, field: Field): unknown {
  if (field.isStruct) {
    return drawStruct(draw, { ...place, struct: structOf(place.message, field.type) })
  }
  const { name, type } = field
  const shortMs = SHORT_MS[name]
  if (shortMs !== undefined) return draw.below(shortMs)
  const likely = LIKELY[name]
  if (likely !== undefined && draw.chance(80)) return draw.one(likely)
  switch (type) {
    case 'string':
      if (!/topic|^name$/i.test(name)) return draw.one(TEXTS)
      return draw.one(draw.chance(80) ? TOPICS : ODD_TOPICS)
    case 'bool':
      return draw.chance(50)
    case 'bytes':
      return draw.random.bytes(draw.below(40))
    case 'records':
      return randomBatch(draw)
    case 'uuid':
      return draw.chance(50)
        ? (emptyValue(place.message, { ...field, isArray: false, fallback: undefined }) as string)
        : draw.random.bytes(16).toString('base64url')
    case 'float64':
      return draw.one([0, 1.5, -1, 1e300])
    default:
      return drawNumber(draw, type)
  }
}

function drawNumber(draw: Draw, type: string): number {
  if (type === 'int64' && draw.chance(20)) return draw.one(INT64)
  if ((type === 'int64' || type === 'int32') && draw.chance(10)) return draw.one(INT32)
  const number = draw.one(NUMBERS)
  if (type === 'int8') return (number << 24) >> 24
  return type === 'uint16' ? number & 0xffff : number
}

type Mutation = (requests: readonly KafkaRequest[], draw: Draw) => KafkaRequest[]

function onOne(change: (bytes: Buffer, draw: Draw) => Buffer): Mutation {
  return (requests, draw) => {
    const at = draw.below(requests.length)
    const bytes = change(Buffer.from(requests[at]!.bytes), draw)
    return requests.with(at, { ...requests[at]!, bytes, isWhole: false })
  }
}

/** Behind the size, which says the truth again. */
function sized(body: Buffer): Buffer {
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length)
  return Buffer.concat([size, body])
}

const HOSTILE_COUNTS = ['7fffffff', '80000000', 'ffffffff0f', 'fffffffe', '0fffffff', '00ffffff']

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'as it is': (requests) => [...requests],
  'flipped octets': onOne((bytes, draw) => {
    for (let left = 1 + draw.below(3); left > 0; left--) {
      bytes[4 + draw.below(bytes.length - 4)]! ^= 1 << draw.below(8)
    }
    return bytes
  }),
  'other octets': onOne((bytes, draw) => {
    bytes[4 + draw.below(bytes.length - 4)] = draw.below(256)
    return bytes
  }),
  'a hostile count': onOne((bytes, draw) => {
    const count = Buffer.from(draw.one(HOSTILE_COUNTS), 'hex')
    const at = 12 + draw.below(Math.max(1, bytes.length - 12))
    return sized(Buffer.concat([bytes.subarray(4, at), count, bytes.subarray(at)]))
  }),
  'cut, and its size with it': onOne((bytes, draw) => {
    return sized(bytes.subarray(4, 4 + draw.below(bytes.length - 4)))
  }),
  'cut, and its size not': onOne((bytes, draw) => bytes.subarray(0, draw.below(bytes.length))),
  'longer than it is': onOne((bytes, draw) => {
    return sized(Buffer.concat([bytes.subarray(4), draw.random.bytes(1 + draw.below(9))]))
  }),
  'an odd size': onOne((bytes, draw) => {
    bytes.writeInt32BE(draw.one([-1, 0, 1, 7, 8, 104_857_601, 0x7fff_ffff, -0x8000_0000]), 0)
    return bytes
  }),
  'another API': onOne((bytes, draw) => {
    bytes.writeInt16BE(draw.one([-1, draw.below(100), 32_767]), 4)
    return bytes
  }),
  'another version': onOne((bytes, draw) => {
    bytes.writeInt16BE(draw.one([-1, draw.below(20), 32_767]), 6)
    return bytes
  }),
  dropped: (requests, draw) => requests.toSpliced(draw.below(requests.length), 1),
  doubled: (requests, draw) => {
    const at = draw.below(requests.length)
    return requests.toSpliced(at, 0, requests[at]!)
  },
  swapped: (requests, draw) => {
    const one = draw.below(requests.length)
    const other = draw.below(requests.length)
    return requests.with(one, requests[other]!).with(other, requests[one]!)
  },
  'octets at random': (requests, draw) => {
    const bytes = draw.random.bytes(1 + draw.below(200))
    const odd = { name: 'random', version: 0, correlationId: -1, bytes, isWhole: false }
    return requests.toSpliced(draw.below(requests.length + 1), 0, odd)
  },
}

/** One or two things wrong, or none. */
export function mutateKafka(
  requests: readonly KafkaRequest[],
  draw: Draw,
): { readonly requests: readonly KafkaRequest[]; readonly note: string } {
  const names: string[] = []
  let changed: readonly KafkaRequest[] = requests
  for (let left = 1 + draw.below(2); left > 0 && changed.length > 0; left--) {
    const name = draw.one(Object.keys(MUTATIONS))
    names.push(name)
    changed = MUTATIONS[name]!(changed, draw)
  }
  return { requests: changed, note: names.join(', ') }
}
