import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { settledRanges } from './acknowledgements.ts'

const ALL = { mayRenew: true }

suite('acknowledgements', () => {
  test('one type stands for a whole run, several are put into runs', () => {
    const ranges = settledRanges(
      [
        { firstOffset: 2, lastOffset: 9, acknowledgeTypes: [1] },
        { firstOffset: 10, lastOffset: 14, acknowledgeTypes: [0, 2, 2, 3, 4] },
      ],
      ALL,
    )
    assert.deepEqual(ranges, [
      { baseOffset: 2, nextOffset: 10, settlement: 'accept' },
      { baseOffset: 10, nextOffset: 11, settlement: 'skip' },
      { baseOffset: 11, nextOffset: 13, settlement: 'release' },
      { baseOffset: 13, nextOffset: 14, settlement: 'reject' },
      { baseOffset: 14, nextOffset: 15, settlement: 'renew' },
    ])
  })

  test('what makes no sense is refused as a whole', () => {
    const one = (firstOffset: number, lastOffset: number, acknowledgeTypes: number[]) => ({
      firstOffset,
      lastOffset,
      acknowledgeTypes,
    })
    const senseless = [
      [one(5, 4, [1])],
      [one(0, 3, [])],
      [one(0, 3, [1, 1])],
      [one(0, 0, [5])],
      [one(0, 0, [-1])],
      [one(0, 3, [1]), one(3, 4, [1])],
      [one(5, 6, [1]), one(0, 1, [1])],
    ]
    for (const batches of senseless) assert.equal(settledRanges(batches, ALL), null)
    assert.equal(settledRanges([one(0, 0, [4])], { mayRenew: false }), null)
  })

  test('a huge run with one type costs nothing', () => {
    const batches = [{ firstOffset: 0, lastOffset: 2 ** 50, acknowledgeTypes: [1] }]
    assert.equal(settledRanges(batches, ALL)!.length, 1)
  })
})
