import { hashBytes53 } from '../../lib/hash32.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { NO_KEY } from '../key-order.ts'
import { messageKeyOf } from '../message-key.ts'
import { StoredMessage } from '../stored-message.ts'
import { type LeaseRanges, RANGE } from './lease-ranges.ts'
import type { Piece } from './piece.ts'

const UNKNOWN = -2
const FIRST_CAPACITY = 256

/** Who knows how to look into messages: a virtual host. */
interface Forms {
  form(id: number): NativeForm | undefined
}

const view = new StoredMessage()

/**
 * The keys of the messages between what is settled all along and what may be given out, as
 * numbers. In memory only: they are read again after a restart. 16 bytes for each offset.
 */
export class SharedKeys {
  #offsets = new Float64Array(FIRST_CAPACITY).fill(-1)
  #keys = new Float64Array(FIRST_CAPACITY)

  /** Looks into what was read from `from` on, as far as `range` goes and it is not known yet. */
  learn(
    { from, pieces }: { readonly from: number; readonly pieces: readonly Piece[] },
    range: { readonly start: number; readonly end: number },
    forms: Forms,
  ): void {
    this.#fit(range.end - range.start)
    let next = Math.max(from, range.start)
    for (const piece of pieces) {
      const end = Math.min(piece.nextOffset, range.end)
      if (next >= end) continue
      const isKnown = this.#isKnown(next, end)
      // What is missing here was compacted away, so there is nothing to keep in order.
      if (!isKnown) for (let offset = next; offset < end; offset++) this.#set(offset, NO_KEY)
      next = end
      if (!isKnown) this.#learnPiece(piece, range, forms)
    }
  }

  of(offset: number): number {
    const place = offset & (this.#offsets.length - 1)
    return this.#offsets[place] === offset ? this.#keys[place]! : UNKNOWN
  }

  isKnown(offset: number): boolean {
    return this.of(offset) !== UNKNOWN
  }

  #learnPiece(
    piece: Piece,
    range: { readonly start: number; readonly end: number },
    forms: Forms,
  ): void {
    const form = forms.form(piece.form)
    if (piece.kind === 'message') {
      view.set(piece.data, piece.start, piece.timestampMs)
      this.#set(piece.baseOffset, messageKeyOf(view, { header: '' }, form))
      view.forget()
      return
    }
    form?.batch?.eachKey?.(piece.data, piece.start, piece.end, (offsetDelta, key) => {
      const offset = piece.baseOffset + offsetDelta
      if (key === null || key.length === 0) return
      if (offset >= range.start && offset < range.end) {
        this.#set(offset, hashBytes53(key, 0, key.length))
      }
    })
  }

  #isKnown(from: number, end: number): boolean {
    for (let offset = from; offset < end; offset++) if (!this.isKnown(offset)) return false
    return true
  }

  #set(offset: number, key: number): void {
    const place = offset & (this.#offsets.length - 1)
    this.#offsets[place] = offset
    this.#keys[place] = key
  }

  /** Room for so many offsets in a row; what was known is looked up again. */
  #fit(width: number): void {
    let capacity = this.#offsets.length
    while (capacity < width) capacity *= 2
    if (capacity === this.#offsets.length) return
    this.#offsets = new Float64Array(capacity).fill(-1)
    this.#keys = new Float64Array(capacity)
  }
}

/** Which messages one member may have now, told of them in ascending order. */
export class KeyLocks {
  readonly #keys: SharedKeys
  /** Keys that nothing more is given of. */
  readonly #locked: Set<number> = new Set()
  /** Of keys that the member has messages of: the last one. */
  readonly #own: Map<number, number> = new Map()

  constructor(member: string, keys: SharedKeys, ranges: LeaseRanges) {
    this.#keys = keys
    for (let index = 0; index < ranges.count; index++) {
      if (ranges.stateAt(index) !== RANGE.LEASED) continue
      const isOwn = ranges.ownerAt(index) === member
      for (let offset = ranges.startAt(index); offset < ranges.endAt(index); offset++) {
        const key = keys.of(offset)
        if (key < 0) continue
        if (isOwn) this.#own.set(key, offset)
        else this.#locked.add(key)
      }
    }
  }

  /** Whether the member may have it, as far as those before it are given out or not. */
  mayTake(offset: number): boolean {
    const key = this.#keys.of(offset)
    if (key === NO_KEY) return true
    if (key === UNKNOWN || this.#locked.has(key)) return false
    // It came back, and others of its key that were given out after it are not settled yet.
    if ((this.#own.get(key) ?? -1) < offset) return true
    this.#locked.add(key)
    return false
  }

  /** It is not given out now, and so none of its key behind it is. */
  passOver(offset: number): void {
    const key = this.#keys.of(offset)
    if (key >= 0) this.#locked.add(key)
  }
}
