import type { FuzzArena } from './fuzz-arena.ts'

const SAMPLE_MS = 10

/**
 * How much resident memory the broker took at most while `attack` ran, in bytes above what it had
 * before; 0 for a broker that is not ours to look at.
 */
export async function memoryPeak(arena: FuzzArena, attack: () => Promise<void>): Promise<number> {
  const { watch } = arena
  if (watch === null) {
    await attack()
    return 0
  }
  const before = watch.residentBytes()
  let highest = before
  const sampler = setInterval(() => {
    highest = Math.max(highest, watch.residentBytes())
  }, SAMPLE_MS)
  try {
    await attack()
    highest = Math.max(highest, watch.residentBytes())
  } finally {
    clearInterval(sampler)
  }
  return highest - before
}
