import { VarintReader, VarintWriter } from '../lib/varint.ts'
import type { MessageOwner } from '../model/message-owner.ts'
import type { Owners } from './owners.ts'

/**
 * Offsets of a stretch: two bytes for each while some message in it is owned and lives, and four
 * more where their bodies differ in size.
 */
const STRETCH_COUNT = 4096

/** What one owner has in a stretch. */
interface Share {
  readonly owner: MessageOwner
  /** Bytes of each body, where the stretch has no list of them. */
  readonly bodyBytes: number
}

class Stretch {
  readonly shares: Share[] = []
  /** For each offset 0, or one more than the place of its owner's share. */
  readonly places = new Uint16Array(STRETCH_COUNT)
  /** Bytes of each body; null while all of one share are alike. */
  sizes: Uint32Array | null = null
  /** Messages in it, counted once for each destination that still holds them. */
  refs = 0

  sizeAt(index: number): number {
    if (this.sizes !== null) return this.sizes[index]!
    const place = this.places[index]!
    return place === 0 ? 0 : this.shares[place - 1]!.bodyBytes
  }

  set(index: number, owner: MessageOwner, bodyBytes: number): void {
    const { shares } = this
    let at = shares.findIndex((share) => share.owner === owner)
    if (at < 0) at = shares.push({ owner, bodyBytes }) - 1
    if (this.sizes === null && shares[at]!.bodyBytes !== bodyBytes) this.listSizes()
    this.places[index] = at + 1
    if (this.sizes !== null) this.sizes[index] = bodyBytes
  }

  listSizes(): Uint32Array {
    const sizes = Uint32Array.from({ length: STRETCH_COUNT }, (_, index) => this.sizeAt(index))
    this.sizes = sizes
    return sizes
  }

  /** One destination more holds the message, or one less. */
  change(index: number, step: 1 | -1): void {
    const place = this.places[index]!
    if (place === 0) return
    const { owner } = this.shares[place - 1]!
    this.refs += step
    owner.messages += step
    owner.bytes += step * this.sizeAt(index)
  }
}

/**
 * Which user published which message of a log, for users whose stored messages are limited. Kept
 * by offset, so that a settlement, which names an offset alone, finds whose message it ended.
 */
export class OwnedOffsets {
  readonly #owners: Owners
  /** By the number of the stretch. */
  readonly #stretches: Map<number, Stretch> = new Map()

  constructor(owners: Owners) {
    this.#owners = owners
  }

  get isEmpty(): boolean {
    return this.#stretches.size === 0
  }

  /** A message was stored, and `refs` destinations hold it. */
  add(offset: number, owner: MessageOwner, bodyBytes: number, refs: number): void {
    const number = Math.floor(offset / STRETCH_COUNT)
    let stretch = this.#stretches.get(number)
    if (stretch === undefined) {
      stretch = new Stretch()
      this.#stretches.set(number, stretch)
    }
    stretch.set(offset % STRETCH_COUNT, owner, bodyBytes)
    stretch.refs += refs
    owner.messages += refs
    owner.bytes += refs * bodyBytes
  }

  /** Some destinations hold the messages of a run, or, where `step` is -1, one does no more. */
  change(start: number, count: number, step: 1 | -1): void {
    for (let offset = start; offset < start + count;) {
      const number = Math.floor(offset / STRETCH_COUNT)
      const end = Math.min(start + count, (number + 1) * STRETCH_COUNT)
      const stretch = this.#stretches.get(number)
      if (stretch !== undefined) {
        for (let at = offset; at < end; at++) stretch.change(at % STRETCH_COUNT, step)
        if (step < 0 && stretch.refs === 0) this.#stretches.delete(number)
      }
      offset = end
    }
  }

  /**
   * u32 count of owners and each as u16 bytes and its name; then for each stretch its number, the
   * count of shares and each as number of the owner and bytes, the places in runs of place and
   * length, and 0, or 1 and the size of each body, all of them variable-length integers.
   */
  encode(): Buffer {
    const out = new VarintWriter()
    const owners = new Map<MessageOwner, number>()
    for (const [number, { shares, places, sizes }] of this.#stretches) {
      out.write(number)
      out.write(shares.length)
      for (const { owner, bodyBytes } of shares) {
        if (!owners.has(owner)) owners.set(owner, owners.size)
        out.write(owners.get(owner)!)
        out.write(bodyBytes)
      }
      for (let at = 0; at < STRETCH_COUNT;) {
        let end = at + 1
        while (end < STRETCH_COUNT && places[end] === places[at]) end++
        out.write(places[at]!)
        out.write(end - at)
        at = end
      }
      out.write(sizes === null ? 0 : 1)
      if (sizes !== null) for (const size of sizes) out.write(size)
    }
    const head = Buffer.allocUnsafe(4)
    head.writeUInt32BE(owners.size, 0)
    const names = Array.from(owners.keys(), ({ nameBytes }) => [sizeOf(nameBytes), nameBytes])
    return Buffer.concat([head, ...names.flat(), out.bytes()])
  }

  /** Reads what `encode` wrote; nobody holds anything until `change` says so. */
  decode(bytes: Buffer): void {
    const owners: MessageOwner[] = []
    let at = 4
    for (let left = bytes.readUInt32BE(0); left > 0; left--) {
      const end = at + 2 + bytes.readUInt16BE(at)
      owners.push(this.#owners.of(bytes.toString('utf8', at + 2, end)))
      at = end
    }
    const reader = new VarintReader(bytes, at)
    while (reader.at < bytes.length) {
      const stretch = new Stretch()
      this.#stretches.set(reader.read(), stretch)
      for (let left = reader.read(); left > 0; left--) {
        stretch.shares.push({ owner: owners[reader.read()]!, bodyBytes: reader.read() })
      }
      for (let from = 0; from < STRETCH_COUNT;) {
        const place = reader.read()
        const length = reader.read()
        stretch.places.fill(place, from, from + length)
        from += length
      }
      if (reader.read() === 0) continue
      const sizes = stretch.listSizes()
      for (let index = 0; index < STRETCH_COUNT; index++) sizes[index] = reader.read()
    }
  }

  /** A record says whose message this is; who holds it is counted later. */
  recover(offset: number, name: string, bodyBytes: number): void {
    this.add(offset, this.#owners.of(name), bodyBytes, 0)
  }

  /** All that is held is counted: stretches of which nothing is are forgotten. */
  recovered(): void {
    for (const [number, { refs }] of this.#stretches) {
      if (refs === 0) this.#stretches.delete(number)
    }
  }
}

function sizeOf(bytes: Buffer): Buffer {
  return Buffer.of(bytes.length >>> 8, bytes.length & 0xff)
}
