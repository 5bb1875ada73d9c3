import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { UnackedRing } from './unacked.ts'

interface Entry {
  readonly owner: number
  readonly offset: number
  held: boolean
}

// Tags rise with any gaps, and clients settle them in any order, one or many, some of them held.
test('the ring remembers what a map remembers', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 3, arbitrary: fc.record({ remove: fc.nat(60) }) },
    { weight: 1, arbitrary: fc.record({ upTo: fc.nat(60) }) },
    { weight: 1, arbitrary: fc.record({ hold: fc.nat(60) }) },
    { weight: 1, arbitrary: fc.record({ letGo: fc.nat(60) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const ring = new UnackedRing()
      const model = new Map<number, Entry>()
      let lastTag = 0
      for (const one of steps) {
        if ('push' in one) {
          lastTag += one.push
          const entry = { owner: lastTag % 5, offset: lastTag * 1_000_000_007, held: false }
          ring.push(lastTag, entry.owner, entry.offset)
          model.set(lastTag, entry)
        } else if ('upTo' in one) removeUpTo(ring, model, one.upTo)
        else changeOne(ring, model, one)
        check(ring, model, lastTag)
      }
      const drained: [number, number][] = []
      ring.drain((owner, offset) => drained.push([owner, offset]))
      assert.deepEqual(
        drained,
        [...model.values()].map(({ owner, offset }) => [owner, offset]),
      )
      assert.equal(ring.count, 0)
      assert.equal(ring.first(), -1)
    }),
    { numRuns: 300 },
  )
})

function removeUpTo(ring: UnackedRing, model: Map<number, Entry>, tag: number): void {
  for (let slot = ring.first(); slot !== -1 && ring.tagAt(slot) <= tag;) {
    ring.remove(slot)
    slot = ring.after(slot)
  }
  for (const [known, { held }] of model) if (known <= tag && !held) model.delete(known)
}

type Change = { readonly remove: number } | { readonly hold: number } | { readonly letGo: number }

function changeOne(ring: UnackedRing, model: Map<number, Entry>, change: Change): void {
  if ('remove' in change) {
    const slot = ring.find(change.remove)
    if (slot === -1) return
    ring.remove(slot)
    model.delete(change.remove)
  } else if ('hold' in change) {
    const slot = ring.find(change.hold)
    if (slot === -1) return
    ring.hold(slot)
    model.get(change.hold)!.held = true
  } else {
    const slot = ring.findHeld(change.letGo)
    if (slot === -1) return
    ring.release(slot)
    model.get(change.letGo)!.held = false
  }
}

function check(ring: UnackedRing, model: Map<number, Entry>, lastTag: number): void {
  assert.equal(ring.count, model.size)
  const free = [...model].filter(([, { held }]) => !held).map(([tag]) => tag)
  const walked: number[] = []
  for (let slot = ring.first(); slot !== -1; slot = ring.after(slot)) walked.push(ring.tagAt(slot))
  assert.deepEqual(walked, free)
  for (let tag = 0; tag <= lastTag + 1; tag++) {
    const entry = model.get(tag)
    const slot = ring.find(tag)
    assert.equal(slot !== -1, entry !== undefined && !entry.held, `tag ${tag}`)
    assert.equal(ring.findHeld(tag) !== -1, entry?.held ?? false, `held tag ${tag}`)
    if (slot === -1) continue
    assert.equal(ring.ownerAt(slot), entry!.owner)
    assert.equal(ring.offsetAt(slot), entry!.offset)
  }
}

test('settled in order it stays small, however many pass through', () => {
  const ring = new UnackedRing()
  for (let tag = 1; tag <= 100_000; tag++) {
    ring.push(tag, 0, tag)
    if (tag > 10) ring.remove(ring.find(tag - 10))
  }
  assert.equal(ring.count, 10)
  assert.equal(ring.tagAt(ring.first()), 99_991)
})

test('no tag that was never given out is found', () => {
  const ring = new UnackedRing()
  assert.equal(ring.find(1), -1)
  ring.push(5, 0, 50)
  for (const tag of [0, 4, 6, 2 ** 53, Infinity, NaN, -1]) assert.equal(ring.find(tag), -1)
  assert.equal(ring.offsetAt(ring.find(5)), 50)
})
