import { REMEMBERED_BYTES_MAX } from './limits.ts'

/**
 * Remembers values by bytes, such as what a topic leads to, so that a topic is decoded once and
 * not for each message. Forgets everything when `sizeMax` are known; what is long is not
 * remembered at all, so that the memory it takes is bounded.
 */
export class BytesCache<Value> {
  readonly #sizeMax: number
  readonly #values: Map<string, Entry<Value>> = new Map()
  #last: Entry<Value> | undefined = undefined

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  /** HOT: undefined when nothing is remembered. */
  get(bytes: Buffer, start: number, end: number): Value | undefined {
    if (end - start > REMEMBERED_BYTES_MAX) return undefined
    const last = this.#last
    if (last !== undefined && isSame(last.bytes, bytes, start, end)) return last.value
    const entry = this.#values.get(bytes.toString('latin1', start, end))
    if (entry !== undefined) this.#last = entry
    return entry?.value
  }

  /** Copies the bytes. */
  set(bytes: Buffer, start: number, end: number, value: Value): void {
    if (end - start > REMEMBERED_BYTES_MAX) return
    if (this.#values.size >= this.#sizeMax) this.clear()
    const entry = { bytes: Buffer.from(bytes.subarray(start, end)), value }
    this.#values.set(bytes.toString('latin1', start, end), entry)
    this.#last = entry
  }

  clear(): void {
    this.#values.clear()
    this.#last = undefined
  }
}

interface Entry<Value> {
  readonly bytes: Buffer
  readonly value: Value
}

function isSame(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false
  // From the end: topics of one publisher differ there first.
  for (let index = known.length - 1, at = end - 1; index >= 0; index--, at--) {
    if (known[index] !== bytes[at]) return false
  }
  return true
}
