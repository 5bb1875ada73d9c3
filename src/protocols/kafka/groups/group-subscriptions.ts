import { GroupRefusal } from './group-refusal.ts'
import type { GroupLimits } from './limits.ts'
import type { TopicCatalog } from './topic-catalog.ts'
import { TopicPattern } from './topic-pattern.ts'

/** What a member subscribes to. */
export interface Subscriber {
  readonly topicNames: readonly string[]
  /** A regular expression; empty: none. */
  readonly pattern: string
}

interface SharedPattern {
  readonly pattern: TopicPattern
  memberCount: number
  /** Topics it matches. */
  readonly names: Set<string>
}

/**
 * What the members of a group subscribe to, by name or by pattern, and which topics that is at the
 * moment. A pattern is matched with each name once, however often topics come and go.
 */
export class GroupSubscriptions {
  readonly #catalog: TopicCatalog
  readonly #limits: GroupLimits
  readonly #patterns: Map<string, SharedPattern> = new Map()
  /** Members by name they subscribe to. */
  readonly #names: Map<string, number> = new Map()
  #seenVersion = -1
  /** All topics of the virtual host at the last look, while there are patterns. */
  #seenNames: ReadonlySet<string> = new Set()
  /** Members subscribe to something that nobody did at the last `refresh`, or no longer do. */
  #hasChanged = true
  /** Partitions of each topic that is there, by id. */
  #partitionCounts: ReadonlyMap<string, number> = new Map()

  constructor(catalog: TopicCatalog, limits: GroupLimits) {
    this.#catalog = catalog
    this.#limits = limits
  }

  /** As of the last `refresh`. */
  get partitionCounts(): ReadonlyMap<string, number> {
    return this.#partitionCounts
  }

  /** Whether topics may have changed since the last `refresh`. */
  get isOutdated(): boolean {
    return this.#seenVersion !== this.#catalog.version
  }

  /** Refuses a pattern that cannot be, before anything is changed. */
  check(pattern: string): void {
    if (pattern === '' || this.#patterns.has(pattern)) return
    if (this.#patterns.size >= this.#limits.patternsMax) {
      throw new GroupRefusal(
        'GROUP_MAX_SIZE_REACHED',
        `The group has ${this.#patterns.size} different regular expressions, which is the limit.`,
      )
    }
    new TopicPattern(pattern, this.#limits.patternLengthMax)
  }

  add({ topicNames, pattern }: Subscriber): void {
    for (const name of topicNames) {
      const count = this.#names.get(name) ?? 0
      if (count === 0) this.#hasChanged = true
      this.#names.set(name, count + 1)
    }
    if (pattern === '') return
    const known = this.#patterns.get(pattern)
    if (known !== undefined) {
      known.memberCount += 1
      return
    }
    this.#hasChanged = true
    const compiled = new TopicPattern(pattern, this.#limits.patternLengthMax)
    if (this.#patterns.size === 0) this.#seenNames = new Set(this.#catalog.names())
    const names = new Set<string>()
    for (const name of this.#seenNames) if (compiled.matches(name)) names.add(name)
    this.#patterns.set(pattern, { pattern: compiled, memberCount: 1, names })
  }

  remove({ topicNames, pattern }: Subscriber): void {
    for (const name of topicNames) {
      const count = (this.#names.get(name) ?? 1) - 1
      if (count > 0) {
        this.#names.set(name, count)
        continue
      }
      this.#names.delete(name)
      this.#hasChanged = true
    }
    const known = this.#patterns.get(pattern)
    if (known === undefined) return
    known.memberCount -= 1
    if (known.memberCount > 0) return
    this.#patterns.delete(pattern)
    this.#hasChanged = true
    if (this.#patterns.size === 0) this.#seenNames = new Set()
  }

  isSubscribedTo(name: string): boolean {
    if (this.#names.has(name)) return true
    for (const { pattern } of this.#patterns.values()) if (pattern.matches(name)) return true
    return false
  }

  /** Looks at the topics again; true when subscribed ones came, went or grew. */
  refresh(): boolean {
    if (!this.isOutdated && !this.#hasChanged) return false
    this.#hasChanged = false
    if (this.isOutdated) {
      if (this.#patterns.size > 0) this.#matchChanged()
      this.#seenVersion = this.#catalog.version
    }
    const counts = new Map<string, number>()
    for (const name of this.#names.keys()) this.#see(name, counts)
    for (const { names } of this.#patterns.values()) {
      for (const name of names) this.#see(name, counts)
    }
    const hasChanged = !isSame(counts, this.#partitionCounts)
    if (hasChanged) this.#partitionCounts = counts
    return hasChanged
  }

  /** Ids of the topics of one member that are there. */
  topicIds({ topicNames, pattern }: Subscriber): Set<string> {
    const ids = new Set<string>()
    const add = (name: string): void => {
      const topic = this.#catalog.get(name)
      if (topic !== undefined) ids.add(topic.id)
    }
    topicNames.forEach(add)
    this.#patterns.get(pattern)?.names.forEach(add)
    return ids
  }

  #matchChanged(): void {
    const names = new Set(this.#catalog.names())
    const patterns = [...this.#patterns.values()]
    for (const name of this.#seenNames) {
      if (!names.has(name)) for (const shared of patterns) shared.names.delete(name)
    }
    for (const name of names) {
      if (this.#seenNames.has(name)) continue
      for (const { pattern, names: matched } of patterns) {
        if (pattern.matches(name)) matched.add(name)
      }
    }
    this.#seenNames = names
  }

  #see(name: string, counts: Map<string, number>): void {
    const topic = this.#catalog.get(name)
    if (topic !== undefined) counts.set(topic.id, topic.partitionCount)
  }
}

function isSame(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): boolean {
  if (left.size !== right.size) return false
  for (const [id, count] of left) if (right.get(id) !== count) return false
  return true
}
