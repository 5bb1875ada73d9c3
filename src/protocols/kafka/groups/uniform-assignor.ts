import { type Assignment, give } from './assignment.ts'
import { type AssignorInput, type AssignorMember, inOrder, isHomogeneous } from './assignor.ts'

/** Rounds of moving partitions between members with different subscriptions. */
const BALANCE_ROUNDS_MAX = 8

/** A member while partitions are given out. */
interface Share {
  readonly member: AssignorMember
  readonly partitions: Map<string, Set<number>>
  count: number
}

/**
 * Everybody has as many partitions as the others, give or take one, and keeps what it had as far as
 * that allows. Where subscriptions differ it comes as near to that as they let it.
 */
export function assignUniformly(input: AssignorInput): Map<string, Assignment> {
  const shares = inOrder(input.members).map((member) => ({
    member,
    partitions: new Map<string, Set<number>>(),
    count: 0,
  }))
  const taken = new Map<string, Uint8Array>()
  for (const [topicId, count] of input.partitionCounts) taken.set(topicId, new Uint8Array(count))
  if (shares.length > 0) {
    if (isHomogeneous(input.members)) divide(shares, taken)
    else balance(shares, taken)
  }
  return new Map(shares.map(({ member, partitions }) => [member.memberId, partitions]))
}

/** Everybody subscribes to everything: each has its quota, some one partition more. */
function divide(shares: readonly Share[], taken: ReadonlyMap<string, Uint8Array>): void {
  const topicIds = shares[0]!.member.topicIds
  let total = 0
  for (const topicId of topicIds) total += taken.get(topicId)?.length ?? 0
  const quota = Math.floor(total / shares.length)
  let extras = total % shares.length
  const hasRoom = (share: Share): boolean =>
    share.count < quota || (share.count === quota && extras > 0)
  const add = (share: Share, topicId: string, partition: number): void => {
    if (share.count === quota) extras -= 1
    take(share, taken, topicId, partition)
  }
  for (const share of shares) keep(share, taken, { add, hasRoom })

  let waiting = shares.filter(hasRoom)
  let turn = 0
  for (const topicId of topicIds) {
    const flags = taken.get(topicId)
    if (flags === undefined) continue
    for (let partition = 0; partition < flags.length; partition++) {
      if (flags[partition] === 1) continue
      if (turn >= waiting.length) {
        waiting = waiting.filter(hasRoom)
        turn = 0
      }
      // The last extra may have gone to somebody else in this round.
      while (!hasRoom(waiting[turn]!)) {
        turn += 1
        if (turn < waiting.length) continue
        waiting = waiting.filter(hasRoom)
        turn = 0
      }
      add(waiting[turn++]!, topicId, partition)
    }
  }
}

/** Subscriptions differ: whoever has least gets what is free, then partitions move downhill. */
function balance(shares: readonly Share[], taken: ReadonlyMap<string, Uint8Array>): void {
  const subscribers = new Map<string, Share[]>()
  for (const share of shares) {
    for (const topicId of share.member.topicIds) {
      const known = subscribers.get(topicId)
      if (known === undefined) subscribers.set(topicId, [share])
      else known.push(share)
    }
    keep(share, taken, {
      hasRoom: () => true,
      add: (owner, topicId, partition) => take(owner, taken, topicId, partition),
    })
  }
  // Topics with few subscribers first: the others can still be given elsewhere.
  const topics = [...subscribers].toSorted(([, left], [, right]) => left.length - right.length)
  for (const [topicId, candidates] of topics) {
    const flags = taken.get(topicId)
    if (flags === undefined) continue
    for (let partition = 0; partition < flags.length; partition++) {
      if (flags[partition] === 1) continue
      take(leastOf(candidates), taken, topicId, partition)
    }
  }
  for (let round = 0; round < BALANCE_ROUNDS_MAX; round++) {
    if (!moveDownhill(shares, subscribers)) return
  }
}

/** One round; false when nothing can be made better by moving a single partition. */
function moveDownhill(
  shares: readonly Share[],
  subscribers: ReadonlyMap<string, readonly Share[]>,
): boolean {
  let hasMoved = false
  for (const share of [...shares].toSorted((left, right) => right.count - left.count)) {
    for (const [topicId, partitions] of share.partitions) {
      for (const partition of [...partitions]) {
        const target = leastOf(subscribers.get(topicId)!)
        if (target.count + 1 >= share.count) break
        partitions.delete(partition)
        share.count -= 1
        give(target.partitions, topicId, partition)
        target.count += 1
        hasMoved = true
      }
      if (partitions.size === 0) share.partitions.delete(topicId)
    }
  }
  return hasMoved
}

/** Leaves a member what it had and may still have, as long as there is room for it. */
function keep(
  share: Share,
  taken: ReadonlyMap<string, Uint8Array>,
  rule: {
    readonly hasRoom: (share: Share) => boolean
    readonly add: (share: Share, topicId: string, partition: number) => void
  },
): void {
  for (const [topicId, partitions] of share.member.current) {
    const flags = taken.get(topicId)
    if (flags === undefined || !share.member.topicIds.has(topicId)) continue
    for (const partition of partitions) {
      if (partition >= flags.length || flags[partition] === 1) continue
      if (!rule.hasRoom(share)) return
      rule.add(share, topicId, partition)
    }
  }
}

function take(
  share: Share,
  taken: ReadonlyMap<string, Uint8Array>,
  topicId: string,
  partition: number,
): void {
  taken.get(topicId)![partition] = 1
  give(share.partitions, topicId, partition)
  share.count += 1
}

function leastOf(shares: readonly Share[]): Share {
  let least = shares[0]!
  for (const share of shares) if (share.count < least.count) least = share
  return least
}
