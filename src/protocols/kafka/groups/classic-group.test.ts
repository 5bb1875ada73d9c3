import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { GroupWorld } from '../../../../test/support/kafka-groups.ts'
import type { ManualClock } from '../../../lib/clock.ts'
import { ClassicGroup } from './classic-group.ts'
import type { JoinRequest, JoinResult, SyncResult } from './classic-member.ts'
import { DEFAULT_GROUP_LIMITS, type GroupLimits } from './limits.ts'

const DELAY_MS = DEFAULT_GROUP_LIMITS.initialRebalanceDelayMs
const SESSION_MS = 10_000
const REBALANCE_MS = 60_000

class Harness {
  readonly world: GroupWorld
  readonly group: ClassicGroup

  constructor(limits: Partial<GroupLimits> = {}) {
    this.world = new GroupWorld(limits)
    this.group = new ClassicGroup('g', this.world)
  }

  get clock(): ManualClock {
    return this.world.clock
  }

  /** The answers to one join as they come. */
  join(fields: Partial<JoinRequest> & { readonly knows?: string } = {}): JoinResult[] {
    const answers: JoinResult[] = []
    const { knows = 'range', ...rest } = fields
    const request: JoinRequest = {
      memberId: '',
      instanceId: null,
      clientId: 'app',
      clientHost: '/127.0.0.1',
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: REBALANCE_MS,
      protocolType: 'consumer',
      protocols: knows.split(' ').map((name) => ({ name, metadata: Buffer.from(`m-${name}`) })),
      isIdRequired: false,
      canSkipAssignment: false,
      ...rest,
    }
    this.group.join(request, (result) => answers.push(result))
    return answers
  }

  sync(joined: JoinResult, assignments: Record<string, string> = {}): SyncResult[] {
    const answers: SyncResult[] = []
    this.group.sync(
      {
        memberId: joined.memberId,
        instanceId: null,
        generation: joined.generation,
        protocolType: null,
        protocolName: null,
        assignments: Object.entries(assignments).map(([memberId, text]) => ({
          memberId,
          assignment: Buffer.from(text),
        })),
      },
      (result) => answers.push(result),
    )
    return answers
  }

  beat(joined: JoinResult): string {
    const { memberId, generation } = joined
    return this.group.heartbeat({ memberId, generation, instanceId: null })
  }

  /** So many members in a stable group, each assigned its own number. */
  stable(count: number, fields: Partial<JoinRequest> = {}): JoinResult[] {
    const answers = Array.from({ length: count }, () => this.join(fields))
    this.clock.advance(DELAY_MS * 2)
    const joined = answers.map(([first]) => first!)
    const leader = joined.find(({ memberId, leader: id }) => memberId === id)!
    for (const member of joined) if (member !== leader) this.sync(member)
    const plan = joined.map(({ memberId }, index) => [memberId, String(index)])
    this.sync(leader, Object.fromEntries(plan) as Record<string, string>)
    assert.equal(this.group.state, 'Stable')
    return joined
  }
}

suite('classic group', () => {
  test('a first member waits for others, then leads and assigns', () => {
    const harness = new Harness()
    const first = harness.join()
    harness.clock.advance(DELAY_MS - 1)
    const second = harness.join()
    harness.clock.advance(DELAY_MS)
    assert.equal(first.length, 0)
    harness.clock.advance(1)
    const leader = first[0]!
    assert.equal(leader.leader, leader.memberId)
    assert.equal(leader.generation, 1)
    assert.equal(leader.protocolName, 'range')
    assert.deepEqual(
      leader.members.map(({ memberId }) => memberId),
      [leader.memberId, second[0]!.memberId],
    )
    assert.equal(leader.members[0]!.metadata.toString(), 'm-range')
    assert.deepEqual(second[0]!.members, [])
    assert.equal(harness.group.state, 'CompletingRebalance')

    const waiting = harness.sync(second[0]!)
    assert.equal(waiting.length, 0)
    const own = harness.sync(leader, { [second[0]!.memberId]: 'p1' })
    assert.equal(own[0]!.error, 'NONE')
    assert.equal(own[0]!.assignment.toString(), '')
    assert.equal(waiting[0]!.assignment.toString(), 'p1')
    assert.equal(harness.group.state, 'Stable')
    assert.equal(harness.sync(second[0]!)[0]!.assignment.toString(), 'p1')
  })

  test('newcomers prolong the first wait no longer than a rebalance may take', () => {
    const harness = new Harness()
    const first = harness.join({ rebalanceTimeoutMs: DELAY_MS * 3 })
    for (let count = 0; count < 20 && first.length === 0; count++) {
      harness.join({ rebalanceTimeoutMs: DELAY_MS * 3 })
      harness.clock.advance(DELAY_MS)
    }
    assert.equal(first[0]!.members.length, 4)
  })

  test('a client that can is given an id first, and may join with it', () => {
    const harness = new Harness()
    const [asked] = harness.join({ isIdRequired: true })
    assert.equal(asked!.error, 'MEMBER_ID_REQUIRED')
    assert.match(asked!.memberId, /^app-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-/)
    const answers = harness.join({ isIdRequired: true, memberId: asked!.memberId })
    harness.clock.advance(DELAY_MS * 2)
    assert.equal(answers[0]!.memberId, asked!.memberId)
    assert.equal(answers[0]!.error, 'NONE')
  })

  test('an id nobody joins with holds a rebalance up for a session only', () => {
    const harness = new Harness()
    const [member] = harness.stable(1)
    harness.join({ isIdRequired: true, sessionTimeoutMs: 6_000 })
    const again = harness.join({ memberId: member!.memberId })
    harness.clock.advance(5_999)
    assert.equal(again.length, 0)
    harness.clock.advance(1)
    assert.equal(again[0]!.generation, 2)
    assert.equal(harness.group.describe().members.length, 1)
  })

  test('an id that was never given out is unknown', () => {
    const harness = new Harness()
    assert.equal(harness.join({ memberId: 'app-x' })[0]!.error, 'UNKNOWN_MEMBER_ID')
    assert.equal(harness.group.state, 'Empty')
  })

  test('members that do not fit are refused', () => {
    const harness = new Harness()
    assert.equal(harness.join({ protocolType: '' })[0]!.error, 'INCONSISTENT_GROUP_PROTOCOL')
    assert.equal(harness.join({ protocols: [] })[0]!.error, 'INCONSISTENT_GROUP_PROTOCOL')
    harness.stable(1, { protocols: [{ name: 'a', metadata: Buffer.from('1') }] })
    assert.equal(harness.join({ knows: 'b' })[0]!.error, 'INCONSISTENT_GROUP_PROTOCOL')
    const connect = harness.join({ knows: 'a', protocolType: 'connect' })
    assert.equal(connect[0]!.error, 'INCONSISTENT_GROUP_PROTOCOL')
  })

  test('the protocol that all know and most prefer is taken', () => {
    const harness = new Harness()
    const first = harness.join({ knows: 'sticky range roundrobin' })
    harness.join({ knows: 'roundrobin range' })
    harness.join({ knows: 'range roundrobin' })
    harness.clock.advance(DELAY_MS * 2)
    assert.equal(first[0]!.protocolName, 'range')
  })

  test('a member that comes makes the others join again', () => {
    const harness = new Harness()
    const [leader] = harness.stable(1)
    const second = harness.join()
    assert.equal(harness.group.state, 'PreparingRebalance')
    assert.equal(harness.beat(leader!), 'REBALANCE_IN_PROGRESS')
    assert.equal(harness.sync(leader!)[0]!.error, 'REBALANCE_IN_PROGRESS')
    const again = harness.join({ memberId: leader!.memberId })
    assert.equal(again[0]!.generation, 2)
    assert.equal(again[0]!.members.length, 2)
    assert.equal(second[0]!.generation, 2)
    assert.equal(harness.beat(leader!), 'ILLEGAL_GENERATION')
    assert.equal(harness.beat(again[0]!), 'NONE')
  })

  test('who does not join again in time is out', () => {
    const harness = new Harness()
    const [first, second] = harness.stable(2)
    const again = harness.join({ memberId: second!.memberId, knows: 'range other' })
    for (let waitedMs = 0; waitedMs < REBALANCE_MS; waitedMs += 5_000) {
      assert.equal(again.length, 0)
      assert.equal(harness.beat(first!), 'REBALANCE_IN_PROGRESS')
      harness.clock.advance(5_000)
    }
    assert.equal(again[0]!.leader, second!.memberId)
    assert.equal(harness.beat(first!), 'UNKNOWN_MEMBER_ID')
  })

  test('a session without heartbeats ends, with them it does not', () => {
    const harness = new Harness()
    const [first, second] = harness.stable(2)
    for (let count = 0; count < 5; count++) {
      harness.clock.advance(SESSION_MS / 2)
      const expected = count === 0 ? 'NONE' : 'REBALANCE_IN_PROGRESS'
      assert.equal(harness.beat(first!), expected)
    }
    assert.equal(harness.beat(second!), 'UNKNOWN_MEMBER_ID')
    assert.equal(harness.join({ memberId: first!.memberId })[0]!.members.length, 1)
  })

  test('a leader that never assigns is removed', () => {
    const harness = new Harness()
    const first = harness.join()
    const second = harness.join()
    harness.clock.advance(DELAY_MS * 2)
    const waiting = harness.sync(second[0]!)
    for (let count = 0; count < 13; count++) {
      harness.beat(first[0]!)
      harness.clock.advance(5_000)
    }
    assert.equal(waiting[0]!.error, 'REBALANCE_IN_PROGRESS')
    assert.equal(harness.beat(first[0]!), 'UNKNOWN_MEMBER_ID')
    assert.equal(harness.join({ memberId: second[0]!.memberId })[0]!.leader, second[0]!.memberId)
  })

  test('followers that ask again unchanged are answered, the leader starts a rebalance', () => {
    const harness = new Harness()
    const [leader, follower] = harness.stable(2)
    const calm = harness.join({ memberId: follower!.memberId })
    assert.equal(calm[0]!.generation, 1)
    assert.equal(harness.group.state, 'Stable')
    assert.deepEqual(harness.join({ memberId: leader!.memberId }), [])
    assert.equal(harness.group.state, 'PreparingRebalance')
  })

  test('leaving starts one rebalance, and the last one leaves the group empty', () => {
    const harness = new Harness()
    const [first, second, third] = harness.stable(3)
    const leaving = [
      { memberId: first!.memberId, instanceId: null },
      { memberId: 'nobody', instanceId: null },
      { memberId: second!.memberId, instanceId: null },
    ]
    assert.deepEqual(harness.group.leave(leaving), ['NONE', 'UNKNOWN_MEMBER_ID', 'NONE'])
    const again = harness.join({ memberId: third!.memberId })
    assert.equal(again[0]!.generation, 2)
    harness.group.leave([{ memberId: third!.memberId, instanceId: null }])
    assert.equal(harness.group.state, 'Empty')
    assert.equal(harness.group.generation, 3)
    assert.equal(harness.world.budget.heldBytes, 0)
    assert.equal(harness.world.memberCount, 0)
    harness.clock.advance(REBALANCE_MS * 2)
    assert.equal(harness.world.timers.size, 0)
  })

  test('a static member that restarts keeps its assignment without a rebalance', () => {
    const harness = new Harness()
    const [former] = harness.stable(1, { instanceId: 'one' })
    const [back] = harness.join({ instanceId: 'one' })
    assert.notEqual(back!.memberId, former!.memberId)
    assert.equal(back!.generation, former!.generation)
    assert.equal(back!.leader, former!.memberId)
    assert.equal(harness.group.state, 'Stable')
    const claim = { memberId: former!.memberId, generation: 1, instanceId: 'one' }
    assert.equal(harness.group.heartbeat(claim), 'FENCED_INSTANCE_ID')
    const own = { memberId: back!.memberId, generation: 1, instanceId: 'one' }
    assert.equal(harness.group.heartbeat(own), 'NONE')
    assert.equal(harness.sync(back!)[0]!.assignment.toString(), '0')
  })

  test('a static leader that understands it is told not to assign', () => {
    const harness = new Harness()
    harness.stable(1, { instanceId: 'one' })
    const [back] = harness.join({ instanceId: 'one', canSkipAssignment: true })
    assert.equal(back!.skipAssignment, true)
    assert.equal(back!.leader, back!.memberId)
    assert.equal(back!.members.length, 1)
  })

  test('a static member that comes twice fences the one that waits', () => {
    const harness = new Harness()
    const first = harness.join({ instanceId: 'one' })
    const second = harness.join({ instanceId: 'one' })
    assert.equal(first[0]!.error, 'FENCED_INSTANCE_ID')
    harness.clock.advance(DELAY_MS * 2)
    assert.equal(second[0]!.members.length, 1)
  })

  test('an administrator removes a static member by its name', () => {
    const harness = new Harness()
    harness.stable(1, { instanceId: 'one' })
    const errors = harness.group.leave([
      { memberId: '', instanceId: 'two' },
      { memberId: 'other', instanceId: 'one' },
      { memberId: '', instanceId: 'one' },
    ])
    assert.deepEqual(errors, ['UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID', 'NONE'])
    assert.equal(harness.group.state, 'Empty')
  })

  test('a full group takes nobody else, but its members', () => {
    const harness = new Harness({ membersMax: 2 })
    const [first] = harness.stable(2)
    assert.equal(harness.join()[0]!.error, 'GROUP_MAX_SIZE_REACHED')
    assert.deepEqual(harness.join({ memberId: first!.memberId, knows: 'range x' }), [])
  })

  test('what members have us keep is bounded', () => {
    const harness = new Harness({ groupBytesMax: 1000 })
    const protocols = [{ name: 'range', metadata: Buffer.alloc(600) }]
    harness.join({ protocols })
    assert.equal(harness.join({ protocols })[0]!.error, 'GROUP_MAX_SIZE_REACHED')
    assert.equal(harness.world.budget.heldBytes, 605)
  })

  test('an assignment that is too large fails for all, and they join again', () => {
    const harness = new Harness({ groupBytesMax: 1000 })
    const [joined] = [harness.join()]
    harness.clock.advance(DELAY_MS * 2)
    const answers = harness.sync(joined[0]!, { [joined[0]!.memberId]: 'x'.repeat(1000) })
    assert.equal(answers[0]!.error, 'UNKNOWN_SERVER_ERROR')
    assert.equal(harness.group.state, 'PreparingRebalance')
  })

  test('who may commit', () => {
    const harness = new Harness()
    const nobody = { memberId: '', instanceId: null, generation: -1 }
    assert.equal(harness.group.commitFault(nobody, false), 'NONE')
    const first = harness.join()
    harness.clock.advance(DELAY_MS * 2)
    const claim = { memberId: first[0]!.memberId, instanceId: null, generation: 1 }
    assert.equal(harness.group.commitFault(claim, false), 'REBALANCE_IN_PROGRESS')
    assert.equal(harness.group.commitFault(claim, true), 'NONE')
    harness.sync(first[0]!)
    assert.equal(harness.group.commitFault(claim, false), 'NONE')
    assert.equal(harness.group.commitFault(nobody, false), 'UNKNOWN_MEMBER_ID')
    assert.equal(harness.group.commitFault(nobody, true), 'NONE')
    const old = { ...claim, generation: 0 }
    assert.equal(harness.group.commitFault(old, false), 'ILLEGAL_GENERATION')
    const other = { ...claim, memberId: 'other' }
    assert.equal(harness.group.commitFault(other, true), 'UNKNOWN_MEMBER_ID')
  })

  test('a description shows assignments of a stable group only', () => {
    const harness = new Harness()
    const [member] = harness.stable(1)
    const view = harness.group.describe()
    assert.equal(view.protocolName, 'range')
    assert.equal(view.members[0]!.assignment.toString(), '0')
    assert.equal(view.members[0]!.metadata.toString(), 'm-range')
    harness.join({ memberId: member!.memberId, knows: 'range other' })
    assert.equal(harness.group.describe().members[0]!.assignment.toString(), '')
  })

  test('a hundred members are balanced again as soon as the last of them is back', () => {
    const harness = new Harness()
    const members = harness.stable(100)
    harness.join()
    const answers = members.map(({ memberId }) => harness.join({ memberId }))
    const joined = answers.map(([first]) => first!)
    assert.equal(joined[0]!.members.length, 101)
    assert.ok(joined.every(({ generation }) => generation === 2))
  })
})
