import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KeptSubscriptions } from './kept-subscriptions.ts'
import type { SessionState } from './subscriber.ts'
import type { StoredSubscription } from './subscriptions.ts'

function stored(filter: string): StoredSubscription {
  return { filter, qos: 1, noLocal: false, retainAsPublished: false, identifier: 0 }
}

// Filters come and go in any order, and come again.
test('the list holds what was added and not taken, whatever the order', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.constantFrom('a', 'b', 'c', 'd', 'e')))
  fc.assert(
    fc.property(steps, (list) => {
      const state: SessionState = { subscriptions: [] }
      const model = new Set<string>()
      for (const [isAdd, filter] of list) {
        const kept = KeptSubscriptions.of(state)
        assert.equal(kept.take(filter)?.filter ?? null, model.delete(filter) ? filter : null)
        if (!isAdd) continue
        kept.add(stored(filter))
        model.add(filter)
      }
      const filters = state.subscriptions.map(({ filter }) => filter)
      assert.deepEqual(filters.toSorted(), [...model].toSorted())
    }),
  )
})
