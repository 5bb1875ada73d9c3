import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type BrokerRig,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
  turns,
} from '../../test/support/broker-rig.ts'
import { openEmbeddedEngine } from '../engine/embedded/index.ts'
import { ManualClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import { encodeAddress } from '../model/address.ts'
import { MessageDraft } from '../model/message-draft.ts'
import { FaultyDisk } from '../storage/disk-faulty.ts'
import type { RetainedMatch } from './retained-match.ts'
import type { VirtualHost } from './virtual-host.ts'

const MIB = 1024 * 1024
/** Turns of the event loop that no test here needs. */
const TURNS_MAX = 5000

function retain(vhost: VirtualHost, key: string, body: string | Buffer, ttlMs = -1): void {
  const draft = new MessageDraft()
  const address = encodeAddress('amq.topic', key)
  draft.setAddress(address, 0, address.length)
  const bytes = Buffer.from(body)
  draft.setBody(bytes, 0, bytes.length)
  draft.persistent = true
  draft.ttlMs = ttlMs
  vhost.retained.set(key, draft)
}

/** `key=body` of all that matches, sorted. */
async function matching(vhost: VirtualHost, pattern: string): Promise<string[]> {
  const found: string[] = []
  let isDone = false
  vhost.retained.match(
    pattern,
    (message, key) => {
      const { data, bodyStart, bodyEnd } = message
      found.push(`${key}=${data.toString('utf8', bodyStart, bodyEnd)}`)
      return true
    },
    (error) => {
      assert.equal(error, null)
      isDone = true
    },
  )
  for (let turn = 0; !isDone && turn < TURNS_MAX; turn++) await turns(1)
  assert.ok(isDone, 'the match ended')
  return found.toSorted()
}

async function openOn(disk: FaultyDisk, clock: ManualClock): Promise<BrokerRig> {
  return openBroker({ engine: await openEmbeddedEngine({ disk, clock }), clock })
}

test('the last message of a key is kept until it is replaced or cleared', async () => {
  const { vhost, broker } = await openBroker()
  retain(vhost, 'a.b', '1')
  retain(vhost, 'a.c', '2')
  retain(vhost, 'a', '33')
  retain(vhost, 'a.b', '4444')
  assert.equal(vhost.retained.count, 3)
  assert.equal(vhost.retained.bytes, 7)
  assert.deepEqual(await matching(vhost, 'a.*'), ['a.b=4444', 'a.c=2'])
  assert.deepEqual(await matching(vhost, '#'), ['a.b=4444', 'a.c=2', 'a=33'])
  assert.deepEqual(await matching(vhost, 'a.b'), ['a.b=4444'])
  assert.deepEqual(await matching(vhost, 'a.b.*'), [])
  vhost.retained.clear('a.b')
  vhost.retained.clear('nothing')
  assert.deepEqual(await matching(vhost, 'a.#'), ['a.c=2', 'a=33'])
  assert.equal(vhost.retained.bytes, 3)
  assert.deepEqual(broker.checkSpace(), [])
})

test('what is retained has no name by which it could be read, bound or deleted', async () => {
  const { vhost } = await openBroker()
  retain(vhost, 'a', '1')
  assert.deepEqual([...vhost.destinations()], [])
  assert.equal(publish(vhost, '', String(vhost.retained.id), 'x'), 0)
  await vhost.declareQueue(queueSpec('a'))
  assert.equal(vhost.destination('a')!.readyCount, 0)
})

test('virtual hosts see only their own, and it goes with them', async () => {
  const { broker, vhost } = await openBroker()
  const other = await broker.createVhost('other')
  retain(vhost, 'a', '1')
  retain(other, 'a', '2')
  assert.deepEqual(await matching(other, '#'), ['a=2'])
  let ended = 0
  other.retained.match(
    '#',
    () => true,
    () => ended++,
  )
  await broker.deleteVhost('other')
  await turns()
  assert.equal(ended, 1)
  const again = await broker.createVhost('other')
  assert.deepEqual(await matching(again, '#'), [])
  assert.deepEqual(await matching(vhost, '#'), ['a=1'])
  assert.deepEqual(broker.checkSpace(), [])
})

test('a restart brings everything back, with and without a snapshot', async () => {
  const first = await openBroker()
  for (let n = 0; n < 300; n++) retain(first.vhost, `site.${n % 100}.temp`, `v${n}`)
  first.vhost.retained.clear('site.7.temp')
  await turns()
  const second = await reopenBroker(first)
  assert.equal(second.vhost.retained.count, 99)
  assert.deepEqual(await matching(second.vhost, 'site.8.#'), ['site.8.temp=v208'])
  retain(second.vhost, 'site.8.temp', 'new')
  second.vhost.retained.clear('site.9.temp')
  await turns()
  const third = await reopenBroker(second)
  assert.deepEqual(await matching(third.vhost, 'site.8.*'), ['site.8.temp=new'])
  assert.deepEqual(await matching(third.vhost, 'site.9.*'), [])
  assert.equal((await matching(third.vhost, 'site.*.temp')).length, 98)
  assert.deepEqual(third.broker.checkSpace(), [])
  assert.deepEqual(third.complaints, [])
})

test('a data folder from before there were retained messages opens and keeps them', async () => {
  const first = await openBroker()
  const { kv } = first.engine
  const [stored] = await kv.list('vhost/')
  const { retainedId: _, ...older } = JSON.parse(stored!.value.toString('utf8')) as Record<
    string,
    unknown
  >
  await kv.commit([{ key: stored!.key, value: Buffer.from(JSON.stringify(older)) }])
  const second = await reopenBroker(first)
  retain(second.vhost, 'a', '1')
  await second.vhost.declareQueue(queueSpec('q'))
  publish(second.vhost, '', 'q', 'x')
  await turns()
  const third = await reopenBroker(second)
  assert.deepEqual(await matching(third.vhost, '#'), ['a=1'])
  assert.equal(third.vhost.destination('q')!.readyCount, 1)
})

for (const how of ['kill', 'power-cut'] as const) {
  test(`what a commit covered survives a ${how}, one message a key`, async () => {
    // Chance says when it happens and, after a power cut, what is left of unsynced writes.
    for (let seed = 1; seed <= 30; seed++) {
      const random = new SeededRandom(seed)
      const disk = new FaultyDisk()
      const clock = new ManualClock()
      const { vhost, broker } = await openOn(disk, clock)
      /** The newest value of each key that was confirmed, and the newest that was set. */
      const confirmed = new Map<string, number>()
      const set = new Map<string, number>()
      disk.changesLeft = 3 + random.integer(25)
      for (let n = 1; !disk.hasHalted && n < 500; n++) {
        const key = `k.${random.integer(5)}`
        retain(vhost, key, String(n))
        set.set(key, n)
        broker.onCommit({
          committed: (_ticket, error) => {
            if (error === null) confirmed.set(key, n)
          },
        })
        if (random.integer(3) === 0) await turns(1)
      }
      await turns()
      assert.ok(disk.hasHalted)
      const found = how === 'kill' ? disk.killed() : disk.powerCut(random)
      const again = await openOn(found, clock)
      const kept = await matching(again.vhost, '#')
      assert.equal(again.vhost.retained.count, kept.length)
      const values = new Map(kept.map((text) => text.split('=') as [string, string]))
      for (const [key, n] of confirmed) {
        const value = Number(values.get(key) ?? 0)
        assert.ok(
          value >= n && value <= set.get(key)!,
          `seed ${seed}: ${key} has ${value}, not ${n}`,
        )
      }
      assert.deepEqual(again.broker.checkSpace(), [])
      assert.deepEqual(again.complaints, [])
      await again.broker.close()
    }
  })
}

test('replacing stores all or nothing, together with what is published', async () => {
  const disk = new FaultyDisk()
  const clock = new ManualClock()
  const { vhost, broker } = await openOn(disk, clock)
  await vhost.declareQueue(queueSpec('q'))
  retain(vhost, 'k', '0')
  await turns()
  broker.beginAtomic()
  publish(vhost, '', 'q', '1')
  retain(vhost, 'k', '1')
  broker.endAtomic()
  // Before the turn ends nothing of it is in the store.
  const before = await openOn(disk.killed(), clock)
  assert.deepEqual(await matching(before.vhost, '#'), ['k=0'])
  assert.equal(before.vhost.destination('q')!.readyCount, 0)
  await turns()
  const after = await openOn(disk.killed(), clock)
  assert.deepEqual(await matching(after.vhost, '#'), ['k=1'])
  assert.equal(after.vhost.destination('q')!.readyCount, 1)
})

test('replacing under load does not let the store grow', async () => {
  const clock = new ManualClock()
  const limits = { extentBytes: MIB, deadBytesMax: 4 * MIB, replayBytesMax: 4 * MIB }
  const small = { segmentBytes: 2 * MIB, journalBytesMax: 4 * MIB }
  const engine = await openEmbeddedEngine({ memory: true, clock, ...small })
  const rig = await openBroker({ engine, clock, limits })
  const { vhost, broker } = rig
  await vhost.declareQueue(queueSpec('q'))
  publish(vhost, '', 'q', 'one that stays')
  const body = Buffer.alloc(10_000, 'x')
  // These are never replaced, and stand among those that are.
  for (let n = 0; n < 10; n++) retain(vhost, `still.${n}`, `s${n}`)
  let mostBytes = 0
  for (let round = 0; round < 40; round++) {
    for (let n = 0; n < 100; n++) retain(vhost, `k.${n % 50}`, body)
    await turns(3)
    if (round % 8 === 0) retain(vhost, `still.round-${round}`, 'still')
    for (let tick = 0; tick < 3; tick++) {
      clock.advance(600)
      await turns(10)
    }
    mostBytes = Math.max(mostBytes, broker.storedBytes)
  }
  for (let tick = 0; tick < 20; tick++) {
    clock.advance(600)
    await turns(10)
  }
  // 40 MB were written, of which half a megabyte lives.
  assert.ok(mostBytes < 12 * MIB, `${mostBytes} bytes stored`)
  assert.ok(broker.storedBytes < 8 * MIB, `${broker.storedBytes} bytes stored at the end`)
  assert.deepEqual(broker.checkSpace(), [])
  // Moved ones are found where they are now, also after a restart.
  const again = await reopenBroker(rig)
  assert.equal(again.vhost.retained.count, 50 + 10 + 5)
  assert.equal((await matching(again.vhost, 'still.#')).length, 15)
  assert.deepEqual(await matching(again.vhost, 'still.3'), ['still.3=s3'])
})

test('a message with a time to live goes when that ends, unless it was replaced', async () => {
  const first = await openBroker()
  const { vhost, clock, broker } = first
  retain(vhost, 'short', '1', 1000)
  retain(vhost, 'renewed', '1', 1000)
  retain(vhost, 'kept', '1', 1000)
  retain(vhost, 'long', '1', 60_000)
  clock.advance(900)
  await turns()
  retain(vhost, 'renewed', '2', 1000)
  retain(vhost, 'kept', '2')
  retain(vhost, 'again', '1', 5)
  vhost.retained.clear('again')
  retain(vhost, 'again', '2')
  clock.advance(200)
  await turns()
  assert.deepEqual(await matching(vhost, '#'), ['again=2', 'kept=2', 'long=1', 'renewed=2'])
  assert.equal(vhost.retained.count, 4)
  const second = await reopenBroker(first)
  assert.equal(second.vhost.retained.count, 4)
  clock.advance(1000)
  await turns()
  assert.equal(second.vhost.retained.count, 3)
  await second.broker.close()
  clock.advance(60_000)
  const third = await openBroker({ engine: second.engine, clock })
  assert.deepEqual(await matching(third.vhost, '#'), ['again=2', 'kept=2'])
  clock.advance(1)
  await turns()
  assert.equal(third.vhost.retained.count, 2)
  assert.deepEqual(third.broker.checkSpace(), [])
  assert.deepEqual(broker.checkSpace(), [])
})

test('a visitor pauses, resumes and cancels; nothing is visited twice', async () => {
  const { vhost } = await openBroker()
  for (let n = 0; n < 2500; n++) retain(vhost, `k.${n}`, String(n))
  const keys: string[] = []
  let ended = 0
  let room = 10
  const match = vhost.retained.match(
    'k.*',
    (_message, key) => {
      keys.push(key)
      return --room > 0
    },
    () => ended++,
  )
  assert.equal(keys.length, 0, 'nothing is visited inside the call')
  await turns()
  assert.equal(keys.length, 10)
  room = 2000
  match.resume()
  await turns()
  assert.equal(keys.length, 2010)
  retain(vhost, 'k.0', 'changed')
  for (let n = 0; n < 2500; n++) if (!keys.includes(`k.${n}`)) vhost.retained.clear(`k.${n}`)
  room = Infinity
  match.resume()
  await turns()
  assert.equal(ended, 1)
  assert.equal(new Set(keys).size, keys.length)
  assert.equal(keys.length, 2010)

  const seen: string[] = []
  const cancelled: RetainedMatch = vhost.retained.match(
    '#',
    (_message, key) => {
      seen.push(key)
      cancelled.cancel()
      return true
    },
    () => assert.fail('a cancelled match does not end'),
  )
  await turns()
  cancelled.resume()
  await turns()
  assert.equal(seen.length, 1)
})

test('a match so large that its offsets are not kept finds everything once', async () => {
  const { vhost } = await openBroker()
  const count = 70_000
  for (let n = 0; n < count; n++) {
    retain(vhost, `many.${n}.${n % 10 === 0 ? 'x' : 'y'}`, 'v')
    if (n % 5000 === 0) await turns(2)
  }
  retain(vhost, 'other', 'v')
  await turns()
  const found = await matching(vhost, 'many.#')
  assert.equal(found.length, count)
  assert.equal(new Set(found).size, count)
  assert.equal((await matching(vhost, 'many.*.x')).length, count / 10)
  assert.equal((await matching(vhost, '#')).length, count + 1)
})

test('a key beyond the limit is refused, one that is there is not', async () => {
  const { vhost } = await openBroker({ limits: { retainedCountMax: 2 } })
  retain(vhost, 'a', '1')
  retain(vhost, 'b', '1')
  assert.throws(() => retain(vhost, 'c', '1'), { code: 'LIMIT_EXCEEDED', message: /limit/ })
  retain(vhost, 'a', '2')
  vhost.retained.clear('b')
  retain(vhost, 'c', '1')
  assert.deepEqual(await matching(vhost, '#'), ['a=2', 'c=1'])
})

test('a message addressed to another key is a mistake of the caller', async () => {
  const { vhost } = await openBroker()
  const draft = new MessageDraft()
  const address = encodeAddress('amq.topic', 'a.b')
  draft.setAddress(address, 0, address.length)
  assert.throws(() => vhost.retained.set('a.c', draft), /addressed to another key/)
  assert.equal(vhost.retained.count, 0)
})

test('what is replaced while it is being moved does not stop the moving', async () => {
  const clock = new ManualClock()
  const small = { segmentBytes: 2 * MIB, journalBytesMax: 4 * MIB, tailCacheBytesMax: 4096 }
  const engine = await openEmbeddedEngine({
    memory: true,
    clock,
    ...small,
    readCacheBytesMax: 4096,
  })
  const limits = { extentBytes: 256 * 1024, deadBytesMax: MIB, replayBytesMax: MIB }
  const rig = await openBroker({ engine, clock, limits })
  const { vhost, broker, complaints } = rig
  const random = new SeededRandom(1)
  const body = Buffer.alloc(1000, 'x')
  for (let n = 0; n < 500; n++) retain(vhost, `k.${n}`, body)
  for (let round = 0; round < 300; round++) {
    for (let n = 0; n < 50; n++) retain(vhost, `k.${random.integer(500)}`, body)
    clock.advance(600)
    // Few turns, so that moving goes on while the next ones are replaced.
    await turns(2)
  }
  for (let tick = 0; tick < 20; tick++) {
    clock.advance(600)
    await turns(50)
  }
  assert.deepEqual(complaints, [])
  assert.deepEqual(broker.checkSpace(), [])
  assert.equal((await matching((await reopenBroker(rig)).vhost, '#')).length, 500)
})
