import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type BrokerRig, openBroker, reopenBroker, turns } from '../../test/support/broker-rig.ts'
import { StateWorld } from '../../test/support/state-world.ts'
import type { Log } from '../engine/contract.ts'
import { openEmbeddedEngine } from '../engine/embedded/index.ts'
import { ManualClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import { FaultyDisk } from '../storage/disk-faulty.ts'
import type { Stager } from './commit-cycle.ts'
import { readLog } from './log-reader.ts'
import type { StateTable } from './state-table.ts'

const KIB = 1024
/** So small that rewriting takes several turns and files of the log go and come. */
const LIMITS = {
  entryBytes: 512,
  snapshotPieceBytes: 300,
  stateDeadBytesMin: 700,
  stateValueBytesMax: 200,
}
const ENGINE_LIMITS = { segmentBytes: 2 * KIB, journalBytesMax: 4 * KIB }

function all(state: StateTable): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [key, value] of state.entries('')) found[key] = value.toString()
  return found
}

test('a value is there at once, and after a restart', async () => {
  const first = await openBroker()
  const { state } = first.broker
  const given = Buffer.from('1')
  state.set('a/b', given)
  given[0] = 0x39
  state.set('a/ö', Buffer.from('2'))
  state.set('gone', Buffer.from('3'))
  state.set('empty', Buffer.alloc(0))
  assert.equal(state.delete('gone'), true)
  assert.equal(state.delete('gone'), false)
  assert.equal(state.get('a/b')?.toString(), '1')
  assert.equal(state.get('gone'), undefined)
  const second = await reopenBroker(first)
  assert.deepEqual(all(second.broker.state), { 'a/b': '1', 'a/ö': '2', empty: '' })
  assert.equal(second.broker.state.bytes, state.bytes)
  assert.deepEqual(
    Array.from(second.broker.state.entries('a/'), ([key]) => key),
    ['a/b', 'a/ö'],
  )
})

test('what is too long is refused and changes nothing', async () => {
  const { broker } = await openBroker({ limits: { stateValueBytesMax: 3 } })
  const { state } = broker
  state.set('a', Buffer.from('123'))
  assert.throws(() => state.set('a', Buffer.from('1234')), { code: 'LIMIT_EXCEEDED' })
  assert.throws(() => state.set('ö'.repeat(32_768), Buffer.from('1')), { code: 'LIMIT_EXCEEDED' })
  assert.deepEqual(all(state), { a: '123' })
})

test('values that are replaced again and again take no more space than they need', async () => {
  const clock = new ManualClock()
  const engine = await openEmbeddedEngine({
    memory: true,
    clock,
    segmentBytes: 256 * KIB,
    journalBytesMax: 512 * KIB,
  })
  const rig = await openBroker({ engine, clock, limits: { stateDeadBytesMin: 128 * KIB } })
  const { state } = rig.broker
  state.set('still', Buffer.from('here'))
  let mostBytes = 0
  for (let round = 0; round < 400; round++) {
    for (let n = 0; n < 50; n++) state.set(`k.${n}`, Buffer.alloc(1000, String(round)))
    await turns(3)
    mostBytes = Math.max(mostBytes, state.storedBytes)
  }
  // 20 MB were written, of which 50 kB live.
  assert.ok(mostBytes < 2 * 1024 * KIB, `${mostBytes} bytes stored`)
  const again = await reopenBroker(rig)
  assert.equal(again.broker.state.count, 51)
  assert.equal(again.broker.state.get('still')?.toString(), 'here')
  assert.equal(again.broker.state.get('k.7')?.toString(), '399'.repeat(334).slice(0, 1000))
})

test('an idle table ends what it began without being touched again', async () => {
  const { broker }: BrokerRig = await openBroker({
    limits: { stateDeadBytesMin: 1000, snapshotPieceBytes: 1000 },
  })
  for (let n = 0; n < 50; n++) broker.state.set(`k.${n}`, Buffer.alloc(100))
  for (let n = 0; n < 50; n++) broker.state.set(`k.${n}`, Buffer.alloc(100))
  broker.state.set('k.0', Buffer.alloc(100))
  await turns(100)
  const ticket = broker.ticket
  await turns(100)
  assert.equal(broker.ticket, ticket, 'no commit follows')
})

// --- a model that crashes ---

/** A log of others, to which each turn appends what it did. */
class Diary implements Stager {
  staged = false
  readonly log: Log
  text: string | null = null

  constructor(log: Log) {
    this.log = log
  }

  stage(): void {
    if (this.text !== null) this.log.append(Buffer.from(this.text), 1)
    this.text = null
  }
}

/** A state table beside which a diary is kept. */
interface World extends StateWorld {
  readonly diary: Diary
}

async function openWorld(disk: FaultyDisk): Promise<World> {
  const world = await StateWorld.open({ disk, limits: LIMITS, engineLimits: ENGINE_LIMITS })
  const { engine, epoch } = world
  return Object.assign(world, { diary: new Diary(await engine.openLog('diary', { epoch })) })
}

type Step =
  | { readonly kind: 'change'; readonly sets: readonly (readonly [number, number])[] }
  | { readonly kind: 'kill' | 'power-cut' }

const stepOf: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      // Size -1 deletes.
      sets: fc.array(fc.tuple(fc.nat(12), fc.integer({ min: -1, max: 190 })), {
        minLength: 1,
        maxLength: 8,
      }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('kill' as const, 'power-cut' as const) }),
  },
)

/** What a table must hold after each turn, and which turn was answered last. */
interface Model {
  readonly states: Record<string, string>[]
  answered: number
}

function change(
  world: World,
  model: Model,
  step: Extract<Step, { readonly kind: 'change' }>,
): void {
  const number = model.states.length
  const next = { ...model.states.at(-1)! }
  for (const [key, size] of step.sets) {
    if (size < 0) {
      world.state.delete(`k${key}`)
      delete next[`k${key}`]
      continue
    }
    const value = `${number}.`.padEnd(size, 'v')
    world.state.set(`k${key}`, Buffer.from(value))
    next[`k${key}`] = value
  }
  model.states.push(next)
  world.diary.text = String(number)
  world.cycle.touch(world.diary)
  world.cycle.requireSync()
  world.cycle.onCommit({
    committed: (_ticket, error) => {
      if (error === null) model.answered = Math.max(model.answered, number)
    },
  })
}

/** The table stands where the other log says, at or behind what was answered; nothing between. */
async function check(world: World, model: Model): Promise<void> {
  let last = 0
  for await (const { data } of readLog(world.diary.log, 0)) last = Number(data.toString())
  assert.ok(last >= model.answered, `turn ${model.answered} was answered, ${last} is stored`)
  assert.deepEqual(all(world.state), model.states[last]!)
  model.states.length = last + 1
  model.answered = last
}

test('the table is what a map is, with other logs, over kills and power cuts', async () => {
  // The world may kill the process and cut the power between any two turns, and in the middle of
  // what the disk does; the disk keeps what was synced and of the rest what chance leaves.
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepOf, { minLength: 30, maxLength: 120 }),
      fc.nat(),
      async (steps, seed) => {
        const random = new SeededRandom(seed)
        let disk = new FaultyDisk()
        let world = await openWorld(disk)
        const model: Model = { states: [{}], answered: 0 }
        for (const step of steps) {
          if (step.kind === 'change') {
            change(world, model, step)
            assert.deepEqual(all(world.state), model.states.at(-1)!)
            await turns(random.integer(4))
            continue
          }
          const found = step.kind === 'kill' ? disk.killed() : disk.powerCut(random)
          disk.changesLeft = 0
          disk = found
          world = await openWorld(disk)
          await check(world, model)
        }
        await turns(100)
        assert.equal(model.answered, model.states.length - 1, 'all of it is answered')
        await world.engine.close()
        const last = await openWorld(disk)
        await check(last, model)
        await last.engine.close()
      },
    ),
    { numRuns: 60 },
  )
})
