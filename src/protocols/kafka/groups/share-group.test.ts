import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FakeCatalog, GroupWorld, refusal } from '../../../../test/support/kafka-groups.ts'
import type { GroupLimits } from './limits.ts'
import { type ShareAnswer, ShareGroup, type ShareHeartbeat } from './share-group.ts'

class Harness {
  readonly world: GroupWorld
  readonly catalog: FakeCatalog
  readonly group: ShareGroup

  constructor(topics: Record<string, number>, limits: Partial<GroupLimits> = {}) {
    this.world = new GroupWorld(limits)
    this.catalog = new FakeCatalog(topics)
    this.group = new ShareGroup('g', this.catalog, this.world)
  }

  beat(memberId: string, memberEpoch: number, changes: Partial<ShareHeartbeat> = {}): ShareAnswer {
    return this.group.heartbeat({
      memberId,
      memberEpoch,
      rackId: null,
      topicNames: memberEpoch === 0 ? ['t'] : null,
      clientId: 'app',
      clientHost: '127.0.0.1',
      ...changes,
    })
  }
}

suite('share group', () => {
  test('members share partitions, and learn at a heartbeat what has changed', () => {
    const harness = new Harness({ t: 2 })
    const first = harness.beat('a', 0)
    assert.deepEqual(first.assignment, [{ topicId: 'id-t', partitions: [0, 1] }])
    assert.equal(harness.beat('a', first.memberEpoch).assignment, null)
    const second = harness.beat('b', 0)
    assert.deepEqual(second.assignment, [{ topicId: 'id-t', partitions: [1] }])
    const told = harness.beat('a', first.memberEpoch)
    assert.deepEqual(told.assignment, [{ topicId: 'id-t', partitions: [0] }])
    assert.equal(told.memberEpoch, second.memberEpoch)
    harness.beat('c', 0)
    const all = harness.group.describe().members.flatMap(({ assignment }) => assignment)
    assert.equal(all.length, 3)
  })

  test('topics and subscriptions that change are followed', () => {
    const harness = new Harness({ t: 1 })
    let { memberEpoch } = harness.beat('a', 0)
    harness.catalog.set('u', 1)
    assert.equal(harness.beat('a', memberEpoch).memberEpoch, memberEpoch)
    const wider = harness.beat('a', memberEpoch, { topicNames: ['u', 't'] })
    assert.equal(wider.assignment!.length, 2)
    memberEpoch = wider.memberEpoch
    harness.catalog.delete('t')
    const after = harness.beat('a', memberEpoch)
    assert.deepEqual(after.assignment, [{ topicId: 'id-u', partitions: [0] }])
    assert.ok(harness.group.isSubscribedTo('t'))
  })

  test('who leaves or is silent is out', () => {
    const harness = new Harness({ t: 2 })
    harness.beat('a', 0)
    const { memberEpoch } = harness.beat('b', 0)
    assert.equal(harness.beat('a', -1).memberEpoch, -1)
    assert.equal(
      refusal(() => harness.beat('a', -1)),
      'UNKNOWN_MEMBER_ID',
    )
    assert.equal(harness.beat('b', memberEpoch).assignment![0]!.partitions.length, 2)
    harness.world.clock.advance(45_000)
    assert.equal(harness.group.state, 'Empty')
    assert.equal(harness.world.memberCount, 0)
    assert.equal(harness.world.timers.size, 0)
    assert.equal(harness.world.budget.heldBytes, 0)
  })

  test('requests that do not fit are refused', () => {
    const harness = new Harness({ t: 1 }, { shareMembersMax: 1 })
    assert.equal(
      refusal(() => harness.beat('', 0)),
      'INVALID_REQUEST',
    )
    assert.equal(
      refusal(() => harness.beat('a', 0, { topicNames: [] })),
      'INVALID_REQUEST',
    )
    assert.equal(
      refusal(() => harness.beat('a', 0, { rackId: '' })),
      'INVALID_REQUEST',
    )
    assert.equal(
      refusal(() => harness.beat('a', -2)),
      'INVALID_REQUEST',
    )
    assert.equal(
      refusal(() => harness.beat('a', 1)),
      'UNKNOWN_MEMBER_ID',
    )
    harness.beat('a', 0)
    assert.equal(
      refusal(() => harness.beat('a', 9)),
      'FENCED_MEMBER_EPOCH',
    )
    assert.equal(
      refusal(() => harness.beat('b', 0)),
      'GROUP_MAX_SIZE_REACHED',
    )
  })
})
