import { ROUTING_KEY_BYTES_MAX } from '../model/address.ts'

const FIRST_CAPACITY = 64
const FIRST_ARENA_BYTES = 1024
const FIRST_KEY_BYTES = 1024
/** Where every key starts: the node of the empty key. */
export const ROOT = 0
const NO_NODE = -1
const NO_OFFSET = -1
/** In the place of a parent: the node is not in use. */
const FREE = 0xffff_ffff
const SEPARATOR = 0x2e
/** The most bytes that UTF-8 needs for one unit of a string. */
const BYTES_PER_UNIT = 3

/** Something that walks the index and must not be left standing on a node that goes. */
export interface IndexWalker {
  /** `node` goes; its links are still there. */
  nodeGoes(node: number): void
}

/**
 * Dotted keys and the offset of the message that each one holds: a trie of segments.
 *
 * Typed arrays outside the heap, some 45 bytes and the segment's own for each node, so a million
 * keys cost the garbage collector nothing. Children hang in a list for wildcards and are found
 * by one hash table of (parent, segment) for everything else. A new child comes first in its list,
 * so whoever walks meets none that came meanwhile and misses none that stays.
 */
export class RetainedIndex {
  readonly #walkers: Set<IndexWalker> = new Set()

  // By node.
  #offsets = new Float64Array(FIRST_CAPACITY).fill(NO_OFFSET)
  #sizes = new Uint32Array(FIRST_CAPACITY)
  #parents = new Uint32Array(FIRST_CAPACITY)
  #firstChildren = new Uint32Array(FIRST_CAPACITY)
  /** The next sibling, or the next free node. 0: none, for the root is nobody's sibling. */
  #nexts = new Uint32Array(FIRST_CAPACITY)
  #previous = new Uint32Array(FIRST_CAPACITY)
  #segmentStarts = new Uint32Array(FIRST_CAPACITY)
  #segmentSizes = new Uint16Array(FIRST_CAPACITY)
  /** Nodes that are or were in use. */
  #nodeEnd = 1
  #freeNode = 0
  #nodeCount = 1

  /** Nodes by (parent, segment), open addressing; 0: empty. */
  #slots = new Uint32Array(2 * FIRST_CAPACITY)

  /** Segments one after the other, those of nodes that went among them. */
  #arena: Buffer = Buffer.alloc(FIRST_ARENA_BYTES)
  #arenaEnd = 0
  #arenaLive = 0

  /** Grows with the longest key. */
  #key: Buffer = Buffer.alloc(FIRST_KEY_BYTES)
  #count = 0
  #bytes = 0

  /** How many keys hold a message. */
  get count(): number {
    return this.#count
  }

  /** The sizes of all messages together. */
  get bytes(): number {
    return this.#bytes
  }

  /** Memory that the index takes, in bytes. */
  get memoryBytes(): number {
    const capacity = this.#offsets.length
    return capacity * (8 + 4 * 6 + 2) + 4 * this.#slots.length + this.#arena.length
  }

  /** The node of a key that holds a message, or -1. */
  find(key: string): number {
    const node = this.#descend(key, false)
    return node === NO_NODE || this.#offsets[node] === NO_OFFSET ? NO_NODE : node
  }

  /** Makes `key` hold a message, in place of the one before; returns its node. */
  set(key: string, offset: number, bytes: number): number {
    const node = this.#descend(key, true)
    if (node === NO_NODE)
      throw new RangeError(`a key is longer than ${ROUTING_KEY_BYTES_MAX} bytes`)
    if (this.#offsets[node] === NO_OFFSET) this.#count++
    this.#bytes += bytes - this.#sizes[node]!
    this.#offsets[node] = offset
    this.#sizes[node] = bytes
    return node
  }

  /** The node holds no message any more, and goes with all that only led to it. */
  remove(node: number): void {
    if (this.#offsets[node] === NO_OFFSET) return
    this.#count--
    this.#bytes -= this.#sizes[node]!
    this.#offsets[node] = NO_OFFSET
    this.#sizes[node] = 0
    let at = node
    while (at !== ROOT && this.#offsets[at] === NO_OFFSET && this.#firstChildren[at] === 0) {
      const parent = this.#parents[at]!
      this.#free(at)
      at = parent
    }
  }

  /** The offset that a node holds, or -1. */
  offsetOf(node: number): number {
    return this.#offsets[node]!
  }

  /** The first child of a node, or 0. */
  firstChildOf(node: number): number {
    return this.#firstChildren[node]!
  }

  /** The sibling after a node, or 0. */
  nextOf(node: number): number {
    return this.#nexts[node]!
  }

  /** The child that a segment leads to, or 0. */
  childOf(node: number, segment: Buffer): number {
    return this.#slots[this.#slotOf(node, segment, 0, segment.length)]!
  }

  hasSegment(node: number, segment: Buffer): boolean {
    return this.#isSegment(node, segment, 0, segment.length)
  }

  /** From now on, `walker` is told of nodes that go. */
  addWalker(walker: IndexWalker): void {
    this.#walkers.add(walker)
  }

  removeWalker(walker: IndexWalker): void {
    this.#walkers.delete(walker)
  }

  /** The node of a key, made where it is not there and `makes` says so; else -1. */
  #descend(key: string, makes: boolean): number {
    if (key.length > ROUTING_KEY_BYTES_MAX) return NO_NODE
    const roomBytes = key.length * BYTES_PER_UNIT
    if (this.#key.length < roomBytes) this.#key = Buffer.alloc(roomBytes)
    const bytes = this.#key
    const end = bytes.write(key, 0, 'utf8')
    if (end > ROUTING_KEY_BYTES_MAX) return NO_NODE
    if (end === 0) return ROOT
    let node = ROOT
    let start = 0
    for (let at = 0; at <= end; at++) {
      if (at < end && bytes[at] !== SEPARATOR) continue
      const slot = this.#slotOf(node, bytes, start, at)
      let child = this.#slots[slot]!
      if (child === 0) {
        if (!makes) return NO_NODE
        child = this.#add(node, slot, bytes.subarray(start, at))
      }
      node = child
      start = at + 1
    }
    return node
  }

  #add(parent: number, slot: number, segment: Buffer): number {
    const segmentStart = this.#keep(segment)
    const node = this.#takeNode()
    const next = this.#firstChildren[parent]!
    this.#parents[node] = parent
    this.#firstChildren[node] = 0
    this.#nexts[node] = next
    this.#previous[node] = 0
    if (next !== 0) this.#previous[next] = node
    this.#firstChildren[parent] = node
    this.#segmentSizes[node] = segment.length
    this.#segmentStarts[node] = segmentStart
    this.#slots[slot] = node
    this.#nodeCount++
    // At most two thirds full: probes stay short.
    if (this.#nodeCount * 3 > this.#slots.length * 2) this.#rehash(this.#slots.length * 2)
    return node
  }

  #free(node: number): void {
    for (const walker of this.#walkers) walker.nodeGoes(node)
    this.#emptySlotOf(node)
    const next = this.#nexts[node]!
    const previous = this.#previous[node]!
    if (previous === 0) this.#firstChildren[this.#parents[node]!] = next
    else this.#nexts[previous] = next
    if (next !== 0) this.#previous[next] = previous
    this.#arenaLive -= this.#segmentSizes[node]!
    this.#parents[node] = FREE
    this.#nexts[node] = this.#freeNode
    this.#freeNode = node
    this.#nodeCount--
  }

  #takeNode(): number {
    const free = this.#freeNode
    if (free !== 0) {
      this.#freeNode = this.#nexts[free]!
      return free
    }
    if (this.#nodeEnd === this.#offsets.length) this.#grow(Math.ceil(this.#nodeEnd * 1.5))
    return this.#nodeEnd++
  }

  #grow(capacity: number): void {
    const offsets = new Float64Array(capacity).fill(NO_OFFSET, this.#offsets.length)
    offsets.set(this.#offsets)
    this.#offsets = offsets
    this.#sizes = widened(this.#sizes, capacity)
    this.#parents = widened(this.#parents, capacity)
    this.#firstChildren = widened(this.#firstChildren, capacity)
    this.#nexts = widened(this.#nexts, capacity)
    this.#previous = widened(this.#previous, capacity)
    this.#segmentStarts = widened(this.#segmentStarts, capacity)
    const segmentSizes = new Uint16Array(capacity)
    segmentSizes.set(this.#segmentSizes)
    this.#segmentSizes = segmentSizes
  }

  /** Copies a segment into the arena; returns where it starts. */
  #keep(segment: Buffer): number {
    if (this.#arenaEnd + segment.length > this.#arena.length) this.#tidyArena(segment.length)
    const start = this.#arenaEnd
    segment.copy(this.#arena, start)
    this.#arenaEnd += segment.length
    this.#arenaLive += segment.length
    return start
  }

  /** Makes room for `wanted` bytes: what nodes left behind goes, and a larger arena comes. */
  #tidyArena(wanted: number): void {
    const arena = Buffer.alloc(Math.ceil((this.#arenaLive + wanted) * 1.5))
    let end = 0
    for (let node = 1; node < this.#nodeEnd; node++) {
      if (this.#parents[node] === FREE) continue
      const start = this.#segmentStarts[node]!
      const size = this.#segmentSizes[node]!
      this.#segmentStarts[node] = end
      this.#arena.copy(arena, end, start, start + size)
      end += size
    }
    this.#arena = arena
    this.#arenaEnd = end
  }

  /** Where the node of (parent, segment) stands in `#slots`, or where it would. */
  #slotOf(parent: number, bytes: Buffer, start: number, end: number): number {
    const slots = this.#slots
    const mask = slots.length - 1
    let slot = hashOf(parent, bytes, start, end) & mask
    for (let node = slots[slot]!; node !== 0; node = slots[slot]!) {
      if (this.#parents[node] === parent && this.#isSegment(node, bytes, start, end)) break
      slot = (slot + 1) & mask
    }
    return slot
  }

  #isSegment(node: number, bytes: Buffer, start: number, end: number): boolean {
    const size = end - start
    if (this.#segmentSizes[node] !== size) return false
    const arena = this.#arena
    const from = this.#segmentStarts[node]!
    for (let at = 0; at < size; at++) {
      if (arena[from + at] !== bytes[start + at]) return false
    }
    return true
  }

  #homeOf(node: number): number {
    const start = this.#segmentStarts[node]!
    const end = start + this.#segmentSizes[node]!
    return hashOf(this.#parents[node]!, this.#arena, start, end) & (this.#slots.length - 1)
  }

  #emptySlotOf(node: number): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let hole = this.#homeOf(node)
    while (slots[hole] !== node) hole = (hole + 1) & mask
    // Whoever stands behind and could stand in the hole moves up, so that no probe ends early.
    for (let slot = (hole + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#homeOf(slots[slot]!)
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue
      slots[hole] = slots[slot]!
      hole = slot
    }
    slots[hole] = 0
  }

  #rehash(capacity: number): void {
    this.#slots = new Uint32Array(capacity)
    const mask = capacity - 1
    for (let node = 1; node < this.#nodeEnd; node++) {
      if (this.#parents[node] === FREE) continue
      let slot = this.#homeOf(node)
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
      this.#slots[slot] = node
    }
  }
}

function widened(array: Uint32Array, capacity: number): Uint32Array<ArrayBuffer> {
  const wider = new Uint32Array(capacity)
  wider.set(array)
  return wider
}

function hashOf(parent: number, bytes: Buffer, start: number, end: number): number {
  let hash = Math.imul(parent ^ 0x811c_9dc5, 0x9e37_79b1)
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x0100_0193)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b_3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}
