import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bindingSpec,
  type BrokerRig,
  consume,
  exchangeSpec,
  openBroker,
  publish,
  Taker,
  turns,
} from '../../../test/support/broker-rig.ts'
import {
  declareTopic,
  openTopicBroker,
  read,
  readTexts,
  reopenTopicBroker,
  topicOf,
} from '../../../test/support/partition-rig.ts'
import {
  bodies,
  decodeTestBatch,
  TEST_FORM,
  TEST_FORM_ID,
  testBatch,
  type TestMessage,
} from '../../../test/support/test-batches.ts'
import { openEmbeddedEngine } from '../../engine/embedded/index.ts'
import { ManualClock } from '../../lib/clock.ts'
import { SeededRandom } from '../../lib/random.ts'
import { FaultyDisk } from '../../storage/disk-faulty.ts'
import type { CompactionPolicy } from './compaction-policy.ts'
import type { Partition } from './partition.ts'

const DAY_MS = 86_400_000
const POLICY: CompactionPolicy = {
  dirtyRatioMin: 0,
  dirtyBytesMin: 0,
  lagMsMax: Infinity,
  lagMsMin: 0,
  tombstoneMs: DAY_MS,
}

async function compactedTopic(
  rig: BrokerRig,
  more: Partial<CompactionPolicy> = {},
): Promise<Partition> {
  const settings = { compaction: { ...POLICY, ...more } }
  return (await declareTopic(rig, 't', { settings })).partitions[0]!
}

/** Waits until the cleaner has looked at everything. */
async function pass(rig: BrokerRig, ms = 15_000): Promise<void> {
  await turns()
  rig.clock.advance(ms)
  await turns(300)
}

/** `a1` is body 1 under key a, `a-` a tombstone. */
function keyed(...texts: string[]): TestMessage[] {
  return texts.map((text) => ({ key: text[0]!, body: text[1] === '-' ? null : text.slice(1) }))
}

async function contents(partition: Partition): Promise<string[]> {
  const found: string[] = []
  for (let at = partition.startOffset; at < partition.highWatermark;) {
    const pieces = await read(partition, at)
    assert.ok(pieces.length > 0)
    for (const { kind, baseOffset, data, start, end, nextOffset } of pieces) {
      at = nextOffset
      if (kind === 'message') {
        found.push(`${baseOffset}:message`)
        continue
      }
      const { messages, marker } = decodeTestBatch(data, start, end)
      if (marker !== undefined) found.push(`${baseOffset}:${marker}`)
      for (const { key, body, offsetDelta } of messages) {
        found.push(`${baseOffset + offsetDelta}:${key ?? ''}${body ?? '-'}`)
      }
    }
    // What is left of the compacted part may end before that does.
    if (at < partition.source.cleanEnd && (await read(partition, at)).length === 0) {
      at = partition.source.cleanEnd
    }
  }
  return found
}

test('of each key the last message is kept, at the offset it had', async () => {
  const rig = await openTopicBroker()
  const partition = await compactedTopic(rig)
  partition.produce(testBatch(keyed('a1', 'b1', 'a2')))
  partition.produce(testBatch(keyed('c1')))
  partition.produce(testBatch(keyed('b2', 'd1')))
  await pass(rig)
  assert.equal(partition.source.cleanEnd, 6)
  const expected = ['2:a2', '3:c1', '4:b2', '5:d1']
  assert.deepEqual(await contents(partition), expected)
  assert.deepEqual([partition.startOffset, partition.endOffset], [0, 6])
  partition.produce(testBatch(keyed('c2')))
  await turns()
  assert.deepEqual(await contents(partition), [...expected, '6:c2'])
  const again = await reopenTopicBroker(rig)
  const reopened = topicOf(again, 't').partitions[0]!
  assert.deepEqual(await contents(reopened), [...expected, '6:c2'])
  await pass(again)
  assert.deepEqual(await contents(reopened), ['2:a2', '4:b2', '5:d1', '6:c2'])
  const taker = new Taker()
  consume(again.vhost, 't', taker, { startAt: { kind: 'first' } })
  await turns()
  assert.deepEqual(taker.bodies, ['2', '2', '1', '2'])
  const logs = (await again.engine.listLogs()).filter((name) => name.includes('clean'))
  assert.equal(logs.length, 1, 'the one before is gone')
  await again.vhost.deleteDestination('t', { ifUnused: false, ifEmpty: false })
  const left = (await again.engine.listLogs()).filter((name) => name.startsWith('stream'))
  assert.deepEqual(left, [])
})

test('a tombstone deletes its key and stays for a while itself', async () => {
  const rig = await openTopicBroker()
  const partition = await compactedTopic(rig)
  partition.produce(testBatch(keyed('a1', 'b1', 'a-')))
  await pass(rig)
  assert.deepEqual(await contents(partition), ['1:b1', '2:a-'])
  partition.produce(testBatch(keyed('c1')))
  await pass(rig)
  assert.deepEqual(await contents(partition), ['1:b1', '2:a-', '3:c1'])
  rig.clock.advance(DAY_MS)
  partition.produce(testBatch(keyed('d1')))
  await pass(rig)
  assert.deepEqual(await contents(partition), ['1:b1', '3:c1', '4:d1'])
})

test('an aborted transaction goes, and nothing of an open one is touched', async () => {
  const rig = await openTopicBroker()
  const partition = await compactedTopic(rig)
  const says = { producerId: 7, producerEpoch: 0, isTransactional: true }
  partition.produce(testBatch(keyed('a1')))
  partition.produce(testBatch(keyed('a2'), { ...says, baseSequence: 0 }))
  await pass(rig)
  assert.deepEqual(await contents(partition), ['0:a1', '1:a2'])
  assert.equal(partition.source.cleanEnd, 1, 'up to what is stable')
  partition.endTransaction({ ...says, isCommit: false }, TEST_FORM_ID)
  partition.produce(testBatch(keyed('b1')))
  await pass(rig)
  assert.deepEqual(await contents(partition), ['0:a1', '2:abort', '3:b1'])
  assert.equal(partition.abortedWithin(0, 4).length, 1)
  partition.produce(testBatch(keyed('c1')))
  rig.clock.advance(DAY_MS)
  await pass(rig)
  assert.deepEqual(await contents(partition), ['0:a1', '3:b1', '4:c1'])
  assert.deepEqual(partition.abortedWithin(0, 4), [], 'its marker is gone, so nobody waits for it')
  const again = topicOf(await reopenTopicBroker(rig), 't').partitions[0]!
  assert.deepEqual(again.abortedWithin(0, 4), [])
  const next = testBatch(keyed('d1'), { ...says, baseSequence: 1 })
  assert.deepEqual(again.produce(next), { kind: 'appended', baseOffset: 5 })
})

test('messages of other protocols are compacted by their routing key', async () => {
  const rig = await openTopicBroker()
  const partition = await compactedTopic(rig)
  await rig.vhost.declareExchange(exchangeSpec('t', { type: 'topic' }))
  await rig.vhost.bind(bindingSpec('t', 't', { key: '#' }))
  for (const [key, body] of ['a1', 'b1', 'a2'].map((text) => [text[0]!, text[1]!])) {
    publish(rig.vhost, 't', key!, body!)
  }
  publish(rig.vhost, '', 't', 'without a key')
  partition.produce(testBatch(keyed('b2')))
  await pass(rig)
  const taker = new Taker()
  consume(rig.vhost, 't', taker, { startAt: { kind: 'first' } })
  await turns()
  assert.deepEqual(
    taker.got.map(({ offset, body }) => `${offset}:${body}`),
    ['2:2', '3:without a key', '4:2'],
  )
  const found = await partition.findTime(rig.clock.now() - 15_000)
  assert.equal(found?.offset, 2, 'they keep the time at which they were stored')
})

test('what is young or little is left alone, until it waits for too long', async () => {
  const rig = await openTopicBroker()
  const partition = await compactedTopic(rig, {
    dirtyBytesMin: 300,
    lagMsMin: 60_000,
    lagMsMax: 600_000,
  })
  partition.produce(testBatch(keyed('a1', 'a2')))
  await pass(rig)
  await pass(rig, 70_000)
  assert.equal(partition.source.cleanEnd, 0, 'it is not worth it')
  partition.produce(testBatch(keyed('b1', 'b2', 'b3', 'b4')))
  await pass(rig)
  assert.deepEqual(await contents(partition), ['1:a2', '2:b1', '3:b2', '4:b3', '5:b4'])
  await pass(rig, 300_000)
  assert.equal(partition.source.cleanEnd, 2)
  await pass(rig, 400_000)
  await pass(rig)
  assert.deepEqual(await contents(partition), ['1:a2', '5:b4'])
})

test('more keys than may be known at a time take several passes', async () => {
  const rig = await openTopicBroker({ limits: { compactedKeysMax: 3 } })
  const partition = await compactedTopic(rig)
  for (const round of [1, 2]) {
    for (const key of 'abcdefgh') partition.produce(testBatch(keyed(`${key}${round}`)))
  }
  await pass(rig)
  assert.deepEqual(
    (await contents(partition)).map((text) => text.split(':')[1]),
    ['a2', 'b2', 'c2', 'd2', 'e2', 'f2', 'g2', 'h2'],
  )
})

test('a batch that cannot be looked into stays as it is', async () => {
  const rig = await openTopicBroker()
  const partition = await compactedTopic(rig)
  const broken = testBatch(bodies('x'))
  broken.bytes.fill(0x21)
  partition.produce(broken)
  partition.produce(testBatch(keyed('a1', 'a2')))
  await pass(rig)
  assert.equal(partition.source.cleanEnd, 3)
  assert.equal((await read(partition, 0)).length, 2)
})

test('what is deleted by age is gone from the compacted part too', async () => {
  const rig = await openTopicBroker()
  const settings = { compaction: POLICY, ageMsMax: 60_000 }
  const topic = await declareTopic(rig, 't', { settings })
  const [partition] = topic.partitions
  const produce = (text: string): void => {
    const [message] = keyed(text)
    partition!.produce(testBatch([{ ...message!, timestampMs: rig.clock.now() }]))
  }
  for (const text of ['a1', 'b1', 'c1']) {
    produce(text)
    await pass(rig)
  }
  assert.equal(partition!.source.cleanEnd, 3)
  const before = partition!.source.clean!.storedBytes
  for (let round = 0; round < 4; round++) await pass(rig)
  assert.ok(partition!.startOffset > 0)
  assert.ok(partition!.startOffset === 3 || partition!.source.clean!.storedBytes < before)
  await rig.vhost.adopt(topic, { arguments: new Map(), settings: { ageMsMax: 60_000 } })
  for (let round = 0; round < 6; round++) await pass(rig)
  assert.deepEqual([partition!.startOffset, partition!.endOffset], [3, 3])
  assert.equal(partition!.source.clean, null)
  const again = await reopenTopicBroker(rig)
  topicOf(again, 't').partitions[0]!.produce(testBatch(keyed('d1')))
  await turns()
  assert.deepEqual(await contents(topicOf(again, 't').partitions[0]!), ['3:d1'])
  const logs = (await again.engine.listLogs()).filter((name) => name.startsWith('stream'))
  assert.equal(logs.length, 1)
})

const ENGINE_LIMITS = { segmentBytes: 1500, journalBytesMax: 4096, diskFreeBytesMin: 0 }
const LIMITS = { entryBytes: 300, partitionReplayBytesMax: 400, snapshotPieceBytes: 100 }

// The power may go at any step of it: the old state is there or the new one, never less.
test('whenever it is interrupted, the last message of each key is there', async () => {
  const step = fc.record({
    keys: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 5 }),
    isTombstone: fc.boolean(),
    next: fc.constantFrom('nothing', 'pass', 'pass', 'crash', 'crash', 'restart'),
    changes: fc.nat(60),
    seed: fc.nat(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
      const clock = new ManualClock()
      let disk = new FaultyDisk()
      const open = async (): Promise<BrokerRig> => {
        const engine = await openEmbeddedEngine({ disk, clock, ...ENGINE_LIMITS })
        const opened = await openBroker({ engine, clock, limits: LIMITS })
        opened.broker.registerForm(TEST_FORM)
        return opened
      }
      let rig = await open()
      let partition = await compactedTopic(rig)
      let all: string[] = []
      let acked = 0
      for (const { keys, isTombstone, next, changes, seed } of steps) {
        const texts = keys.map((key, at) => `${key}${isTombstone ? '-' : all.length + at}`)
        partition.produce(testBatch(keyed(...texts)))
        all.push(...texts)
        const end = all.length
        rig.broker.onCommit({
          committed: (_ticket, error) => {
            if (error === null) acked = end
          },
        })
        if (next === 'nothing') continue
        if (next === 'crash') {
          const random = new SeededRandom(seed)
          await turns()
          disk.changesLeft = changes
          await pass(rig)
          const crashed = disk
          disk = seed % 2 === 0 ? crashed.killed() : crashed.powerCut(random)
          crashed.changesLeft = 0
          rig = await open()
        } else if (next === 'restart') {
          rig = await (async () => {
            await rig.broker.close()
            await rig.engine.close()
            return open()
          })()
        } else await pass(rig)
        partition = topicOf(rig, 't').partitions[0]!
        assert.ok(partition.endOffset >= acked)
        all = all.slice(0, partition.endOffset)
        await check(partition, all)
      }
    }),
    { numRuns: Number(process.env['PARTITION_RUNS'] ?? 30) },
  )
})

async function check(partition: Partition, all: readonly string[]): Promise<void> {
  await turns()
  const { cleanEnd } = partition.source
  const found = await contents(partition)
  const expected = all
    .map((text, offset) => ({ text, offset }))
    .filter(({ text, offset }) => {
      const isLast = all.findLastIndex((other) => other[0] === text[0]) === offset
      return isLast || offset >= cleanEnd || found.includes(`${offset}:${text}`)
    })
    .map(({ text, offset }) => `${offset}:${text}`)
  assert.deepEqual(found, expected, 'all that is there was written, and what must be is there')
  const compacted = found.filter((text) => Number(text.split(':')[0]) < cleanEnd)
  const keys = compacted.map((text) => text.split(':')[1]![0])
  assert.equal(new Set(keys).size, keys.length, 'below the clean point each key is there once')
}

test('reading goes on while it is compacted', async () => {
  const rig = await openTopicBroker()
  const partition = await compactedTopic(rig)
  const taker = new Taker(1)
  const consumer = consume(rig.vhost, 't', taker, { startAt: { kind: 'first' } })
  partition.produce(testBatch(keyed('a1', 'b1', 'c1', 'a2')))
  await turns()
  assert.deepEqual(taker.bodies, ['1'])
  await pass(rig)
  taker.credit = 10
  consumer.resume()
  await turns()
  assert.deepEqual(taker.bodies.slice(-1), ['2'])
  partition.deleteBefore(2)
  partition.produce(testBatch(keyed('d1')))
  await pass(rig)
  assert.deepEqual(await contents(partition), ['2:c1', '3:a2', '4:d1'])
  assert.deepEqual((await readTexts(partition, 4)).length, 1)
})
