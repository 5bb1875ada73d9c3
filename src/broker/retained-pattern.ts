import { splitKey } from './routing/index.ts'

/** One word, whichever it is. */
const ANY_WORD = '*'
/** Zero words or more. */
const ANY_WORDS = '#'

/** A word that leads elsewhere than others do. */
export interface PatternWord {
  readonly text: string
  readonly bytes: Buffer
  readonly state: PatternState
}

/** All places of a pattern that the words so far may have come to. */
export interface PatternState {
  /** The words so far are a match. */
  readonly accepts: boolean
  /** Where words lead that the pattern names here. */
  readonly words: readonly PatternWord[]
  /** Where every other word leads; null: nowhere. */
  readonly others: PatternState | null
}

/**
 * A topic pattern as an automaton whose states are made when they are first asked for. However
 * many `#` it has, each word of a key is looked at once, and a state is made no more often than a
 * key has been followed into it.
 */
export class RetainedPattern {
  readonly start: PatternState
  readonly #segments: readonly string[]
  readonly #states: Map<string, PatternState> = new Map()

  constructor(pattern: string) {
    this.#segments = splitKey(pattern)
    const places = new Set<number>()
    this.#enter(places, 0)
    this.start = this.#stateOf(places)
  }

  matches(key: string): boolean {
    let state = this.start
    for (const word of splitKey(key)) {
      const next = state.words.find(({ text }) => text === word)?.state ?? state.others
      if (next === null) return false
      state = next
    }
    return state.accepts
  }

  /** Adds a place of the pattern, and those behind a `#`, which needs no word. */
  #enter(places: Set<number>, place: number): void {
    for (let at = place; !places.has(at); at++) {
      places.add(at)
      if (this.#segments[at] !== ANY_WORDS) return
    }
  }

  #stateOf(places: Set<number>): PatternState {
    const last = this.#segments.length - 1
    // Behind a `#` at the end all is a match, whatever the other places say.
    if (places.has(last) && this.#segments[last] === ANY_WORDS) {
      places.clear()
      this.#enter(places, last)
    }
    const sorted = Array.from(places).toSorted((a, b) => a - b)
    const identity = sorted.join(',')
    const known = this.#states.get(identity)
    if (known !== undefined) return known
    const state = new LazyState(places.has(this.#segments.length), {
      words: () => this.#wordsOf(sorted),
      others: () => this.#step(sorted, null),
    })
    this.#states.set(identity, state)
    return state
  }

  #wordsOf(places: readonly number[]): readonly PatternWord[] {
    const named = new Set<string>()
    for (const place of places) {
      const segment = this.#segments[place]
      if (segment !== undefined && segment !== ANY_WORD && segment !== ANY_WORDS) named.add(segment)
    }
    return Array.from(named, (text) => {
      return { text, bytes: Buffer.from(text, 'utf8'), state: this.#step(places, text)! }
    })
  }

  /** Where `word` leads; null: a word that is named at none of the places. */
  #step(places: readonly number[], word: string | null): PatternState | null {
    const next = new Set<number>()
    for (const place of places) {
      const segment = this.#segments[place]
      if (segment === undefined) continue
      if (segment === ANY_WORDS) this.#enter(next, place)
      else if (segment === ANY_WORD || segment === word) this.#enter(next, place + 1)
    }
    return next.size === 0 ? null : this.#stateOf(next)
  }
}

class LazyState implements PatternState {
  readonly accepts: boolean
  readonly #make: {
    readonly words: () => readonly PatternWord[]
    readonly others: () => PatternState | null
  }
  #words: readonly PatternWord[] | null = null
  #others: PatternState | null | undefined = undefined

  constructor(
    accepts: boolean,
    make: {
      readonly words: () => readonly PatternWord[]
      readonly others: () => PatternState | null
    },
  ) {
    this.accepts = accepts
    this.#make = make
  }

  get words(): readonly PatternWord[] {
    return (this.#words ??= this.#make.words())
  }

  get others(): PatternState | null {
    if (this.#others === undefined) this.#others = this.#make.others()
    return this.#others
  }
}
