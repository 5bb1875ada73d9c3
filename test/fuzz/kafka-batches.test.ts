/**
 * Batches of a hostile producer on real sockets: each is refused with the code that says why, nothing
 * of it is stored, and other connections go on.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ERROR_NAMES } from '../../src/codec/kafka/errors.gen.ts'
import { BATCH_FIELD, CODEC } from '../../src/codec/kafka/record-batch.ts'
import { KafkaPeer } from '../support/kafka-peer.ts'
import { FuzzArena } from './fuzz-arena.ts'
import { batchAround, batchOf, CODECS, randomBatch, resealed } from './kafka-batches.ts'
import { memoryPeak } from './memory-peak.ts'

const MIB = 1024 * 1024
const TOPIC = 'fuzz.batches'
const COMPACTED = 'fuzz.compacted'

let arena: FuzzArena
let peer: KafkaPeer
before(async () => {
  arena = await FuzzArena.open('kafka-batches')
  peer = await KafkaPeer.connect(arena.target.process!.kafkaPort)
  const compact = [{ name: 'cleanup.policy', value: 'compact' }]
  const create = { numPartitions: 1, replicationFactor: 1, assignments: [] }
  const answer = await peer.call('CreateTopics', 4, {
    timeoutMs: 10_000,
    topics: [
      { ...create, name: TOPIC, configs: [] },
      { ...create, name: COMPACTED, configs: compact },
    ],
  })
  assert.deepEqual(
    answer.topics.map((topic) => topic.errorCode),
    [0, 0],
  )
})
after(async () => {
  peer.close()
  await arena[Symbol.asyncDispose]()
})

/** The name of the error, `NONE` for none. */
async function produce(records: Buffer | null, name = TOPIC, version = 9): Promise<string> {
  const topicData = [{ name, partitionData: [{ index: 0, records }] }]
  const answer = await peer.call('Produce', version, { acks: -1, timeoutMs: 10_000, topicData })
  const partition = answer.responses[0]!.partitionResponses[0]!
  if (partition.errorCode !== 0) assert.equal(partition.baseOffset, -1)
  return ERROR_NAMES.get(partition.errorCode) ?? `${partition.errorCode}`
}

async function endOffset(name = TOPIC): Promise<number> {
  const partitions = [{ partitionIndex: 0, timestamp: -1 }]
  const topics = [{ name, partitions }]
  const answer = await peer.call('ListOffsets', 1, { replicaId: -1, topics })
  return answer.topics[0]!.partitions[0]!.offset
}

/** Offers each batch; fails unless it is refused with that error and the log stays as it is. */
async function refused(
  batches: Readonly<Record<string, Buffer | null>>,
  error: string,
  name = TOPIC,
) {
  const before = await endOffset(name)
  for (const [label, batch] of Object.entries(batches)) {
    assert.equal(await produce(batch, name), error, label)
    assert.equal(await endOffset(name), before, `${label} was stored`)
  }
  await arena.checkHealth()
}

const THREE = [{}, {}, {}]

function int32(at: number, value: number): Buffer {
  return resealed(batchOf(THREE), (batch) => void batch.writeInt32BE(value, at))
}

function lying(change: (batch: Buffer) => void): Buffer {
  const batch = batchOf(THREE)
  change(batch)
  return batch
}

test('batches of every codec are stored', async () => {
  const before = await endOffset()
  for (const codec of CODECS) assert.equal(await produce(batchOf(THREE, codec)), 'NONE')
  assert.equal(await endOffset(), before + 3 * CODECS.length)
})

test('what was changed on its way is corrupt', async () => {
  await refused(
    {
      'a record': lying((batch) => void (batch[batch.length - 1]! ^= 1)),
      'the checksum': lying((batch) => void (batch[BATCH_FIELD.CRC]! ^= 1)),
      'the count': lying((batch) => void batch.writeInt32BE(9, BATCH_FIELD.RECORD_COUNT)),
      'the magic': lying((batch) => void batch.writeInt8(7, BATCH_FIELD.MAGIC)),
      'a length below any header': lying((batch) => void batch.writeInt32BE(5, 8)),
      'a negative length': lying((batch) => void batch.writeInt32BE(-9, 8)),
      'a length within the header': lying((batch) => void batch.writeInt32BE(40, 8)),
    },
    'CORRUPT_MESSAGE',
  )
})

test('counts and offsets that do not agree are invalid', async () => {
  await refused(
    {
      nothing: null,
      'no octet': Buffer.alloc(0),
      'half a batch': batchOf(THREE).subarray(0, 70),
      'two batches': Buffer.concat([batchOf(THREE), batchOf(THREE)]),
      'octets behind it': Buffer.concat([batchOf(THREE), Buffer.of(0)]),
      'an old format': resealed(batchOf(THREE), (batch) => void batch.writeInt8(1, 16)),
      'no record': int32(BATCH_FIELD.RECORD_COUNT, 0),
      'fewer than there are': batchAround(batchOf(THREE).subarray(61), 2),
      'more than there are': batchAround(batchOf(THREE).subarray(61), 4),
      'two thousand million': batchAround(batchOf(THREE).subarray(61), 0x7fff_ffff),
      'a negative count': int32(BATCH_FIELD.RECORD_COUNT, -3),
      'a wide range of offsets': int32(BATCH_FIELD.LAST_OFFSET_DELTA, 0x7fff_fff0),
      'a negative range': int32(BATCH_FIELD.LAST_OFFSET_DELTA, -1),
      'an offset twice': batchOf([{}, { offsetDelta: 0 }, {}]),
      'offsets with a gap': batchOf([{}, {}, { offsetDelta: 9 }]),
      'an offset of its own': int32(4, 77),
      'a control batch': resealed(batchOf(THREE), (batch) => void batch.writeInt16BE(0x20, 21)),
      'a producer that does not count': resealed(batchOf(THREE), (batch) => {
        batch.writeBigInt64BE(5n, BATCH_FIELD.PRODUCER_ID)
      }),
    },
    'INVALID_RECORD',
  )
})

test('sizes inside of records that do not agree are invalid', async () => {
  const blocks: Readonly<Record<string, string>> = {
    'a record larger than all': 'feffffff0f',
    'a negative record': '0100000101',
    'a key beyond its record': '0e0000007e0100',
    'a key of two thousand million': '140000feffffff0f0100',
    'a value beyond its record': '0e00000001' + '7e00',
    'a thousand million headers': '14000000010180a8d6b907',
    'a header beyond its record': '12000000010102' + '7e61',
    'a header without a name': '12000000010102' + '0101',
    'a varint without an end': 'ffffffffffffffffffff',
    'a record longer than its fields': '1000000001010000',
    'nothing but zeros': '00'.repeat(40),
  }
  for (const codec of CODECS) {
    const batches = Object.entries(blocks).map(
      ([label, hex]) =>
        [`${label}, codec ${codec}`, batchAround(Buffer.from(hex, 'hex'), 1, codec)] as const,
    )
    await refused(Object.fromEntries(batches), 'INVALID_RECORD')
  }
})

test('blocks that do not open are invalid', async () => {
  for (const codec of CODECS.filter((one) => one !== CODEC.NONE)) {
    const packed = batchOf(THREE, codec)
    const asCodec = (batch: Buffer): void => void batch.writeInt16BE(codec, BATCH_FIELD.ATTRIBUTES)
    await refused(
      {
        'cut off': resealed(packed, (batch) => batch.subarray(0, -5)),
        'not compressed': resealed(batchOf(THREE), asCodec),
        empty: resealed(packed, (batch) => batch.subarray(0, 61)),
      },
      'INVALID_RECORD',
    )
  }
  const unknown = resealed(batchOf(THREE), (batch) => void batch.writeInt16BE(6, 21))
  await refused({ 'codec 6': unknown }, 'UNSUPPORTED_COMPRESSION_TYPE')
})

test('a bomb is too large, and takes no memory for what it says it holds', async () => {
  const block = Buffer.alloc(80 * MIB)
  const bombs: Record<string, Buffer> = {}
  for (const codec of CODECS.filter((one) => one !== CODEC.NONE)) {
    bombs[`codec ${codec}`] = batchAround(block, 1, codec)
  }
  // It says that four gigabytes come out.
  const claim = batchOf([{}], CODEC.SNAPPY).subarray(0, 61)
  bombs['a snappy block that says much'] = resealed(
    Buffer.concat([claim, Buffer.from('ffffffff0f00', 'hex')]),
    () => {},
  )
  const peak = await memoryPeak(arena, async () => refused(bombs, 'MESSAGE_TOO_LARGE'))
  assert.ok(peak < 250 * MIB, `took ${(peak / MIB).toFixed(0)} MiB`)
})

test('a batch above what the topic takes is too large', async () => {
  const value = Buffer.alloc(MIB)
  await refused({ large: batchOf([{ value }]) }, 'MESSAGE_TOO_LARGE')
  const packed = batchOf([{ value }], CODEC.LZ4)
  assert.equal(await produce(packed), 'NONE')
})

test('a compacted topic takes no record without a key', async () => {
  const batches = CODECS.map((codec) => [`codec ${codec}`, batchOf([{}, { key: null }], codec)])
  await refused(Object.fromEntries(batches) as Record<string, Buffer>, 'INVALID_RECORD', COMPACTED)
})

test('what is stored of a thousand batches of chance can be read by everyone', async () => {
  const names = new Set<string>()
  const before = await endOffset()
  await arena.run({
    count: 1_000,
    run: async (draw, note) => {
      const batch = randomBatch(draw)
      note(batch.toString('hex'))
      names.add(await produce(batch))
    },
  })
  const end = await endOffset()
  assert.ok(end > before)
  for (const name of ['NONE', 'CORRUPT_MESSAGE', 'INVALID_RECORD']) assert.ok(names.has(name), name)
  // A consumer that stops at a batch it cannot read would stop here for ever.
  const seen = await readAll(before)
  assert.equal(seen, end - before)
})

/** Fetches from an offset to the end as a client would; returns how many records there were. */
async function readAll(offset: number): Promise<number> {
  let count = 0
  for (let at = offset; ;) {
    const partitions = [{ partition: 0, fetchOffset: at, partitionMaxBytes: MIB }]
    const answer = await peer.call('Fetch', 11, {
      ...{ replicaId: -1, maxWaitMs: 0, minBytes: 0, maxBytes: MIB, isolationLevel: 0 },
      ...{ sessionId: 0, sessionEpoch: -1, forgottenTopicsData: [], rackId: '' },
      topics: [{ topic: TOPIC, partitions }],
    })
    const found = answer.responses[0]!.partitions[0]!
    assert.equal(found.errorCode, 0)
    // The schema reads them as octets; to be sent they are pieces.
    const records = found.records as unknown as Buffer
    if (records.length === 0) return count
    for (let start = 0; start < records.length; start += 12 + records.readInt32BE(start + 8)) {
      assert.equal(Number(records.readBigInt64BE(start)), at)
      const inBatch = records.readInt32BE(start + BATCH_FIELD.RECORD_COUNT)
      count += inBatch
      at += inBatch
    }
  }
}
