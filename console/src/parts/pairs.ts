/** `name: value`, one a line; a line without a name is passed over. */
export function pairsOf(text: string): Record<string, string> {
  const pairs: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon < 1) continue
    pairs[line.slice(0, colon).trim()] = line.slice(colon + 1).trim()
  }
  return pairs
}
