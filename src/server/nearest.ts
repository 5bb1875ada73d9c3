/** The candidate that `word` was most likely meant to be; null when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null
  let bestDistance = Math.floor(word.length / 3) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** How many letters must be put in, taken out or changed to make one of the other. */
function editDistance(source: string, target: string): number {
  let previous = Array.from({ length: target.length + 1 }, (_, index) => index)
  for (let row = 1; row <= source.length; row++) {
    const current = [row]
    for (let column = 1; column <= target.length; column++) {
      const changed = source[row - 1] === target[column - 1] ? 0 : 1
      const replace = (previous[column - 1] ?? 0) + changed
      const take = (previous[column] ?? 0) + 1
      const put = (current[column - 1] ?? 0) + 1
      current.push(Math.min(replace, take, put))
    }
    previous = current
  }
  return previous[target.length] ?? 0
}
