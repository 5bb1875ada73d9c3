/** A run of characters, of which any may be any one. */
interface Piece {
  /** By UTF-16 unit; null stands for `_`, any one character. */
  readonly units: readonly (string | null)[]
}

/**
 * A pattern of LIKE: `%` is any number of characters, `_` is one, all others are themselves, and so
 * is what follows the escape character. Each piece between two `%` is looked for once, from where
 * the one before ended: the first place is as good as any, so nothing is ever tried again.
 */
export class LikePattern {
  readonly #pieces: readonly Piece[]

  constructor(pattern: string, escape: string | null) {
    this.#pieces = piecesOf(pattern, escape)
  }

  matches(text: string): boolean {
    const pieces = this.#pieces
    const first = pieces[0]!
    let at = endOf(first, text, 0)
    if (at < 0) return false
    if (pieces.length === 1) return at === text.length
    for (const piece of pieces.slice(1, -1)) {
      at = find(piece, text, at)
      if (at < 0) return false
    }
    return isAtEnd(pieces.at(-1)!, text, at)
  }
}

function piecesOf(pattern: string, escape: string | null): Piece[] {
  const pieces: Piece[] = []
  let units: (string | null)[] = []
  for (let at = 0; at < pattern.length; at++) {
    const unit = pattern[at]!
    if (unit === escape && at + 1 < pattern.length) units.push(pattern[++at]!)
    else if (unit === '%') {
      pieces.push({ units })
      units = []
    } else units.push(unit === '_' ? null : unit)
  }
  pieces.push({ units })
  return pieces
}

/** Where the piece ends that begins at `start`; -1: it is not there. */
function endOf({ units }: Piece, text: string, start: number): number {
  let at = start
  for (const unit of units) {
    if (at >= text.length) return -1
    // A character beyond the first plane is two units, and still one character.
    if (unit === null) at += text.codePointAt(at)! > 0xffff ? 2 : 1
    else if (text[at] === unit) at++
    else return -1
  }
  return at
}

function find(piece: Piece, text: string, from: number): number {
  for (let start = from; start <= text.length; start++) {
    if (isInside(text, start)) continue
    const end = endOf(piece, text, start)
    if (end >= 0) return end
  }
  return -1
}

function isAtEnd(piece: Piece, text: string, from: number): boolean {
  const { units } = piece
  const singles = units.filter((unit) => unit === null).length
  // Each `_` may be two units: that many places to begin at.
  const first = Math.max(from, text.length - units.length - singles)
  for (let start = first; start <= text.length; start++) {
    if (!isInside(text, start) && endOf(piece, text, start) === text.length) return true
  }
  return false
}

/** Between the two units of one character. */
function isInside(text: string, at: number): boolean {
  if (at === 0 || at >= text.length) return false
  const before = text.charCodeAt(at - 1)
  const after = text.charCodeAt(at)
  return before >= 0xd800 && before < 0xdc00 && after >= 0xdc00 && after < 0xe000
}
