import type { Shard } from './shard.ts'

/**
 * Compares what the accounts of a shard say about space with what its queues really hold; returns
 * a sentence for each difference. Walks every waiting message: for tests and for finding faults.
 */
export function checkSpace(shard: Shard): string[] {
  const extents = shard.extents.list()
  const held = Array.from(extents, () => 0)
  const holders = new Map<number, number>()
  const faults: string[] = []
  for (const member of shard.members.values()) {
    member.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      for (let offset = start; offset < start + count; offset++) {
        const place = shard.relocations.locate(offset)
        if (place !== offset) holders.set(offset, (holders.get(offset) ?? 0) + 1)
        const at = extents.findIndex((extent) => place >= extent.start && place < extent.end)
        if (at >= 0) held[at]!++
        else faults.push(`member ${member.id} holds ${offset}, which no extent covers at ${place}`)
      }
    })
  }
  let end = 0
  for (const [at, extent] of extents.entries()) {
    const name = `the extent from ${extent.start}`
    if (extent.refs !== held[at]) {
      faults.push(`${name} counts ${extent.refs} holders, there are ${held[at]}`)
    }
    if (extent.start < end) faults.push(`${name} begins before ${end}, the end of the one before`)
    end = extent.end
  }
  for (const [offset, { refs }] of shard.relocations.entries()) {
    const count = holders.get(offset) ?? 0
    if (refs !== count)
      faults.push(`the moved ${offset} counts ${refs} holders, there are ${count}`)
  }
  return faults
}
