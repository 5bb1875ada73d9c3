/** Below this a loop beats the call into the engine, which costs the same for 1 or 1,000 octets. */
const LOOP_BYTES_MAX = 32

/**
 * Copies `[start, end)` of `source` to `out` at `at` and returns the index behind the copy.
 *
 * The ranges must not overlap, and the caller has made sure of the room: nothing is cut.
 */
export function copyBytes(
  out: Buffer,
  at: number,
  source: Buffer,
  start: number,
  end: number,
): number {
  if (end - start > LOOP_BYTES_MAX) {
    source.copy(out, at, start, end)
    return at + end - start
  }
  let to = at
  for (let from = start; from < end; from += 1) {
    out[to] = source[from]!
    to += 1
  }
  return to
}
