import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bindingSpec,
  type BrokerRig,
  exchangeSpec,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
  turns,
} from '../../test/support/broker-rig.ts'
import { StateWorld } from '../../test/support/state-world.ts'
import { openEmbeddedEngine } from '../engine/embedded/index.ts'
import { ManualClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import { FaultyDisk } from '../storage/disk-faulty.ts'
import { bindingIdentity, type BindingSpec } from './binding.ts'
import { BINDING_RECORD, BindingLog, type BindingRecordKind } from './binding-log.ts'
import type { VirtualHost } from './virtual-host.ts'

const KIB = 1024
/** So small that the log is written again many times, over several turns. */
const LIMITS = { entryBytes: 512, snapshotPieceBytes: 300, stateDeadBytesMin: 700 }

function identities(vhost: VirtualHost): string[] {
  return Array.from(vhost.bindings(), bindingIdentity).toSorted()
}

async function openWithQueues(
  given: Parameters<typeof openBroker>[0] = {},
  queues = ['q', 'r'],
): Promise<BrokerRig> {
  const rig = await openBroker(given)
  for (const name of queues) await rig.vhost.declareQueue(queueSpec(name))
  return rig
}

const FILTER = new Map([['x-filter-sql', "kind = 'a'"]])

test('bindings of every kind are there after a restart, as they were', async () => {
  const first = await openWithQueues()
  const { vhost } = first
  await vhost.declareExchange(exchangeSpec('x'))
  await vhost.declareExchange(exchangeSpec('gone', { durable: false }))
  const arguments_ = new Map<string, string | number | bigint | null>([
    ['x-match', 'any'],
    ['n', 5],
    ['big', 2n ** 60n],
    ['there', null],
  ])
  const kept = [
    bindingSpec('x', 'q', { key: 'k' }),
    bindingSpec('x', 'q', { key: '\0ö\u{1F600}' }),
    bindingSpec('x', 'r', { key: '' }),
    bindingSpec('amq.headers', 'q', { arguments: arguments_ }),
    bindingSpec('amq.topic', 'r', { key: 'a.#', arguments: FILTER }),
    bindingSpec('x', 'amq.fanout', { key: 'e', targetKind: 'exchange' }),
  ]
  for (const spec of kept) await vhost.bind(spec)
  await vhost.bind(bindingSpec('gone', 'q', { key: 'k' }))
  await vhost.bind(bindingSpec('x', 'q', { key: 'undone' }))
  await vhost.unbind(bindingSpec('x', 'q', { key: 'undone' }))
  const second = await reopenBroker(first)
  assert.deepEqual(identities(second.vhost), kept.map(bindingIdentity).toSorted())
  assert.equal(second.vhost.bounds.bindingCount, kept.length)
  assert.equal(publish(second.vhost, 'x', 'k', 'one'), 1)
  assert.equal(second.vhost.destination('q')!.readyCount, 1)
  assert.deepEqual(second.complaints, [])
})

test('a binding answers for one sync with all others of its turn', async () => {
  const disk = new FaultyDisk()
  const clock = new ManualClock()
  const engine = await openEmbeddedEngine({ disk, clock })
  const { vhost } = await openWithQueues({ engine, clock })
  const before = disk.syncCount
  const all = Array.from({ length: 1000 }, async (_one, n) => {
    return vhost.bind(bindingSpec('amq.direct', 'q', { key: `k${n}` }))
  })
  await Promise.all(all)
  const syncs = disk.syncCount - before
  assert.ok(syncs <= 8, `${syncs} syncs`)
  assert.equal(vhost.bindingSet.countTo(vhost.destination('q')!), 1000)
})

test('bindings that come and go take no more space than they need', async () => {
  const limits = { stateDeadBytesMin: 16 * KIB, snapshotPieceBytes: 4 * KIB }
  const engineLimits = { segmentBytes: 64 * KIB, journalBytesMax: 128 * KIB }
  const world = await StateWorld.open({ limits, engineLimits })
  const log = await world.engine.openLog('bindings', { epoch: world.epoch })
  const bindings = new BindingLog(log, world.cycle, world.limits)
  const living = new Map<string, BindingSpec>()
  const write = (kind: BindingRecordKind, spec: BindingSpec): void => {
    if (kind === BINDING_RECORD.ADD) living.set(spec.key, spec)
    else living.delete(spec.key)
    bindings.write({ kind, vhostId: 1, spec })
  }
  const all = function* (): Iterable<{ vhostId: number; spec: BindingSpec }> {
    for (const spec of living.values()) yield { vhostId: 1, spec }
  }
  await bindings.replay(() => 'same', all)
  for (let n = 0; n < 500; n++) {
    write(BINDING_RECORD.ADD, bindingSpec('amq.topic', 'r', { key: `still.${n}` }))
  }
  let mostBytes = 0
  for (let round = 0; round < 200; round++) {
    const specs = Array.from({ length: 100 }, (_one, n) => {
      return bindingSpec('amq.direct', 'q', { key: `k.${n}.${round}` })
    })
    for (const spec of specs) write(BINDING_RECORD.ADD, spec)
    await turns(2)
    for (const spec of specs) write(BINDING_RECORD.REMOVE, spec)
    await turns(2)
    mostBytes = Math.max(mostBytes, log.storedBytes)
  }
  await bindings.settled()
  // 1.5 MB were written, of which 20 kB live.
  assert.ok(mostBytes < 300 * KIB, `${mostBytes} bytes stored`)
  const found = new Set<string>()
  const again = new BindingLog(log, world.cycle, world.limits)
  await again.replay(({ kind, spec }) => {
    if (kind === BINDING_RECORD.ADD) found.add(spec.key)
    else found.delete(spec.key)
    return 'changed'
  }, all)
  assert.deepEqual([...found].toSorted(), [...living.keys()].toSorted())
  await world.close()
})

test('a queue or exchange of the same name inherits nothing', async () => {
  const first = await openWithQueues()
  const { vhost } = first
  await vhost.declareExchange(exchangeSpec('x'))
  const all = { ifUnused: false, ifEmpty: false }
  for (let n = 0; n < 700; n++) await vhost.bind(bindingSpec('x', 'q', { key: `k${n}` }))
  const gone = vhost.deleteDestination('q', all)
  while (vhost.destination('q') !== undefined) {
    first.clock.advance(1)
    await turns(2)
  }
  await gone
  await vhost.declareQueue(queueSpec('q'))
  await vhost.bind(bindingSpec('x', 'q', { key: 'new' }))
  await vhost.deleteExchange('x', { ifUnused: false })
  await vhost.declareExchange(exchangeSpec('x', { type: 'topic' }))
  await vhost.bind(bindingSpec('x', 'r', { key: '#' }))
  const second = await reopenBroker(first)
  const expected = [bindingSpec('x', 'r', { key: '#' })]
  assert.deepEqual(identities(second.vhost), expected.map(bindingIdentity))
})

test('what a crash left between things that are gone is taken out for good', async () => {
  const first = await openWithQueues()
  const { engine, clock } = first
  await first.vhost.bind(bindingSpec('amq.direct', 'q', { key: 'k' }))
  await first.vhost.bind(bindingSpec('amq.direct', 'r', { key: 'k' }))
  // As if the deletion of the queue had been stored and that of its bindings not.
  await engine.kv.commit([{ key: 'destination/%2F/q', value: null }])
  const second = await reopenBroker({ ...first, engine, clock })
  assert.deepEqual(second.complaints, ['stored bindings between things that are gone are left out'])
  const left = [bindingIdentity(bindingSpec('amq.direct', 'r', { key: 'k' }))]
  assert.deepEqual(identities(second.vhost), left)
  await second.vhost.declareQueue(queueSpec('q'))
  const third = await reopenBroker(second)
  assert.deepEqual(third.complaints, [])
  assert.deepEqual(identities(third.vhost), left)
})

// --- a model that crashes ---

type Step =
  | { readonly kind: 'bind' | 'unbind'; readonly queue: string; readonly key: string }
  | { readonly kind: 'delete' | 'declare'; readonly queue: string }
  | { readonly kind: 'turns'; readonly count: number }
  | { readonly kind: 'kill' | 'power-cut' | 'restart' }

const queue = fc.constantFrom('a', 'b', 'c')
const stepOf: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constantFrom('bind' as const, 'bind' as const, 'unbind' as const),
      queue,
      key: fc.nat(20).map((n) => `key.${n}`),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('delete' as const, 'declare' as const), queue }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.nat(4) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('kill' as const, 'power-cut' as const, 'restart' as const),
    }),
  },
)

/** What may be there: a binding that was answered must, one whose end was answered must not. */
class Model {
  /** By identity: what the last answer said, and whether something is asked that is not answered. */
  readonly #states = new Map<string, { isThere: boolean; isAsked: boolean }>()
  /** Of each queue, which deletion of it is the last: what was bound before it is gone. */
  readonly specs = new Map<string, BindingSpec>()

  async ask(spec: BindingSpec, isBind: boolean, done: Promise<void>): Promise<void> {
    const identity = bindingIdentity(spec)
    this.specs.set(identity, spec)
    const state = { isThere: isBind, isAsked: true }
    const before = this.#states.get(identity)
    this.#states.set(identity, state)
    try {
      await done
      state.isAsked = false
    } catch {
      // Refused, for there is no such queue: as it was.
      if (this.#states.get(identity) === state && before !== undefined) {
        this.#states.set(identity, before)
      } else if (this.#states.get(identity) === state) this.#states.delete(identity)
    }
  }

  /** Whatever leads to it is not known until the next look. */
  touch(name: string): void {
    for (const [identity, spec] of this.specs) {
      if (spec.target === name) this.#states.delete(identity)
    }
  }

  /** Compares with what a broker has, which is what is known from now on. */
  check(vhost: VirtualHost): void {
    const found = new Set(identities(vhost))
    for (const [identity, { isThere, isAsked }] of this.#states) {
      if (!isAsked) assert.equal(found.has(identity), isThere, identity)
    }
    this.#states.clear()
    for (const identity of this.specs.keys()) {
      this.#states.set(identity, { isThere: found.has(identity), isAsked: false })
    }
  }
}

async function openOn(disk: FaultyDisk): Promise<BrokerRig> {
  const clock = new ManualClock()
  const engineLimits = { segmentBytes: 2 * KIB, journalBytesMax: 4 * KIB }
  const engine = await openEmbeddedEngine({ disk, clock, ...engineLimits })
  return openBroker({ engine, clock, limits: LIMITS })
}

function apply({ vhost }: BrokerRig, model: Model, step: Step): void {
  if (step.kind === 'bind' || step.kind === 'unbind') {
    const spec = bindingSpec('amq.topic', step.queue, { key: step.key })
    const isBind = step.kind === 'bind'
    void model.ask(spec, isBind, isBind ? vhost.bind(spec) : vhost.unbind(spec))
  } else if (step.kind === 'delete' || step.kind === 'declare') {
    model.touch(step.queue)
    const all = { ifUnused: false, ifEmpty: false }
    const done =
      step.kind === 'delete'
        ? vhost.deleteDestination(step.queue, all)
        : vhost.declareQueue(queueSpec(step.queue))
    // A crash answers nobody.
    done.catch(() => undefined)
  }
}

test('bindings are what was answered, over kills and power cuts', async () => {
  // The world may end the process and cut the power between any two turns.
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepOf, { minLength: 30, maxLength: 120 }),
      fc.nat(),
      async (steps, seed) => {
        const random = new SeededRandom(seed)
        let disk = new FaultyDisk()
        let rig = await openOn(disk)
        const model = new Model()
        for (const step of steps) {
          if (step.kind === 'turns') await turns(step.count)
          else if (step.kind === 'kill' || step.kind === 'power-cut' || step.kind === 'restart') {
            if (step.kind === 'restart') {
              await turns(20)
              model.check(rig.vhost)
            }
            const found = step.kind === 'power-cut' ? disk.powerCut(random) : disk.killed()
            disk.changesLeft = 0
            disk = found
            rig = await openOn(disk)
            model.check(rig.vhost)
          } else apply(rig, model, step)
        }
        await turns(20)
        model.check(rig.vhost)
      },
    ),
    { numRuns: 40 },
  )
})
