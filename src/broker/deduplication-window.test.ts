import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Digest, digestText } from '../lib/digest.ts'
import { DeduplicationWindow } from './deduplication-window.ts'

const WINDOW_MS = 100

/** Few homes in the table, so that ids stand in each other's way. */
function digest(n: number): Digest {
  return { high: (n % 5) + 0x1_0000_0000 * n, low: n }
}

/** The same by a list that is plainly right: id and time, the oldest first. */
class Model {
  entries: [number, number][] = []
  forgotten = 0
  readonly #idsMax: number

  constructor(idsMax: number) {
    this.#idsMax = idsMax
  }

  knows(id: number, now: number): boolean {
    return this.entries.some(([known, time]) => known === id && now - time < WINDOW_MS)
  }

  remember(id: number, now: number): void {
    this.entries = this.entries.filter(([known, time]) => known !== id && now - time < WINDOW_MS)
    if (this.entries.length >= this.#idsMax) {
      this.entries.shift()
      this.forgotten++
    }
    this.entries.push([id, now])
  }
}

const steps = fc.array(
  fc.record({ id: fc.nat(60), passMs: fc.integer({ min: 0, max: 12 }), restarts: fc.boolean() }),
  { maxLength: 400 },
)

// Ids come again at any time, the broker restarts at any time, and there may be too many of them.
test('a window knows what a plain list knows', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 70 }), (taken, idsMax) => {
      let window = new DeduplicationWindow(WINDOW_MS, idsMax)
      const model = new Model(idsMax)
      let forgotten = 0
      let now = 1000
      for (const { id, passMs, restarts } of taken) {
        now += passMs
        if (restarts) {
          forgotten += window.forgottenCount
          const encoded = window.encode()
          window = new DeduplicationWindow(WINDOW_MS, idsMax)
          window.decode(encoded)
        }
        const isKnown = window.knows(digest(id), now)
        assert.equal(isKnown, model.knows(id, now))
        if (isKnown) continue
        window.remember(digest(id), now)
        model.remember(id, now)
        assert.equal(window.size, model.entries.length)
      }
      for (let id = 0; id <= 60; id++) {
        assert.equal(window.knows(digest(id), now), model.knows(id, now))
      }
      assert.equal(forgotten + window.forgottenCount, model.forgotten)
    }),
  )
})

test('an id takes some 32 bytes, and memory comes back', () => {
  const window = new DeduplicationWindow(WINDOW_MS, 1 << 16)
  const id: Digest = { high: 0, low: 0 }
  for (let n = 0; n < 1 << 16; n++) {
    digestText(String(n), id)
    window.remember(id, 0)
  }
  assert.equal(window.bytes, 32 * (1 << 16))
  for (let n = 0; n < 20; n++) window.remember(digest(n), WINDOW_MS * (n + 1))
  assert.ok(window.bytes <= 32 * 64, `${window.bytes} bytes`)
})
