import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { GroupWorld } from '../../../../test/support/kafka-groups.ts'
import { ClassicGroup } from './classic-group.ts'
import type { JoinResult, SyncResult } from './classic-member.ts'

const SESSION_MS = 10_000
const REBALANCE_MS = 30_000
const CLIENT_COUNT = 5
/** Enter, join; be told, join; sync; and once more for good measure. */
const ROUNDS_TO_SETTLE = 6

/** Questions to the group, each of which must be answered once. */
class Answers {
  readonly waiting = { join: 0, sync: 0 }

  take<T>(kind: 'join' | 'sync', use: (answer: T) => void): (answer: T) => void {
    this.waiting[kind] += 1
    let isGiven = false
    return (answer) => {
      assert.ok(!isGiven, 'answered twice')
      isGiven = true
      this.waiting[kind] -= 1
      use(answer)
    }
  }

  /** Nobody waits for what cannot come. */
  check({ state }: ClassicGroup): void {
    const { join, sync } = this.waiting
    if (state !== 'CompletingRebalance') assert.equal(sync, 0, `a sync waits in ${state}`)
    if (state !== 'PreparingRebalance') assert.equal(join, 0, `a join waits in ${state}`)
  }
}

/** Does as a consumer does: joins, syncs, sends heartbeats, joins again when it is told. */
class Client {
  readonly #group: ClassicGroup
  readonly #answers: Answers
  readonly #instanceId: string | null
  /** Answers to a former life go nowhere. */
  #life = 0
  #isAsking = false
  memberId = ''
  generation = -1
  state: 'out' | 'joined' | 'stable' = 'out'
  assignment = ''
  /** What it gives out as a leader: each member a text that nobody else has. */
  #plan: { readonly memberId: string; readonly assignment: Buffer }[] = []

  constructor(group: ClassicGroup, answers: Answers, instanceId: string | null) {
    this.#group = group
    this.#answers = answers
    this.#instanceId = instanceId
  }

  /** The next thing it would do by itself. */
  step(): void {
    if (this.#isAsking) return
    if (this.state === 'out') this.#join()
    else if (this.state === 'joined') this.#sync()
    else this.#beat()
  }

  /** It ends without a word, and begins anew. */
  crash(): void {
    this.#life += 1
    this.#isAsking = false
    this.#forget()
  }

  leave(): void {
    if (this.memberId === '' || this.#isAsking) return
    this.#group.leave([{ memberId: this.memberId, instanceId: this.#instanceId }])
    this.crash()
  }

  #forget(): void {
    this.memberId = ''
    this.generation = -1
    this.state = 'out'
    this.assignment = ''
  }

  #join(): void {
    this.#isAsking = true
    this.#group.join(
      {
        memberId: this.memberId,
        instanceId: this.#instanceId,
        clientId: 'c',
        clientHost: 'h',
        sessionTimeoutMs: SESSION_MS,
        rebalanceTimeoutMs: REBALANCE_MS,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: Buffer.from('m') }],
        isIdRequired: true,
        canSkipAssignment: true,
      },
      this.#answered<JoinResult>('join', (result) => this.#joined(result)),
    )
  }

  #joined(result: JoinResult): void {
    if (result.error === 'MEMBER_ID_REQUIRED') this.memberId = result.memberId
    if (result.error === 'UNKNOWN_MEMBER_ID' || result.error === 'FENCED_INSTANCE_ID')
      this.#forget()
    if (result.error !== 'NONE') return
    this.memberId = result.memberId
    this.generation = result.generation
    this.state = 'joined'
    const members = result.skipAssignment ? [] : result.members
    this.#plan = members.map(({ memberId }) => ({
      memberId,
      assignment: Buffer.from(`${result.generation} ${memberId}`),
    }))
  }

  #sync(): void {
    this.#isAsking = true
    this.#group.sync(
      {
        memberId: this.memberId,
        instanceId: this.#instanceId,
        generation: this.generation,
        protocolType: 'consumer',
        protocolName: 'range',
        assignments: this.#plan,
      },
      this.#answered<SyncResult>('sync', (answer) => this.#synced(answer)),
    )
  }

  #synced({ error, assignment }: SyncResult): void {
    if (error === 'NONE') {
      this.state = 'stable'
      this.assignment = assignment.toString()
    } else if (error === 'REBALANCE_IN_PROGRESS') this.state = 'out'
    else this.#forget()
  }

  #beat(): void {
    const { memberId, generation } = this
    const error = this.#group.heartbeat({ memberId, generation, instanceId: this.#instanceId })
    if (error === 'REBALANCE_IN_PROGRESS' || error === 'ILLEGAL_GENERATION') this.state = 'out'
    else if (error !== 'NONE') this.#forget()
  }

  #answered<T>(kind: 'join' | 'sync', use: (answer: T) => void): (answer: T) => void {
    const life = this.#life
    return this.#answers.take<T>(kind, (answer) => {
      if (life !== this.#life) return
      this.#isAsking = false
      use(answer)
    })
  }
}

suite('the life of a classic group', () => {
  test('whatever clients do, all are answered, find together, and leave nothing behind', () => {
    // Clients come, go, crash and are slow; two of them bear static names.
    const step = fc.record({
      client: fc.nat(CLIENT_COUNT - 1),
      action: fc.constantFrom('step', 'step', 'step', 'leave', 'crash', 'wait', 'wait'),
      waitMs: fc.constantFrom(50, 200, 3_000, 9_000, 31_000),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new GroupWorld()
        const group = new ClassicGroup('g', world)
        const answers = new Answers()
        const clients = Array.from({ length: CLIENT_COUNT }, (_, index) => {
          return new Client(group, answers, index < 2 ? `static-${index}` : null)
        })
        let generation = 0
        for (const { client, action, waitMs } of steps) {
          if (action === 'wait') world.clock.advance(waitMs)
          else clients[client]![action]()
          answers.check(group)
          assert.ok(group.generation >= generation)
          generation = group.generation
        }
        // From here on all behave, and those that are gone are missed in time.
        for (let ms = 0; ms < 2 * REBALANCE_MS; ms += 1_000) {
          for (const client of clients) client.step()
          world.clock.advance(1_000)
        }
        checkTogether(group, clients)
        // One more is taken in as fast as the others ask.
        clients.push(new Client(group, answers, null))
        for (let round = 0; round < ROUNDS_TO_SETTLE; round++) {
          for (const client of clients) client.step()
          world.clock.advance(100)
        }
        checkTogether(group, clients)
        answers.check(group)
        // And then they are all gone.
        for (const client of clients) client.crash()
        world.clock.advance(4 * REBALANCE_MS)
        assert.equal(group.state, 'Empty')
        answers.check(group)
        assert.deepEqual([world.timers.size, world.budget.heldBytes, world.memberCount], [0, 0, 0])
      }),
      { numRuns: 200 },
    )
  })
})

function checkTogether(group: ClassicGroup, clients: readonly Client[]): void {
  assert.equal(group.state, 'Stable')
  assert.equal(group.memberCount, clients.length)
  assert.equal(new Set(clients.map(({ assignment }) => assignment)).size, clients.length)
  assert.ok(clients.every(({ generation }) => generation === group.generation))
}
