import { REMEMBERED_BYTES_MAX } from './limits.ts'

/** Of one chain; a longer one comes of topics that were made to collide. */
const CHAIN_LENGTH_MAX = 16
const BUCKETS_MIN = 8

/**
 * Remembers values by bytes, such as what a topic leads to, so that a topic is decoded once and
 * not for each message. Forgets everything when `sizeMax` are known, or too many share a bucket;
 * what is long is not remembered at all, so that the memory it takes is bounded.
 */
export class BytesCache<Value> {
  readonly #sizeMax: number
  /** A power of two of chains; none before there is something to remember. */
  #buckets: (Entry<Value> | null)[] = []
  #size = 0
  #last: Entry<Value> | null = null

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  /** HOT: undefined when nothing is remembered. */
  get(bytes: Buffer, start: number, end: number): Value | undefined {
    if (end - start > REMEMBERED_BYTES_MAX) return undefined
    const last = this.#last
    if (last !== null && isSame(last.bytes, bytes, start, end)) return last.value
    if (this.#size === 0) return undefined
    const hash = hashOf(bytes, start, end)
    let entry = this.#buckets[hash & (this.#buckets.length - 1)]!
    while (entry !== null) {
      if (entry.hash === hash && isSame(entry.bytes, bytes, start, end)) {
        this.#last = entry
        return entry.value
      }
      entry = entry.next!
    }
    return undefined
  }

  /** Copies the bytes, for which nothing may be remembered yet. */
  set(bytes: Buffer, start: number, end: number, value: Value): void {
    if (end - start > REMEMBERED_BYTES_MAX) return
    if (this.#size >= this.#sizeMax) this.clear()
    if (this.#size >= this.#buckets.length) this.#grow()
    const hash = hashOf(bytes, start, end)
    if (this.#chainLength(hash) >= CHAIN_LENGTH_MAX) this.#forget()
    const copy = Buffer.from(bytes.subarray(start, end))
    this.#last = this.#link({ hash, bytes: copy, value, next: null })
    this.#size++
  }

  clear(): void {
    this.#buckets = []
    this.#size = 0
    this.#last = null
  }

  #forget(): void {
    this.#buckets.fill(null)
    this.#size = 0
  }

  #link(entry: Entry<Value>): Entry<Value> {
    const at = entry.hash & (this.#buckets.length - 1)
    entry.next = this.#buckets[at]!
    this.#buckets[at] = entry
    return entry
  }

  #grow(): void {
    const before = this.#buckets
    const size = Math.max(BUCKETS_MIN, before.length * 2)
    this.#buckets = Array.from({ length: size }, () => null)
    for (const first of before) {
      for (let entry = first; entry !== null;) {
        const { next } = entry
        this.#link(entry)
        entry = next
      }
    }
  }

  #chainLength(hash: number): number {
    let length = 0
    let entry = this.#buckets[hash & (this.#buckets.length - 1)]!
    for (; entry !== null; entry = entry.next!) length++
    return length
  }
}

interface Entry<Value> {
  readonly hash: number
  readonly bytes: Buffer
  readonly value: Value
  next: Entry<Value> | null
}

/** FNV-1a, with its upper bits mixed into those that choose a bucket. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  let hash = 0x811c_9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x0100_0193)
  return hash ^ (hash >>> 15)
}

function isSame(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false
  // From the end: topics of one publisher differ there first.
  for (let index = known.length - 1, at = end - 1; index >= 0; index--, at--) {
    if (known[index] !== bytes[at]) return false
  }
  return true
}
