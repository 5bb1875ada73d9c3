import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { turns } from '../../../test/support/broker-rig.ts'
import { StateWorld } from '../../../test/support/state-world.ts'
import { SeededRandom } from '../../lib/random.ts'
import type {
  LeasedRange,
  ReadStretch,
  SettledRange,
  SharedPartition,
  SharedSettlement,
} from './shared-partition.ts'
import { SharedSubscriptions } from './shared-subscriptions.ts'

const PLACE = { topicId: 7, partition: 3 }
const LEASE_MS = 1000

interface Rig {
  readonly world: StateWorld
  readonly shared: SharedSubscriptions
  readonly partition: SharedPartition
}

async function openRig(
  world: StateWorld,
  options = { attemptsMax: 3, inFlightMax: 20 },
): Promise<Rig> {
  const shared = new SharedSubscriptions(1, world)
  shared.restore((topicId) => topicId === PLACE.topicId)
  const partition = shared.openPartition('g', PLACE, 10)
  shared.find('g')!.options = { leaseMs: LEASE_MS, ...options }
  return { world, shared, partition }
}

async function reopen(
  { world, shared }: Rig,
  options?: Parameters<typeof openRig>[1],
): Promise<Rig> {
  const given = options ?? shared.find('g')!.options
  await turns(5)
  await world.close()
  return openRig(await StateWorld.open(world), given)
}

function stretch(baseOffset: number, nextOffset: number, isSkipped = false): ReadStretch {
  return { baseOffset, nextOffset, isSkipped }
}

/** `base-next×attempts` of each. */
function texts(leased: readonly LeasedRange[]): string[] {
  return leased.map((range) => `${range.baseOffset}-${range.nextOffset}×${range.attempts}`)
}

function settled(
  baseOffset: number,
  nextOffset: number,
  settlement: SharedSettlement = 'accept',
): SettledRange[] {
  return [{ baseOffset, nextOffset, settlement }]
}

test('members get different messages, and what they settle is done', async () => {
  const { partition } = await openRig(await StateWorld.open())
  assert.equal(partition.nextOffset, 10)
  const stretches = [stretch(8, 13), stretch(13, 16), stretch(16, 18)]
  assert.deepEqual(texts(partition.acquire('a', stretches, { countMax: 4 })), [
    '10-13×1',
    '13-16×1',
  ])
  assert.deepEqual(texts(partition.acquire('b', stretches, { countMax: 4 })), ['16-18×1'])
  assert.deepEqual(partition.acquire('c', stretches, { countMax: 4 }), [])
  assert.equal(partition.settle('b', settled(10, 11)), false, 'a has it')
  assert.equal(partition.settle('a', [...settled(12, 14), ...settled(13, 15)]), false, 'twice')
  assert.equal(partition.settle('a', settled(12, 14)), true)
  assert.deepEqual([partition.startOffset, partition.settledCount], [10, 2])
  assert.equal(partition.settle('a', settled(12, 13)), false, 'it is done')
  assert.equal(partition.settle('a', [...settled(10, 12), ...settled(14, 16, 'reject')]), true)
  assert.deepEqual([partition.startOffset, partition.settledCount], [16, 0])
  assert.equal(partition.settle('a', settled(10, 12)), true, 'what is behind all is settled')
  assert.equal(partition.settle('b', settled(16, 19)), false, 'nobody got 18')
  assert.equal(partition.settle('b', settled(16, 18)), true)
  assert.deepEqual([partition.startOffset, partition.nextOffset], [18, 18])
})

test('what is released or kept too long is given out again, three times in all', async () => {
  const { partition, world } = await openRig(await StateWorld.open())
  const all = [stretch(10, 12)]
  let changes = 0
  partition.watch({ sharedPartitionChanged: () => changes++ })
  partition.acquire('a', all, { countMax: 9 })
  partition.settle('a', settled(11, 12, 'release'))
  assert.equal(changes, 1)
  assert.deepEqual(texts(partition.acquire('b', all, { countMax: 9 })), ['11-12×2'])
  world.clock.advance(LEASE_MS)
  assert.equal(changes, 2)
  assert.deepEqual(texts(partition.acquire('c', all, { countMax: 9 })), ['10-11×2', '11-12×3'])
  partition.releaseMember('c')
  assert.deepEqual(texts(partition.acquire('d', all, { countMax: 9 })), ['10-11×2', '11-12×3'])
  world.clock.advance(LEASE_MS - 1)
  assert.equal(partition.settle('d', settled(10, 11, 'renew')), true)
  world.clock.advance(1)
  // 11 was tried three times, which is enough; d has 10 still.
  assert.equal(partition.settledCount, 1)
  assert.deepEqual(partition.acquire('e', all, { countMax: 9 }), [])
  assert.equal(partition.settle('d', settled(10, 11, 'release')), true)
  assert.deepEqual(texts(partition.acquire('e', all, { countMax: 9 })), ['10-11×3'])
  world.clock.advance(LEASE_MS)
  assert.deepEqual([partition.startOffset, partition.nextOffset], [12, 12])
})

test('no more is given out than may be in flight, or than was asked for exactly', async () => {
  const { partition } = await openRig(await StateWorld.open())
  const all = [stretch(10, 100)]
  const exact = partition.acquire('a', all, { countMax: 5, isExact: true })
  assert.deepEqual(texts(exact), ['10-15×1'])
  assert.deepEqual(texts(partition.acquire('a', all, { countMax: 5 })), ['15-30×1'])
  assert.equal(partition.nextOffset, -1)
  assert.deepEqual(partition.acquire('a', all, { countMax: 5 }), [])
  partition.settle('a', settled(12, 30))
  assert.equal(partition.nextOffset, -1, '10 and 11 hold it up')
  partition.settle('a', settled(10, 11, 'release'))
  assert.equal(partition.nextOffset, 10)
  partition.settle('a', settled(11, 12))
  assert.deepEqual(texts(partition.acquire('b', all, { countMax: 5 })), ['10-11×2'])
})

test('what is not for readers is passed over, as what is not stored any more', async () => {
  const { partition } = await openRig(await StateWorld.open())
  const stretches = [stretch(10, 12, true), stretch(14, 16), stretch(16, 17, true)]
  assert.deepEqual(texts(partition.acquire('a', stretches, { countMax: 9 })), ['14-16×1'])
  assert.deepEqual([partition.startOffset, partition.endOffset], [14, 17])
  partition.settle('a', settled(14, 15, 'skip'))
  partition.trim(16)
  assert.deepEqual([partition.startOffset, partition.nextOffset], [17, 17])
  partition.trim(30)
  assert.deepEqual([partition.startOffset, partition.nextOffset], [30, 30])
  partition.reset(12)
  assert.deepEqual([partition.startOffset, partition.nextOffset], [12, 12])
})

test('a restart knows what was settled and how often the rest was tried', async () => {
  const first = await openRig(await StateWorld.open())
  const all = [stretch(10, 16)]
  first.partition.acquire('a', all, { countMax: 9 })
  first.partition.settle('a', [
    ...settled(10, 11),
    ...settled(12, 13, 'release'),
    ...settled(14, 15, 'reject'),
  ])
  const second = await reopen(first)
  assert.deepEqual([second.partition.startOffset, second.partition.settledCount], [11, 1])
  const leased = second.partition.acquire('b', all, { countMax: 9 })
  assert.deepEqual(texts(leased), ['11-14×2', '15-16×2'])
  assert.equal(second.shared.delete('g'), true)
  const third = await reopen(second, { attemptsMax: 3, inFlightMax: 20 })
  assert.equal(third.partition.startOffset, 10)
  third.shared.topicDeleted(PLACE.topicId)
  assert.deepEqual([...third.shared.list()], [])
})

test('subscriptions are there while they have members or partitions, within limits', async () => {
  const world = await StateWorld.open({ limits: { sharedPartitionCountMax: 1 } })
  const { shared } = await openRig(world)
  shared.setMembers('h', 2)
  assert.deepEqual(
    Array.from(shared.list(), ({ name, count, memberCount }) => [name, count, memberCount]),
    [
      ['g', 1, 0],
      ['h', 0, 2],
    ],
  )
  shared.setMembers('h', 0)
  assert.equal(shared.find('h'), undefined)
  assert.throws(() => shared.openPartition('h', PLACE, 0), { code: 'LIMIT_EXCEEDED' })
  assert.equal(shared.find('h'), undefined)
  assert.equal(shared.deletePartitions('g', [PLACE, PLACE]), 1)
  shared.openPartition('h', PLACE, 0)
})

// --- a model ---

interface ModelMessage {
  state: 'available' | 'leased' | 'settled'
  owner: string
  attempts: number
  deadlineMs: number
}

/** One object for each offset, from 0 on. */
class Model {
  readonly messages: ModelMessage[] = []
  readonly attemptsMax: number
  readonly inFlightMax: number

  constructor(options: { readonly attemptsMax: number; readonly inFlightMax: number }) {
    this.attemptsMax = options.attemptsMax
    this.inFlightMax = options.inFlightMax
  }

  get start(): number {
    const first = this.messages.findIndex(({ state }) => state !== 'settled')
    return first < 0 ? this.messages.length : first
  }

  acquire(owner: string, from: number, to: number, given: { count: number; at: number }): string[] {
    const limit = Math.min(to, this.start + this.inFlightMax)
    while (this.messages.length < limit) {
      this.messages.push({ state: 'available', owner: '', attempts: 0, deadlineMs: 0 })
    }
    const got: string[] = []
    for (let offset = from; offset < to && got.length < given.count; offset++) {
      const message = this.messages[offset]
      if (message?.state !== 'available') continue
      message.attempts++
      got.push(`${offset}×${message.attempts}`)
      Object.assign(message, { state: 'leased', owner, deadlineMs: given.at + LEASE_MS })
    }
    return got
  }

  settle(owner: string, ranges: readonly SettledRange[], at: number): boolean {
    const { start } = this
    const each = ranges.flatMap(({ baseOffset, nextOffset, settlement }) => {
      return Array.from({ length: nextOffset - baseOffset }, (_, index) => {
        return { offset: baseOffset + index, settlement }
      })
    })
    for (const { offset } of each) {
      const message = this.messages[offset]
      if (message === undefined) return false
      if (offset >= start && (message.state !== 'leased' || message.owner !== owner)) return false
    }
    for (const { offset, settlement } of each) {
      const message = this.messages[offset]!
      if (offset < start) continue
      if (settlement === 'renew') message.deadlineMs = at + LEASE_MS
      else if (settlement === 'release') this.#giveBack(message)
      else message.state = 'settled'
    }
    return true
  }

  release(owner: string): void {
    for (const message of this.messages) {
      if (message.state !== 'leased' || message.owner !== owner) continue
      message.state = 'available'
      message.attempts--
    }
  }

  expire(at: number): void {
    for (const message of this.messages) {
      if (message.state === 'leased' && message.deadlineMs <= at) this.#giveBack(message)
    }
  }

  /** What a restart finds: leases are over, and count as they did. */
  restart(): void {
    for (const message of this.messages) if (message.state === 'leased') message.state = 'available'
  }

  #giveBack(message: ModelMessage): void {
    message.state = message.attempts >= this.attemptsMax ? 'settled' : 'available'
  }
}

type Step =
  | { readonly kind: 'acquire'; readonly member: number; readonly count: number }
  | {
      readonly kind: 'settle'
      readonly member: number
      readonly runs: readonly (readonly [number, number, SharedSettlement])[]
    }
  | { readonly kind: 'release'; readonly member: number }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'restart' }

const member = fc.nat(2)
const stepOf: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('acquire' as const),
      member,
      count: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      member,
      // Gap before it, length, settlement.
      runs: fc.array(
        fc.tuple(
          fc.nat(3),
          fc.integer({ min: 1, max: 4 }),
          fc.constantFrom<SharedSettlement>('accept', 'reject', 'skip', 'release', 'renew'),
        ),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), member }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.integer({ min: 1, max: LEASE_MS }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

function each(leased: readonly LeasedRange[]): string[] {
  return leased.flatMap(({ baseOffset, nextOffset, attempts }) => {
    return Array.from({ length: nextOffset - baseOffset }, (_, index) => {
      return `${baseOffset + index}×${attempts}`
    })
  })
}

/** Ranges from where the model begins, or a little before, on. */
function rangesOf(
  start: number,
  runs: Extract<Step, { readonly kind: 'settle' }>['runs'],
): SettledRange[] {
  let at = Math.max(0, start - 1)
  return runs.map(([gap, length, settlement]) => {
    const baseOffset = at + gap
    at = baseOffset + length
    return { baseOffset, nextOffset: at, settlement }
  })
}

test('a shared partition does what one object for each message would do', async () => {
  // The world may do anything in any order: members take, settle what is theirs or is not, leave
  // or fall silent, and the broker is started again between any two steps.
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepOf, { minLength: 20, maxLength: 80 }),
      fc.nat(),
      async (steps, seed) => {
        const random = new SeededRandom(seed)
        const options = { attemptsMax: 3, inFlightMax: 12 }
        const model = new Model(options)
        let rig = await openRig(await StateWorld.open(), options)
        rig.partition.reset(0)
        for (const step of steps) {
          const { partition, world } = rig
          if (step.kind === 'acquire') {
            const from = partition.nextOffset
            if (from < 0) continue
            const to = from + random.integer(10) + 1
            const given = { countMax: step.count, isExact: true }
            const got = partition.acquire(`m${step.member}`, [stretch(from, to)], given)
            const at = { count: step.count, at: world.now() }
            assert.deepEqual(each(got), model.acquire(`m${step.member}`, from, to, at))
          } else if (step.kind === 'settle') {
            const ranges = rangesOf(model.start, step.runs)
            const isDone = partition.settle(`m${step.member}`, ranges)
            assert.equal(isDone, model.settle(`m${step.member}`, ranges, world.now()))
          } else if (step.kind === 'release') {
            partition.releaseMember(`m${step.member}`)
            model.release(`m${step.member}`)
          } else if (step.kind === 'pass') {
            world.clock.advance(step.ms)
            model.expire(world.now())
          } else {
            // What was given out since the last change is not stored; so that the model need not
            // know, there is one.
            partition.store()
            rig = await reopen(rig)
            model.restart()
          }
          assert.equal(rig.partition.startOffset, model.start)
          const next = model.messages.findIndex(({ state }) => state === 'available')
          const isFull = model.messages.length - model.start >= options.inFlightMax
          const end = isFull ? -1 : model.messages.length
          assert.equal(rig.partition.nextOffset, next < 0 ? end : next)
        }
        await rig.world.close()
      },
    ),
    { numRuns: 100 },
  )
})
