import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FakeCatalog, GroupWorld, refusal } from '../../../../test/support/kafka-groups.ts'
import type { JoinRequest, JoinResult } from './classic-member.ts'
import type { ConsumerHeartbeat } from './consumer-member.ts'
import { GroupTable } from './group-table.ts'
import type { GroupLimits } from './limits.ts'
import type { ShareHeartbeat } from './share-group.ts'

const JOIN: JoinRequest = {
  memberId: '',
  instanceId: null,
  clientId: 'app',
  clientHost: '127.0.0.1',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
  isIdRequired: false,
  canSkipAssignment: false,
}

const SHARE: ShareHeartbeat = {
  memberId: 'm',
  memberEpoch: 0,
  rackId: null,
  topicNames: ['t'],
  clientId: 'app',
  clientHost: '127.0.0.1',
}

const CONSUMER: ConsumerHeartbeat = {
  ...SHARE,
  instanceId: null,
  rebalanceTimeoutMs: 1000,
  pattern: null,
  assignor: null,
  owned: [],
  makesOwnId: true,
}

class Harness {
  readonly world: GroupWorld
  readonly table: GroupTable
  readonly counts: Map<string, number> = new Map()

  constructor(limits: Partial<GroupLimits> = {}) {
    this.world = new GroupWorld(limits)
    this.table = new GroupTable({
      catalog: new FakeCatalog({ t: 1 }),
      timers: this.world.timers,
      clock: this.world.clock,
      random: this.world.random,
      limits: this.world.limits,
      watcher: {
        membersChanged: (groupId, count) => this.counts.set(groupId, count),
      },
    })
  }

  join(groupId: string, changes: Partial<JoinRequest> = {}): JoinResult[] {
    const answers: JoinResult[] = []
    this.table.join(groupId, { ...JOIN, ...changes }, (result) => answers.push(result))
    return answers
  }
}

suite('group table', () => {
  test('a group belongs to the kind of its members, and to any kind without', () => {
    const harness = new Harness()
    const { table } = harness
    harness.join('g')
    assert.equal(
      refusal(() => table.consumerHeartbeat('g', CONSUMER)),
      'GROUP_ID_NOT_FOUND',
    )
    assert.equal(
      refusal(() => table.shareHeartbeat('g', SHARE)),
      'GROUP_ID_NOT_FOUND',
    )
    harness.world.clock.advance(20_000)
    assert.equal(table.find('g')!.state, 'Empty')
    table.consumerHeartbeat('g', CONSUMER)
    assert.equal(table.find('g')!.type, 'consumer')
    assert.equal(harness.join('g')[0]!.error, 'INCONSISTENT_GROUP_PROTOCOL')
    table.consumerHeartbeat('g', { ...CONSUMER, memberEpoch: -1 })
    table.shareHeartbeat('g', SHARE)
    assert.equal(harness.join('g')[0]!.error, 'INCONSISTENT_GROUP_PROTOCOL')
    table.shareHeartbeat('g', { ...SHARE, memberEpoch: -1 })
    assert.equal(harness.counts.get('g'), 0)
  })

  test('members from before a restart are told to join again', () => {
    const harness = new Harness()
    const { table } = harness
    assert.equal(table.size, 0)
    const claim = { memberId: 'm', generation: 3, instanceId: null }
    const facts = { isTransactional: false, apiVersion: 8, partitions: [] }
    assert.equal(table.heartbeat('g', claim), 'UNKNOWN_MEMBER_ID')
    assert.equal(table.commitFault('g', claim, facts), 'UNKNOWN_MEMBER_ID')
    const transactional = { ...facts, isTransactional: true }
    assert.equal(table.commitFault('g', claim, transactional), 'ILLEGAL_GENERATION')
    assert.equal(table.commitFault('g', { ...claim, generation: -1 }, facts), 'NONE')
    const late = { ...CONSUMER, memberEpoch: 3 }
    assert.equal(
      refusal(() => table.consumerHeartbeat('g', late)),
      'UNKNOWN_MEMBER_ID',
    )
    assert.deepEqual(table.leave('g', [claim]), ['UNKNOWN_MEMBER_ID'])
    assert.equal(harness.join('g', { memberId: 'm' })[0]!.error, 'UNKNOWN_MEMBER_ID')
    assert.equal(table.size, 0)
  })

  test('a first member that is refused leaves no group behind', () => {
    const harness = new Harness()
    harness.join('g', { protocols: [] })
    const bad = { ...CONSUMER, assignor: 'x' }
    assert.equal(
      refusal(() => harness.table.consumerHeartbeat('g', bad)),
      'UNSUPPORTED_ASSIGNOR',
    )
    assert.equal(harness.table.size, 0)
  })

  test('there are no more groups than allowed, and empty ones are forgotten', () => {
    const harness = new Harness({ groupsMax: 1, emptyGroupMs: 60_000 })
    harness.join('a')
    assert.equal(harness.join('b')[0]!.error, 'COORDINATOR_NOT_AVAILABLE')
    const full = (): unknown => harness.table.consumerHeartbeat('b', CONSUMER)
    assert.equal(refusal(full), 'COORDINATOR_NOT_AVAILABLE')
    harness.world.clock.advance(150_000)
    assert.equal(harness.table.size, 0)
    assert.equal(refusal(full), 'NONE')
    harness.table.close()
    assert.equal(harness.world.timers.size, 0)
  })

  test('closing answers whoever waits', () => {
    const harness = new Harness()
    const answers = harness.join('a')
    harness.table.close()
    assert.equal(answers[0]!.error, 'UNKNOWN_MEMBER_ID')
    assert.equal(harness.world.timers.size, 0)
  })
})
