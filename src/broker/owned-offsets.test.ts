import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OwnedOffsets } from './owned-offsets.ts'
import { Owners } from './owners.ts'

const NAMES = ['ann', 'bob', 'cid', '']

// Messages of several users, and of nobody, are stored, end in any order, and the broker restarts.
test('each user is charged with what it has stored and with nothing else', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('store' as const),
      who: fc.nat(NAMES.length - 1),
      gap: fc.constantFrom(1, 1, 1, 2, 5000),
      refs: fc.integer({ min: 1, max: 3 }),
      size: fc.constantFrom(10, 10, 10, 10, 0, 7_000_000),
    }),
    fc.record({ kind: fc.constant('end' as const), which: fc.nat(100) }),
    fc.record({ kind: fc.constant('run' as const), which: fc.nat(100), count: fc.nat(20) }),
    fc.record({ kind: fc.constant('restart' as const) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
      let owners = new Owners()
      let owned = new OwnedOffsets(owners)
      const live: {
        readonly offset: number
        readonly name: string
        readonly size: number
        refs: number
      }[] = []
      let offset = 0
      const end = (at: number): void => {
        owned.change(live[at]!.offset, 1, -1)
        if (--live[at]!.refs === 0) live.splice(at, 1)
      }
      for (const each of steps) {
        if (each.kind === 'store') {
          offset += each.gap
          const name = NAMES[each.who]!
          if (name !== '') owned.add(offset, owners.of(name), each.size, each.refs)
          live.push({ offset, name, size: each.size, refs: each.refs })
        } else if (each.kind === 'end' && live.length > 0) end(each.which % live.length)
        else if (each.kind === 'run' && live.length > 0) {
          const from = live[each.which % live.length]!.offset
          // A run is of what lives and follows one another.
          let next = from
          for (const message of live) {
            if (message.offset !== next || next >= from + each.count) continue
            message.refs--
            next++
          }
          owned.change(from, next - from, -1)
          const left = live.filter(({ refs }) => refs > 0)
          live.splice(0, live.length, ...left)
        } else if (each.kind === 'restart') {
          const bytes = owned.encode()
          owners = new Owners()
          owned = new OwnedOffsets(owners)
          owned.decode(bytes)
          for (const { offset: at, refs } of live) {
            for (let left = refs; left > 0; left--) owned.change(at, 1, 1)
          }
          owned.recovered()
        }
        for (const name of NAMES.slice(0, 3)) {
          const own = live.filter((one) => one.name === name)
          const { messages, bytes } = owners.find(name) ?? { messages: 0, bytes: 0 }
          assert.deepEqual(
            [messages, bytes],
            [
              own.reduce((sum, { refs }) => sum + refs, 0),
              own.reduce((sum, { refs, size }) => sum + refs * size, 0),
            ],
          )
        }
        if (live.every(({ name }) => name === '')) assert.ok(owned.isEmpty)
      }
    }),
    { numRuns: 100 },
  )
})
