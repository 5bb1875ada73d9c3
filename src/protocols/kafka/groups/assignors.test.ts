import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { Assignment } from './assignment.ts'
import type { Assignor, AssignorMember } from './assignor.ts'
import { assignRanges } from './range-assignor.ts'
import { assignShared } from './share-assignor.ts'
import { assignUniformly } from './uniform-assignor.ts'

const NONE: Assignment = new Map()

function member(memberId: string, topics: string, current: Assignment = NONE): AssignorMember {
  return { memberId, instanceId: null, topicIds: new Set(topics.split(' ')), current }
}

function show(assignment: Assignment | undefined): string {
  return Array.from(
    assignment ?? [],
    ([topicId, partitions]) => `${topicId}${[...partitions].join(',')}`,
  )
    .toSorted()
    .join(' ')
}

function size(assignment: Assignment | undefined): number {
  let count = 0
  for (const partitions of assignment?.values() ?? []) count += partitions.size
  return count
}

/** So many partitions are not where they were. */
function moves(before: ReadonlyMap<string, Assignment>, after: typeof before): number {
  let count = 0
  for (const [memberId, assignment] of after) {
    for (const [topicId, partitions] of assignment) {
      for (const partition of partitions) {
        if (!(before.get(memberId)?.get(topicId)?.has(partition) ?? false)) count += 1
      }
    }
  }
  return count
}

/** Every partition somebody subscribes to has exactly one owner, who subscribes to it. */
function checkOwners(
  members: readonly AssignorMember[],
  counts: ReadonlyMap<string, number>,
  result: ReadonlyMap<string, Assignment>,
): void {
  const seen = new Set<string>()
  for (const { memberId, topicIds } of members) {
    for (const [topicId, partitions] of result.get(memberId)!) {
      assert.ok(topicIds.has(topicId))
      for (const partition of partitions) {
        assert.ok(partition < counts.get(topicId)!)
        assert.ok(!seen.has(`${topicId}/${partition}`))
        seen.add(`${topicId}/${partition}`)
      }
    }
  }
  const subscribed = new Set(members.flatMap(({ topicIds }) => [...topicIds]))
  let expected = 0
  for (const topicId of subscribed) expected += counts.get(topicId) ?? 0
  assert.equal(seen.size, expected)
}

suite('assignors', () => {
  test('ranges are consecutive and the first members have the rest', () => {
    const members = [member('b', 'x y'), member('a', 'x y'), member('c', 'x')]
    const partitionCounts = new Map([
      ['x', 7],
      ['y', 3],
    ])
    const result = assignRanges({ members, partitionCounts })
    assert.equal(show(result.get('a')), 'x0,1,2 y0,1')
    assert.equal(show(result.get('b')), 'x3,4 y2')
    assert.equal(show(result.get('c')), 'x5,6')
  })

  test('static members keep their place in a range by their name', () => {
    const named = (memberId: string, instanceId: string): AssignorMember => ({
      ...member(memberId, 'x'),
      instanceId,
    })
    const partitionCounts = new Map([['x', 2]])
    const before = assignRanges({ members: [named('z', '1'), named('b', '2')], partitionCounts })
    const after = assignRanges({ members: [named('z', '1'), named('a', '2')], partitionCounts })
    assert.equal(show(before.get('b')), show(after.get('a')))
  })

  test('uniform deals in turns, and moves as little as it can when one comes or goes', () => {
    const partitionCounts = new Map([
      ['x', 2],
      ['y', 2],
      ['z', 2],
    ])
    const two = assignUniformly({
      members: [member('a', 'x y z'), member('b', 'x y z')],
      partitionCounts,
    })
    assert.equal(show(two.get('a')), 'x0 y0 z0')
    const three = assignUniformly({
      members: ['a', 'b', 'c'].map((id) => member(id, 'x y z', two.get(id))),
      partitionCounts,
    })
    assert.deepEqual(Array.from(three.values(), size), [2, 2, 2])
    assert.equal(moves(two, three), 2)
    const again = assignUniformly({
      members: ['a', 'c'].map((id) => member(id, 'x y z', three.get(id))),
      partitionCounts,
    })
    assert.deepEqual(Array.from(again.values(), size), [3, 3])
    assert.equal(moves(three, again), 2)
  })

  test('uniform balances members with different subscriptions', () => {
    const members = [member('a', 'x'), member('b', 'x y'), member('c', 'y')]
    const partitionCounts = new Map([
      ['x', 6],
      ['y', 3],
    ])
    const result = assignUniformly({ members, partitionCounts })
    assert.deepEqual(Array.from(result.values(), size), [3, 3, 3])
  })

  test('any members and any topics have one owner a partition, and settle', () => {
    // Members come and go with any subscriptions, topics with any number of partitions.
    const topicIds = ['a', 'b', 'c', 'd']
    const world = fc.record({
      counts: fc.array(fc.nat(9), { minLength: 4, maxLength: 4 }),
      subscriptions: fc.array(fc.subarray(topicIds), { minLength: 1, maxLength: 7 }),
    })
    for (const assignor of [assignUniformly, assignRanges] satisfies Assignor[]) {
      fc.assert(
        fc.property(world, ({ counts, subscriptions }) => {
          const partitionCounts = new Map(topicIds.map((id, index) => [id, counts[index]!]))
          const members = subscriptions.map((topics, index) => ({
            ...member(`m${index}`, ''),
            topicIds: new Set(topics),
          }))
          const result = assignor({ members, partitionCounts })
          checkOwners(members, partitionCounts, result)
          const settled = members.map((one) => ({ ...one, current: result.get(one.memberId)! }))
          assert.equal(moves(result, assignor({ members: settled, partitionCounts })), 0)
        }),
      )
    }
  })

  test('uniform gives nobody two more than another, and keeps what it may', () => {
    fc.assert(
      fc.property(fc.nat(40), fc.integer({ min: 1, max: 9 }), fc.nat(8), (total, from, to) => {
        const partitionCounts = new Map([['x', total]])
        const group = (count: number, before: ReadonlyMap<string, Assignment>): AssignorMember[] =>
          Array.from({ length: count }, (_, index) =>
            member(`m${index}`, 'x', before.get(`m${index}`)),
          )
        const before = assignUniformly({ members: group(from, new Map()), partitionCounts })
        const after = assignUniformly({ members: group(to + 1, before), partitionCounts })
        const sizes = Array.from(after.values(), size)
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
        // Nothing moves between members that stay, beyond what newcomers need or leavers free.
        let needed = 0
        for (const [memberId, assignment] of after) {
          needed += Math.max(size(assignment) - size(before.get(memberId)), 0)
        }
        assert.equal(moves(before, after), needed)
      }),
    )
  })

  test('sharing gives every partition a reader and every member a partition', () => {
    for (const memberCount of [1, 2, 3, 5, 8]) {
      const members = Array.from({ length: memberCount }, (_, index) => member(`m${index}`, 'x y'))
      const partitionCounts = new Map([
        ['x', 2],
        ['y', 1],
      ])
      const result = assignShared({ members, partitionCounts })
      const read = new Set(
        Array.from(result.values(), (assignment) => show(assignment).split(' ')).flat(),
      )
      assert.ok([...result.values()].every((assignment) => size(assignment) > 0))
      assert.ok(read.size > 0)
      const all = new Set<string>()
      for (const assignment of result.values()) {
        for (const [topicId, partitions] of assignment) {
          for (const partition of partitions) all.add(`${topicId}${partition}`)
        }
      }
      assert.deepEqual([...all].toSorted(), ['x0', 'x1', 'y0'])
    }
  })

  test('sharing follows different subscriptions', () => {
    const members = [member('a', 'x'), member('b', 'y'), member('c', 'x y')]
    const partitionCounts = new Map([
      ['x', 1],
      ['y', 1],
    ])
    const result = assignShared({ members, partitionCounts })
    assert.equal(show(result.get('a')), 'x0')
    assert.equal(show(result.get('b')), 'y0')
    assert.equal(show(result.get('c')), 'x0 y0')
  })
})
