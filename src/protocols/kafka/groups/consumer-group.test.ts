import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { FakeCatalog, GroupWorld, refusal } from '../../../../test/support/kafka-groups.ts'
import { ConsumerGroup } from './consumer-group.ts'
import type { ConsumerAnswer } from './consumer-group.ts'
import type { ConsumerHeartbeat } from './consumer-member.ts'
import type { GroupLimits } from './limits.ts'

class Harness {
  readonly world: GroupWorld
  readonly catalog: FakeCatalog
  readonly group: ConsumerGroup

  constructor(topics: Record<string, number>, limits: Partial<GroupLimits> = {}) {
    this.world = new GroupWorld(limits)
    this.catalog = new FakeCatalog(topics)
    this.group = new ConsumerGroup('g', this.catalog, this.world)
  }

  client(memberId: string, options: ClientOptions = {}): FakeClient {
    return new FakeClient(this.group, memberId, options)
  }
}

interface ClientOptions {
  readonly topics?: readonly string[]
  readonly pattern?: string
  readonly instanceId?: string
  readonly assignor?: string
}

/** Does as a consumer does: gives back first, says so, then takes what it is told. */
class FakeClient {
  readonly #group: ConsumerGroup
  readonly #memberId: string
  readonly #options: ClientOptions
  epoch = 0
  owned: Set<string> = new Set()
  wanted: Set<string> = new Set()
  /** It has changed what it owns, and says so in the next heartbeat. */
  #isDirty = false

  constructor(group: ConsumerGroup, memberId: string, options: ClientOptions) {
    this.#group = group
    this.#memberId = memberId
    this.#options = options
  }

  get shown(): string {
    return [...this.owned].toSorted().join(' ')
  }

  beat(changes: Partial<ConsumerHeartbeat> = {}): ConsumerAnswer {
    const isJoin = this.epoch <= 0
    const { topics = ['t'], pattern, instanceId, assignor } = this.#options
    const answer = this.#group.heartbeat({
      memberId: this.#memberId,
      memberEpoch: isJoin ? 0 : this.epoch,
      instanceId: instanceId ?? null,
      rackId: null,
      rebalanceTimeoutMs: isJoin ? 60_000 : -1,
      topicNames: isJoin ? (pattern === undefined ? topics : []) : null,
      pattern: isJoin ? (pattern ?? null) : null,
      assignor: isJoin ? (assignor ?? null) : null,
      owned: isJoin ? [] : this.#isDirty ? this.#report() : null,
      clientId: 'app',
      clientHost: '/127.0.0.1',
      makesOwnId: true,
      ...changes,
    })
    this.#isDirty = false
    this.epoch = answer.memberEpoch
    if (answer.assignment !== null) {
      this.wanted = new Set(
        answer.assignment.flatMap(({ topicId, partitions }) =>
          partitions.map((partition) => `${topicId}/${partition}`),
        ),
      )
    }
    this.settle()
    return answer
  }

  /** Revokes and takes as told. */
  settle(): void {
    const isSame =
      this.wanted.size === this.owned.size && [...this.wanted].every((one) => this.owned.has(one))
    if (isSame) return
    this.owned = new Set(this.wanted)
    this.#isDirty = true
  }

  /** As after a crash or a fencing: it starts anew. */
  reset(): void {
    this.epoch = 0
    this.owned = new Set()
    this.wanted = new Set()
    this.#isDirty = false
  }

  leave(memberEpoch = -1): void {
    this.beat({ memberEpoch, owned: null })
    this.reset()
  }

  #report(): { topicId: string; partitions: number[] }[] {
    const byTopic = new Map<string, number[]>()
    for (const one of this.owned) {
      const [topicId, partition] = one.split('/')
      byTopic.set(topicId!, [...(byTopic.get(topicId!) ?? []), Number(partition)])
    }
    return Array.from(byTopic, ([topicId, partitions]) => ({ topicId, partitions }))
  }
}

suite('consumer group', () => {
  test('one member has all, and a second one waits until half of it is given back', () => {
    const harness = new Harness({ t: 4 })
    const a = harness.client('a')
    const b = harness.client('b')
    a.beat()
    assert.equal(a.shown, 'id-t/0 id-t/1 id-t/2 id-t/3')
    assert.equal(harness.group.state, 'Stable')

    const joined = b.beat()
    assert.deepEqual(joined.assignment, [])
    assert.equal(joined.memberEpoch, 2)
    assert.equal(harness.group.state, 'Reconciling')

    const told = a.beat()
    assert.equal(told.memberEpoch, 1)
    assert.equal(a.owned.size, 2)
    b.beat()
    assert.equal(b.owned.size, 0)
    assert.equal(a.beat().memberEpoch, 2)
    b.beat()
    assert.equal(b.owned.size, 2)
    a.beat()
    b.beat()
    assert.equal(harness.group.state, 'Stable')
    assert.equal(b.beat().assignment, null)
  })

  test('what a member had is given to others when it leaves or is silent', () => {
    const harness = new Harness({ t: 2 })
    const [a, b, c] = ['a', 'b', 'c'].map((id) => harness.client(id)) as [
      FakeClient,
      FakeClient,
      FakeClient,
    ]
    for (let round = 0; round < 3; round++) for (const one of [a, b, c]) one.beat()
    b.leave()
    for (let round = 0; round < 3; round++) for (const one of [a, c]) one.beat()
    assert.equal(a.owned.size + c.owned.size, 2)
    harness.world.clock.advance(30_000)
    a.beat()
    harness.world.clock.advance(15_000)
    a.beat()
    assert.equal(a.owned.size, 2)
    assert.equal(
      refusal(() => c.beat()),
      'UNKNOWN_MEMBER_ID',
    )
    harness.world.clock.advance(45_000)
    assert.equal(harness.group.state, 'Empty')
    assert.equal(harness.world.timers.size, 0)
    assert.equal(harness.world.budget.heldBytes, 0)
    assert.equal(harness.world.memberCount, 0)
  })

  test('a member that does not give back in its time is fenced', () => {
    const harness = new Harness({ t: 2 })
    const a = harness.client('a')
    const b = harness.client('b')
    a.beat()
    b.beat()
    a.beat()
    for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 10_000) {
      a.beat({ owned: null })
      b.beat()
      harness.world.clock.advance(10_000)
    }
    assert.equal(
      refusal(() => a.beat()),
      'UNKNOWN_MEMBER_ID',
    )
    b.beat()
    assert.equal(b.owned.size, 2)
  })

  test('new partitions, new topics and lost topics are seen at the next heartbeat', () => {
    const harness = new Harness({ t: 1 })
    const a = harness.client('a', { topics: ['t', 'u'] })
    a.beat()
    harness.catalog.set('t', 2)
    a.beat()
    assert.equal(a.shown, 'id-t/0 id-t/1')
    harness.catalog.set('u', 1)
    a.beat()
    assert.equal(a.shown, 'id-t/0 id-t/1 id-u/0')
    const epoch = harness.group.epoch
    harness.catalog.set('other', 1)
    a.beat()
    assert.equal(harness.group.epoch, epoch)
    harness.catalog.delete('t')
    a.beat()
    assert.equal(a.shown, 'id-u/0')
  })

  test('a pattern follows the topics, in time proportional to their names', () => {
    const harness = new Harness({ 'log-1': 1, other: 1 })
    const a = harness.client('a', { pattern: 'log-.*' })
    a.beat()
    assert.equal(a.shown, 'id-log-1/0')
    harness.catalog.set('log-2', 1)
    harness.catalog.set('xlog-3', 1)
    a.beat()
    assert.equal(a.shown, 'id-log-1/0 id-log-2/0')
    const nasty = harness.client('b', { pattern: '(a+)+$' })
    harness.catalog.set('a'.repeat(240), 1)
    nasty.beat()
    assert.equal(
      refusal(() => harness.client('c', { pattern: '(' }).beat()),
      'INVALID_REGULAR_EXPRESSION',
    )
    assert.equal(harness.group.memberCount, 2)
  })

  test('epochs that do not fit are fenced, a lost answer is forgiven', () => {
    const harness = new Harness({ t: 2 })
    const a = harness.client('a')
    a.beat()
    harness.client('b').beat()
    a.beat()
    a.beat()
    assert.equal(a.epoch, 2)
    const lost = [{ topicId: 'id-t', partitions: [0] }]
    assert.equal(
      refusal(() => a.beat({ memberEpoch: 1, owned: lost })),
      'NONE',
    )
    assert.equal(
      refusal(() => a.beat({ memberEpoch: 1, owned: null })),
      'FENCED_MEMBER_EPOCH',
    )
    const more = [{ topicId: 'id-t', partitions: [0, 1] }]
    assert.equal(
      refusal(() => a.beat({ memberEpoch: 1, owned: more })),
      'FENCED_MEMBER_EPOCH',
    )
    assert.equal(
      refusal(() => a.beat({ memberEpoch: 9 })),
      'FENCED_MEMBER_EPOCH',
    )
    a.reset()
    assert.equal(a.beat().memberEpoch, 2)
    assert.equal(a.owned.size, 1)
  })

  test('a static member that leaves for a while finds what it had', () => {
    const harness = new Harness({ t: 2 })
    const first = harness.client('m1', { instanceId: 'one' })
    const other = harness.client('m2', { instanceId: 'two' })
    for (let round = 0; round < 3; round++) for (const one of [first, other]) one.beat()
    const had = first.shown
    const usurper = harness.client('m3', { instanceId: 'one' })
    assert.equal(
      refusal(() => usurper.beat()),
      'UNRELEASED_INSTANCE_ID',
    )
    first.leave(-2)
    const { epoch } = harness.group
    usurper.beat()
    assert.equal(usurper.shown, had)
    assert.equal(harness.group.epoch, epoch)
    assert.equal(
      refusal(() => first.beat({ memberEpoch: epoch })),
      'FENCED_INSTANCE_ID',
    )
    assert.equal(harness.group.memberCount, 2)
  })

  test('requests that make no sense are refused with the reason', () => {
    const harness = new Harness({ t: 1 })
    const a = harness.client('a')
    const invalid: Partial<ConsumerHeartbeat>[] = [
      { memberId: '' },
      { instanceId: '' },
      { rackId: '' },
      { rebalanceTimeoutMs: -1 },
      { owned: null },
      { owned: [{ topicId: 'id-t', partitions: [0] }] },
      { topicNames: null },
      { memberEpoch: -3 },
      { memberEpoch: -2 },
    ]
    for (const changes of invalid) {
      assert.equal(
        refusal(() => a.beat(changes)),
        'INVALID_REQUEST',
        JSON.stringify(changes),
      )
    }
    assert.equal(
      refusal(() => a.beat({ assignor: 'sticky' })),
      'UNSUPPORTED_ASSIGNOR',
    )
    assert.equal(
      refusal(() => a.beat({ memberEpoch: 3 })),
      'UNKNOWN_MEMBER_ID',
    )
    assert.equal(harness.group.memberCount, 0)
    assert.equal(a.beat({ memberId: '', makesOwnId: false }).memberId.length, 36)
  })

  test('a full group takes nobody else, but its members', () => {
    const harness = new Harness({ t: 1 }, { membersMax: 1 })
    const a = harness.client('a')
    a.beat()
    assert.equal(
      refusal(() => harness.client('b').beat()),
      'GROUP_MAX_SIZE_REACHED',
    )
    a.beat()
  })

  test('who may commit and fetch', () => {
    const harness = new Harness({ t: 2 })
    const claim = (memberId: string, generation: number) => ({
      memberId,
      generation,
      instanceId: null,
    })
    const mine = [{ topicId: 'id-t', partitions: [0] }]
    const commit = { isTransactional: false, isVersionOld: false, partitions: mine }
    assert.equal(harness.group.commitFault(claim('', -1), commit), 'NONE')
    const a = harness.client('a')
    a.beat()
    assert.equal(harness.group.commitFault(claim('', -1), commit), 'UNKNOWN_MEMBER_ID')
    const transactional = { ...commit, isTransactional: true }
    assert.equal(harness.group.commitFault(claim('', -1), transactional), 'NONE')
    assert.equal(harness.group.commitFault(claim('a', 1), commit), 'NONE')
    const old = { ...commit, isVersionOld: true }
    assert.equal(harness.group.commitFault(claim('a', 1), old), 'UNSUPPORTED_VERSION')
    assert.equal(harness.group.commitFault(claim('a', 2), commit), 'STALE_MEMBER_EPOCH')
    harness.client('b').beat()
    a.beat()
    a.beat()
    assert.equal(harness.group.commitFault(claim('a', 1), commit), 'NONE')
    const other = { ...commit, partitions: [{ topicId: 'id-t', partitions: [1] }] }
    assert.equal(harness.group.commitFault(claim('a', 1), other), 'STALE_MEMBER_EPOCH')
    assert.equal(harness.group.fetchFault('a', 1), 'STALE_MEMBER_EPOCH')
    assert.equal(harness.group.fetchFault('a', 2), 'NONE')
    assert.equal(harness.group.fetchFault('x', 2), 'UNKNOWN_MEMBER_ID')
    assert.equal(harness.group.fetchFault(null, -1), 'NONE')
  })

  test('no partition ever has two readers, and in the end all are read evenly', () => {
    // Clients come, leave, crash, are slow to give back; topics grow.
    const step = fc.record({
      client: fc.nat(4),
      action: fc.constantFrom('beat', 'beat', 'beat', 'leave', 'crash', 'grow', 'wait'),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const harness = new Harness({ t: 3, u: 2 })
        const clients = Array.from({ length: 5 }, (_, index) =>
          harness.client(`m${index}`, { topics: ['t', 'u'] }),
        )
        const act = (index: number, action: string): void => {
          const client = clients[index]!
          if (action === 'grow')
            harness.catalog.set('t', harness.catalog.get('t')!.partitionCount + 1)
          else if (action === 'wait') harness.world.clock.advance(20_000)
          else if (action === 'crash') client.reset()
          else if (refusal(() => (action === 'beat' ? client.beat() : leave(client))) !== 'NONE') {
            client.reset()
          }
        }
        const checkReaders = (): void => {
          // Members that the group has dropped do not count: they are fenced when they ask.
          const live = new Set(harness.group.describe().members.map(({ memberId }) => memberId))
          const readers = new Set<string>()
          clients.forEach(({ owned }, index) => {
            if (!live.has(`m${index}`)) return
            for (const one of owned) {
              assert.ok(!readers.has(one), `${one} has two readers`)
              readers.add(one)
            }
          })
        }
        for (const { client, action } of steps) {
          act(client, action)
          checkReaders()
        }
        for (let round = 0; round < 6; round++) {
          clients.forEach((_, index) => {
            act(index, 'beat')
            checkReaders()
          })
        }
        const sizes = clients.map(({ owned }) => owned.size)
        const total = harness.catalog.get('t')!.partitionCount + 2
        assert.equal(
          sizes.reduce((sum, size) => sum + size),
          total,
        )
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
        assert.equal(harness.group.state, 'Stable')
      }),
    )
  })

  test('a hundred members share a thousand topics', () => {
    const topics = Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`topic-${index}`, 4]),
    )
    const harness = new Harness(topics)
    const names = Object.keys(topics)
    const clients = Array.from({ length: 100 }, (_, index) =>
      harness.client(`m${index}`, { topics: names }),
    )
    for (let round = 0; round < 4; round++) for (const client of clients) client.beat()
    assert.equal(harness.group.state, 'Stable')
    assert.ok(clients.every(({ owned }) => owned.size === 40))
    assert.equal(clients[0]!.beat().heartbeatIntervalMs, 1000)
  })
})

function leave(client: FakeClient): void {
  if (client.epoch > 0) client.leave()
}
