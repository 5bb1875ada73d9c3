import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type BrokerRig,
  openBroker,
  queueSpec,
  reopenBroker,
  turns,
} from '../../../test/support/broker-rig.ts'
import { openEmbeddedEngine } from '../../engine/embedded/index.ts'
import { ManualClock } from '../../lib/clock.ts'
import { SeededRandom } from '../../lib/random.ts'
import { FaultyDisk } from '../../storage/disk-faulty.ts'
import type { VirtualHost } from '../virtual-host.ts'

const DAY_MS = 86_400_000

async function topicId(vhost: VirtualHost, name: string): Promise<number> {
  const topic = await vhost.declareQueue(queueSpec(name, {}, { profile: 'topic' }))
  return topic.id
}

/** `topic id/partition=offset` of each position, sorted. */
function positions(vhost: VirtualHost, name: string): string[] {
  const found = vhost.subscriptions.find(name)?.positions() ?? []
  return Array.from(found, ({ topicId: id, partition, position }) => {
    return `${id}/${partition}=${position.offset}`
  }).toSorted()
}

function names(vhost: VirtualHost): string[] {
  return Array.from(vhost.subscriptions.list(), ({ name }) => name).toSorted()
}

/** Moves time on so that the broker looks at its positions again and again. */
async function pass(rig: BrokerRig, ms: number): Promise<void> {
  const stepMs = 3_600_000
  for (let left = ms; left > 0; left -= stepMs) {
    rig.clock.advance(Math.min(stepMs, left))
    await turns(2)
  }
}

test('positions are kept as committed, over a restart', async () => {
  const first = await openBroker()
  const id = await topicId(first.vhost, 't')
  first.vhost.subscriptions.commit('readers/of/all', [
    { topicId: id, partition: 0, offset: 7, leaderEpoch: 3, metadata: 'näheres' },
    { topicId: id, partition: 1, offset: 0 },
  ])
  first.vhost.subscriptions.commit('', [{ topicId: id, partition: 0, offset: 1 }])
  first.vhost.subscriptions.commit('readers/of/all', [{ topicId: id, partition: 1, offset: 5 }])
  const commitMs = first.clock.now()
  const second = await reopenBroker(first)
  for (const { vhost } of [first, second]) {
    assert.deepEqual(positions(vhost, 'readers/of/all'), [`${id}/0=7`, `${id}/1=5`])
    assert.deepEqual(vhost.subscriptions.position('readers/of/all', id, 0), {
      offset: 7,
      leaderEpoch: 3,
      metadata: 'näheres',
      commitMs,
      expiresAtMs: -1,
    })
    assert.deepEqual(positions(vhost, ''), [`${id}/0=1`])
    assert.deepEqual(names(vhost), ['', 'readers/of/all'])
    assert.equal(vhost.subscriptions.position('readers/of/all', id, 2), undefined)
  }
})

test('positions and subscriptions are deleted, and stay so', async () => {
  const first = await openBroker()
  const id = await topicId(first.vhost, 't')
  for (const name of ['a', 'b', 'c']) {
    first.vhost.subscriptions.commit(name, [
      { topicId: id, partition: 0, offset: 1 },
      { topicId: id, partition: 1, offset: 2 },
    ])
  }
  const { subscriptions } = first.vhost
  const places = [0, 5].map((partition) => ({ topicId: id, partition }))
  assert.equal(subscriptions.deletePositions('a', places), 1)
  assert.equal(subscriptions.deletePositions('nobody', places), 0)
  assert.equal(subscriptions.delete('b'), true)
  assert.equal(subscriptions.delete('b'), false)
  const second = await reopenBroker(first)
  for (const { vhost } of [first, second]) {
    assert.deepEqual(positions(vhost, 'a'), [`${id}/1=2`])
    assert.deepEqual(names(vhost), ['a', 'c'])
  }
})

test('a topic takes the positions on it along, a virtual host all of them', async () => {
  const first = await openBroker()
  const other = await first.broker.createVhost('other')
  const kept = await topicId(first.vhost, 'kept')
  const gone = await topicId(first.vhost, 'gone')
  const foreign = await topicId(other, 'kept')
  for (const id of [kept, gone]) {
    first.vhost.subscriptions.commit('g', [{ topicId: id, partition: 0, offset: 1 }])
  }
  first.vhost.subscriptions.commit('only', [{ topicId: gone, partition: 0, offset: 1 }])
  other.subscriptions.commit('g', [{ topicId: foreign, partition: 0, offset: 9 }])
  await first.vhost.deleteDestination('gone', { ifUnused: false, ifEmpty: false })
  assert.deepEqual(positions(other, 'g'), [`${foreign}/0=9`])
  await first.broker.deleteVhost('other')
  const again = await first.broker.createVhost('other')
  assert.deepEqual(names(again), [])
  const second = await reopenBroker(first)
  for (const { vhost } of [first, second]) {
    assert.deepEqual(positions(vhost, 'g'), [`${kept}/0=1`])
    assert.deepEqual(names(vhost), ['g'])
  }
  assert.deepEqual(
    Array.from(second.broker.state.entries('position/'), ([, value]) => value.readDoubleBE(1)),
    [1],
  )
})

test('positions expire seven days after the last commit or the last member', async () => {
  const rig = await openBroker()
  const { subscriptions } = rig.vhost
  const id = await topicId(rig.vhost, 't')
  const at = [{ topicId: id, partition: 0, offset: 1 }]
  for (const name of ['alone', 'renewed', 'used', 'left']) subscriptions.commit(name, at)
  subscriptions.commit('short', [{ ...at[0]!, expiresAtMs: rig.clock.now() + DAY_MS }])
  subscriptions.setMembers('used', 2)
  subscriptions.setMembers('used', 1)
  subscriptions.setMembers('left', 1)
  await pass(rig, 2 * DAY_MS)
  assert.deepEqual(names(rig.vhost), ['alone', 'left', 'renewed', 'used'])
  subscriptions.commit('renewed', at)
  subscriptions.setMembers('left', 0)
  await pass(rig, 5 * DAY_MS)
  assert.deepEqual(names(rig.vhost), ['left', 'renewed', 'used'])
  await pass(rig, 2 * DAY_MS)
  assert.deepEqual(names(rig.vhost), ['used'])
  // Its members are gone with the restart, from which on its days are counted.
  const second = await reopenBroker(rig)
  await pass(second, 6 * DAY_MS)
  const third = await reopenBroker(second)
  assert.deepEqual(names(third.vhost), ['used'])
  await pass(third, DAY_MS + 3_600_000)
  assert.deepEqual(names(third.vhost), [])
  assert.equal(third.broker.state.count, 0)
})

test('a subscription with members and nothing committed is there while it has them', async () => {
  const rig = await openBroker()
  rig.vhost.subscriptions.setMembers('g', 1)
  assert.deepEqual(names(rig.vhost), ['g'])
  rig.vhost.subscriptions.setMembers('g', 0)
  assert.deepEqual(names(rig.vhost), [])
  assert.equal(rig.broker.state.count, 0)
})

test('what is too much is refused, and then none of it is kept', async () => {
  const limits = {
    positionCountMax: 2,
    positionMetadataBytesMax: 3,
    subscriptionNameBytesMax: 2,
  }
  const { vhost } = await openBroker({ limits })
  const id = await topicId(vhost, 't')
  const at = (partition: number, metadata = ''): Parameters<typeof commit>[1][number] => {
    return { topicId: id, partition, offset: 1, metadata }
  }
  const commit = vhost.subscriptions.commit.bind(vhost.subscriptions)
  commit('g', [at(0)])
  const refused = { code: 'LIMIT_EXCEEDED', message: /limit/ }
  assert.throws(() => commit('g', [at(0), at(1), at(2)]), refused)
  assert.throws(() => commit('g', [at(0), at(1, 'öö')]), refused)
  assert.throws(() => commit('ggg', [at(0)]), refused)
  assert.deepEqual(positions(vhost, 'g'), [`${id}/0=1`])
  commit('g', [at(0), at(1)])
  vhost.subscriptions.deletePositions('g', [at(0)])
  commit('h', [at(0)])
})

test('a commit that was answered is there after a power cut, whole', async () => {
  // The world may cut the power after any turn; the disk keeps of what was not synced what chance
  // leaves. A commit names one number in each partition, so half of one would be seen.
  const partitions = [0, 1, 2, 3, 4]
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed)
    const clock = new ManualClock()
    let disk = new FaultyDisk()
    let rig = await openBroker({ engine: await openEmbeddedEngine({ disk, clock }), clock })
    const id = await topicId(rig.vhost, 't')
    let next = 1
    let answered = 0
    for (let life = 0; life < 4; life++) {
      for (let count = random.integer(12); count >= 0; count--) {
        const offset = next++
        rig.vhost.subscriptions.commit(
          'g',
          partitions.map((partition) => ({ topicId: id, partition, offset })),
        )
        rig.broker.onCommit({
          committed: (_ticket, error) => {
            if (error === null) answered = offset
          },
        })
        await turns(random.integer(4))
      }
      const found = disk.powerCut(random)
      disk.changesLeft = 0
      disk = found
      rig = await openBroker({ engine: await openEmbeddedEngine({ disk, clock }), clock })
      const stored = partitions.map((partition) => {
        return rig.vhost.subscriptions.position('g', id, partition)?.offset ?? 0
      })
      assert.deepEqual(
        stored,
        partitions.map(() => stored[0]!),
      )
      assert.ok(stored[0]! >= answered && stored[0]! < next, `${stored[0]}, answered ${answered}`)
    }
    await rig.broker.close()
  }
})
