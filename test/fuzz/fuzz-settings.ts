/**
 * How long and from where the fuzz runs go. The defaults make a short run that is the same each
 * time; by night `WAYSTATION_FUZZ_RUNS=100 WAYSTATION_FUZZ_SEED=$RANDOM` goes further.
 */

/** Multiplies every count of cases. Default 1. */
const RUNS = positive('WAYSTATION_FUZZ_RUNS', 1)

/** Where the random numbers start. Default 1. */
const SEED: number = positive('WAYSTATION_FUZZ_SEED', 1)

/** The one case to run again, as a failure names it; null runs them all. */
export const ONLY_CASE: number | null =
  process.env['WAYSTATION_FUZZ_CASE'] === undefined ? null : positive('WAYSTATION_FUZZ_CASE', 0)

/** So many cases instead of `count`. */
export function scaled(count: number): number {
  return Math.max(1, Math.round(count * RUNS))
}

/** The seed of one case: a case does not depend on those before it. */
export function caseSeed(index: number): number {
  return Math.imul(SEED, 0x9e37_79b1) ^ Math.imul(index + 1, 0x85eb_ca77)
}

/** What a person types to see one case again. */
export function replayHint(index: number): string {
  return `again: WAYSTATION_FUZZ_SEED=${SEED} WAYSTATION_FUZZ_CASE=${index}`
}

function positive(name: string, fallback: number): number {
  const text = process.env[name]
  if (text === undefined || text === '') return fallback
  const value = Number(text)
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`${name}=${text} is no number`)
  return value
}
