import type { Exchange, Route } from '../../broker/index.ts'

/** What publishing to one address means; replaced, never changed, except by `RouteCache` users. */
export class RouteSlot {
  /** The address as it came, in bytes of its own: what is stored with every message. */
  readonly address: Buffer
  readonly exchangeName: string
  readonly routingKey: string
  /** Found again whenever `version` is not the virtual host's any more. */
  exchange: Exchange | null = null
  route: Route | null = null
  version = -1

  constructor(address: Buffer) {
    const keyAt = 1 + address[0]!
    this.address = address
    this.exchangeName = address.toString('utf8', 1, keyAt)
    this.routingKey = address.toString('utf8', keyAt + 1)
  }
}

const SIZE_MIN = 16

/**
 * Finds the slot of an address by its bytes, so that a publisher's exchange and routing key are
 * decoded once and not for each message.
 *
 * Direct-mapped: two addresses in one place take turns. It doubles while that happens often, up
 * to `sizeMax`, which must be a power of two.
 */
export class RouteCache {
  readonly #sizeMax: number
  #slots: (RouteSlot | undefined)[] = []
  #last: RouteSlot | undefined = undefined
  #evictions = 0

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  /** The slot of the address in `[start, end)`; a new one when it is not remembered. */
  find(bytes: Buffer, start: number, end: number): RouteSlot {
    const last = this.#last
    if (last !== undefined && isSame(last.address, bytes, start, end)) return last
    const slots = this.#slots
    const place = hashOf(bytes, start, end) & (slots.length - 1)
    const slot = slots[place]
    if (slot !== undefined && isSame(slot.address, bytes, start, end)) {
      this.#last = slot
      return slot
    }
    return this.#add(bytes, start, end, slot !== undefined)
  }

  /** Permissions may have changed: everything is looked up again. */
  clear(): void {
    this.#slots = []
    this.#last = undefined
    this.#evictions = 0
  }

  #add(bytes: Buffer, start: number, end: number, evicts: boolean): RouteSlot {
    if (this.#slots.length === 0) this.#slots = emptySlots(Math.min(SIZE_MIN, this.#sizeMax))
    else if (evicts && ++this.#evictions > this.#slots.length / 4) this.#grow()
    const address = Buffer.from(bytes.subarray(start, end))
    const slot = new RouteSlot(address)
    this.#slots[hashOf(bytes, start, end) & (this.#slots.length - 1)] = slot
    this.#last = slot
    return slot
  }

  #grow(): void {
    this.#evictions = 0
    const size = this.#slots.length * 2
    if (size > this.#sizeMax) return
    const before = this.#slots
    this.#slots = emptySlots(size)
    for (const slot of before) {
      if (slot === undefined) continue
      this.#slots[hashOf(slot.address, 0, slot.address.length) & (size - 1)] = slot
    }
  }
}

function emptySlots(size: number): (RouteSlot | undefined)[] {
  return Array.from<RouteSlot | undefined>({ length: size }).fill(undefined)
}

function isSame(address: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const size = end - start
  if (address.length !== size) return false
  // From the end: keys of one publisher differ there first.
  for (let index = size - 1, at = end - 1; index >= 0; index--, at--) {
    if (address[index] !== bytes[at]) return false
  }
  return true
}

function hashOf(bytes: Buffer, start: number, end: number): number {
  let hash = end - start
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  // The low bits, which choose the place, take part of the high ones.
  return hash ^ (hash >>> 15)
}
