import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { turns } from '../../../test/support/broker-rig.ts'
import { StateWorld } from '../../../test/support/state-world.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { Piece } from './piece.ts'
import type { SharedPartition, SharedSettlement } from './shared-partition.ts'
import { SharedSubscriptions } from './shared-subscriptions.ts'

const PLACE = { topicId: 7, partition: 3 }
const FORM = 9
const IN_FLIGHT_MAX = 30
const MEMBERS = ['a', 'b', 'c']
const FATES: readonly SharedSettlement[] = ['accept', 'accept', 'accept', 'release', 'reject']

/** A batch whose octets are the keys of its messages; 0: none. */
const FORMS = {
  form: (): NativeForm => {
    const eachKey = (
      bytes: Buffer,
      start: number,
      end: number,
      visit: (delta: number, key: Buffer | null) => void,
    ): void => {
      for (let at = start; at < end; at++) {
        visit(at - start, bytes[at] === 0 ? null : bytes.subarray(at, at + 1))
      }
    }
    return { batch: { eachKey } } as unknown as NativeForm
  },
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('fetch' as const), at: fc.nat(2), max: fc.nat(6) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('settle' as const), at: fc.nat(99), fate: fc.nat(4) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), at: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('timeout' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

class Model {
  readonly keys: readonly number[]
  /** By offset: who has it; `settled` at its end. */
  readonly fates: (string | null)[]
  #world: StateWorld
  #partition: SharedPartition

  constructor(keys: readonly number[], world: StateWorld) {
    this.keys = keys
    this.fates = keys.map(() => null)
    this.#world = world
    this.#partition = this.#open()
  }

  #open(): SharedPartition {
    const shared = new SharedSubscriptions(1, this.#world)
    shared.restore(() => true)
    const partition = shared.openPartition('g', PLACE, 0)
    const options = { leaseMs: 1000, attemptsMax: 1000, inFlightMax: IN_FLIGHT_MAX }
    shared.find('g')!.options = { ...options, keyShared: true }
    return partition
  }

  async restart(): Promise<void> {
    await turns(5)
    await this.#world.close()
    this.#world = await StateWorld.open(this.#world)
    this.#partition = this.#open()
    this.#freeAll()
  }

  timeout(): void {
    this.#world.clock.advance(1000)
    this.#freeAll()
  }

  leave(member: string): void {
    this.#partition.releaseMember(member)
    for (const [offset, fate] of this.fates.entries())
      if (fate === member) this.fates[offset] = null
  }

  /** As a reader does: from where it is told, a batch of seven at a time, until it has something. */
  fetch(member: string, countMax: number): number {
    for (let reads = 0; reads < 40; reads++) {
      const from = this.#partition.nextFor(member)
      if (from < 0 || from >= this.keys.length) return 0
      const base = from - (from % 7)
      const data = Buffer.from(this.keys.slice(base, base + 7))
      const place = { baseOffset: base, nextOffset: base + data.length }
      const piece = new Piece(
        { data, start: 0, end: data.length },
        { kind: 'batch', form: FORM, ...place, timestampMs: 0 },
      )
      this.#partition.learn({ from, pieces: [piece] }, FORMS)
      const leased = this.#partition.acquire(member, [place], { countMax, isExact: true })
      let count = 0
      for (const { baseOffset, nextOffset } of leased) {
        for (let offset = baseOffset; offset < nextOffset; offset++) this.#given(member, offset)
        count += nextOffset - baseOffset
      }
      if (count > 0) return count
    }
    assert.fail(`a read by ${member} comes to no end`)
  }

  settle(at: number, fate: SharedSettlement): void {
    const out = [...this.fates.keys()].filter((offset) =>
      MEMBERS.includes(this.fates[offset] ?? ''),
    )
    const offset = out[at % Math.max(1, out.length)]
    if (offset === undefined) return
    const range = { baseOffset: offset, nextOffset: offset + 1, settlement: fate }
    assert.ok(this.#partition.settle(this.fates[offset]!, [range]))
    this.fates[offset] = fate === 'release' ? null : 'settled'
  }

  #given(member: string, offset: number): void {
    const key = this.keys[offset]!
    assert.equal(this.fates[offset], null, `${offset} was given twice`)
    for (const [other, fate] of this.fates.entries()) {
      if (key === 0 || this.keys[other] !== key || other === offset || fate === 'settled') continue
      if (other < offset) assert.equal(fate, member, `${offset} overtook ${other}`)
      else assert.equal(fate, null, `${offset} came again beside ${other}`)
    }
    this.fates[offset] = member
  }

  #freeAll(): void {
    for (const [offset, fate] of this.fates.entries()) {
      if (fate !== 'settled') this.fates[offset] = null
    }
  }
}

// Members take, settle and lose messages of a few keys in any order, and the broker restarts.
test('a shared partition gives each key in order to one member at a time, and all in the end', async () => {
  const keys = fc.array(fc.nat(4), { minLength: 1, maxLength: 90, size: 'max' })
  const steps = fc.array(step, { maxLength: 60, size: 'max' })
  await fc.assert(
    fc.asyncProperty(keys, steps, async (given, actions) => {
      const model = new Model(given, await StateWorld.open())
      for (const action of actions) {
        if (action.kind === 'fetch') model.fetch(MEMBERS[action.at]!, action.max + 1)
        else if (action.kind === 'settle') model.settle(action.at, FATES[action.fate]!)
        else if (action.kind === 'leave') model.leave(MEMBERS[action.at]!)
        else if (action.kind === 'timeout') model.timeout()
        else await model.restart()
      }
      model.timeout()
      for (let rounds = 0; model.fates.some((fate) => fate !== 'settled'); rounds++) {
        assert.ok(rounds < 500, 'some of it never comes')
        model.fetch('a', 10)
        model.settle(0, 'accept')
      }
    }),
    { numRuns: 60 },
  )
})
