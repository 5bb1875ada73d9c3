import type { SettledRange, SharedSettlement } from '../../broker/index.ts'

/** A run of messages with what became of them: one type for all, or one for each. */
export interface AcknowledgementBatch {
  readonly firstOffset: number
  readonly lastOffset: number
  readonly acknowledgeTypes: readonly number[]
}

/** By Kafka's number. */
const SETTLEMENTS: readonly SharedSettlement[] = ['skip', 'accept', 'release', 'reject', 'renew']
const RENEW = 4

/** What batches say, in runs of the same settlement; null: it makes no sense. */
export function settledRanges(
  batches: readonly AcknowledgementBatch[],
  { mayRenew }: { readonly mayRenew: boolean },
): SettledRange[] | null {
  const ranges: SettledRange[] = []
  let end = -1
  for (const { firstOffset, lastOffset, acknowledgeTypes: types } of batches) {
    const count = lastOffset - firstOffset + 1
    const isOrdered = firstOffset > end && count > 0
    if (!isOrdered || (types.length !== 1 && types.length !== count)) return null
    end = lastOffset
    for (let index = 0; index < types.length;) {
      const type = types[index]!
      const settlement = SETTLEMENTS[type]
      if (settlement === undefined || (type === RENEW && !mayRenew)) return null
      let next = index + 1
      while (next < types.length && types[next] === type) next++
      ranges.push({
        baseOffset: firstOffset + index,
        nextOffset: types.length === 1 ? lastOffset + 1 : firstOffset + next,
        settlement,
      })
      index = next
    }
  }
  return ranges
}
