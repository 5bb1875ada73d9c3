import type { HeaderMap } from '../../model/header-value.ts'
import { BindingMatcher, type KeptBinding } from './binding-matcher.ts'
import type { RoutingKey } from './routing-key.ts'
import { collectTargets, type Targets, withoutTarget, withTarget } from './target-bag.ts'

/** One word, whichever it is. */
const ANY_WORD = '*'
/** Zero words or more. */
const ANY_WORDS = '#'

class TrieNode<T extends object> {
  readonly parent: TrieNode<T> | null
  /** The segment that leads here from the parent. */
  readonly segment: string
  /** Reached by `#`: stays where it is for any further word. */
  readonly repeats: boolean
  /** By their segment; a single one, as most have, needs no map. */
  words: Map<string, TrieNode<T>> | TrieNode<T> | null = null
  anyWord: TrieNode<T> | null = null
  anyWords: TrieNode<T> | null = null
  targets: Targets<T> | null = null
  /** The last step in which this node was active, so that it is active once. */
  step = 0

  constructor(parent: TrieNode<T> | null, segment: string) {
    this.parent = parent
    this.segment = segment
    this.repeats = segment === ANY_WORDS && parent !== null
  }

  get isEmpty(): boolean {
    return (
      this.targets === null &&
      this.words === null &&
      this.anyWord === null &&
      this.anyWords === null
    )
  }

  child(segment: string): TrieNode<T> | null {
    if (segment === ANY_WORD) return this.anyWord
    if (segment === ANY_WORDS) return this.anyWords
    return this.word(segment) ?? null
  }

  word(segment: string): TrieNode<T> | undefined {
    const { words } = this
    if (words === null) return undefined
    if (words instanceof Map) return words.get(segment)
    return words.segment === segment ? words : undefined
  }

  childOrNew(segment: string): TrieNode<T> {
    const found = this.child(segment)
    if (found !== null) return found
    const made = new TrieNode(this, segment)
    if (segment === ANY_WORD) this.anyWord = made
    else if (segment === ANY_WORDS) this.anyWords = made
    else if (this.words === null) this.words = made
    else if (this.words instanceof Map) this.words.set(segment, made)
    else {
      this.words = new Map([
        [this.words.segment, this.words],
        [segment, made],
      ])
    }
    return made
  }

  removeChild(segment: string): void {
    if (segment === ANY_WORD) this.anyWord = null
    else if (segment === ANY_WORDS) this.anyWords = null
    else if (this.words instanceof Map) {
      this.words.delete(segment)
      if (this.words.size === 0) this.words = null
    } else this.words = null
  }
}

/**
 * Binding keys as a trie of segments: `*` stands for one word, `#` for any number of them.
 *
 * A match walks all possible places at once, word by word, each place at most once a word. So
 * the work is bounded by places times words, where a search with backtracking would take time
 * that doubles with each `#` of a hostile set of bindings.
 */
export class TopicMatcher<T extends object> extends BindingMatcher<T> {
  override readonly kind = 'topic'
  override readonly dependsOn = 'key'
  readonly #root = new TrieNode<T>(null, '')
  #active: TrieNode<T>[] = []
  #next: TrieNode<T>[] = []
  #step = 0

  override match(key: RoutingKey, _headers: HeaderMap | null, into: Set<T>): void {
    const segments = key.segments
    this.#begin()
    this.#activate(this.#root)
    this.#swap()
    for (let index = 0; index < segments.length && this.#active.length > 0; index++) {
      this.#begin()
      this.#advance(segments[index]!)
      this.#swap()
    }
    for (let index = 0; index < this.#active.length; index++) {
      const { targets } = this.#active[index]!
      if (targets !== null) collectTargets(targets, into)
    }
    this.#active.length = 0
  }

  protected override insert(binding: KeptBinding<T>): void {
    let node = this.#root
    for (const segment of binding.segments) node = node.childOrNew(segment)
    node.targets = withTarget(node.targets, binding.target)
  }

  protected override drop(binding: KeptBinding<T>): void {
    let node: TrieNode<T> | null = this.#root
    for (const segment of binding.segments) node = node?.child(segment) ?? null
    if (node === null || node.targets === null) return
    node.targets = withoutTarget(node.targets, binding.target)
    while (node.parent !== null && node.isEmpty) {
      node.parent.removeChild(node.segment)
      node = node.parent
    }
  }

  #begin(): void {
    this.#step += 1
    this.#next.length = 0
  }

  #swap(): void {
    const done = this.#active
    this.#active = this.#next
    this.#next = done
  }

  #advance(segment: string): void {
    for (let index = 0; index < this.#active.length; index++) {
      const node = this.#active[index]!
      if (node.repeats) this.#activate(node)
      if (node.anyWord !== null) this.#activate(node.anyWord)
      const word = node.word(segment)
      if (word !== undefined) this.#activate(word)
    }
  }

  /** With a place goes the `#` behind it, which needs no word. */
  #activate(start: TrieNode<T>): void {
    for (let node: TrieNode<T> | null = start; node !== null; node = node.anyWords) {
      if (node.step === this.#step) return
      node.step = this.#step
      this.#next.push(node)
    }
  }
}
