import { CommandError, EXIT } from './exit-code.ts'

/** Reads `name=value` flags, such as headers. Throws `CommandError` for one that is none. */
export function pairsOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)]
      throw new CommandError(EXIT.USAGE, `'${pair}' is no header, expected name=value`)
    }),
  )
}
