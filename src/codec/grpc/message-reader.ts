import { GrpcFrameError } from './grpc-error.ts'
import { KEPT_BYTES_FIRST } from './limits.ts'

/** Before each message: flags (8) and its length (32). */
export const PREFIX_BYTES = 5

/** gRPC's number of RESOURCE_EXHAUSTED and of INTERNAL. */
const TOO_LARGE = 8
const BROKEN = 13

export interface MessageTarget {
  /** Whether another message may come now. */
  readonly isReady: boolean
  /** `bytes` are borrowed; `isLast`: it is the end of what was pushed as the end. */
  onMessage(bytes: Buffer, flags: number, isLast: boolean): void
}

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Cuts the content of a stream into messages, each behind its prefix (gRPC over HTTP/2, and both
 * streaming Connect and gRPC-Web). One that lies whole in a piece is not copied; one that is cut is
 * gathered, in room that grows with what has come. A length is compared with the limit first.
 */
export class MessageReader {
  readonly #target: MessageTarget
  readonly #messageBytesMax: number
  #kept: Buffer = NOTHING
  #keptBytes = 0

  constructor(target: MessageTarget, messageBytesMax: number) {
    this.#target = target
    this.#messageBytesMax = messageBytesMax
  }

  /** Nothing is kept: the content may end here. */
  get isBetweenMessages(): boolean {
    return this.#keptBytes === 0
  }

  /** A whole message is kept, because the target was not ready. */
  get isBlocked(): boolean {
    const kept = this.#keptBytes
    return kept >= PREFIX_BYTES && kept === PREFIX_BYTES + this.#kept.readUInt32BE(1)
  }

  /**
   * Takes `bytes[start, end)`, and returns the index behind what it took: less than `end` when the
   * target is not ready; push the rest again later. Throws `GrpcFrameError`.
   */
  push(bytes: Buffer, start: number, end: number, isEnd: boolean): number {
    let at = start
    if (this.#keptBytes > 0) {
      at = this.#continue(bytes, start, end, isEnd)
      if (this.#keptBytes > 0) return at
    }
    while (end - at >= PREFIX_BYTES) {
      const next = at + PREFIX_BYTES + this.#lengthAt(bytes, at)
      if (next > end) break
      if (!this.#target.isReady) return at
      const from = at + PREFIX_BYTES
      this.#target.onMessage(bytes.subarray(from, next), bytes[at]!, isEnd && next === end)
      at = next
    }
    if (at < end) this.#keep(bytes, at, end)
    return end
  }

  #continue(bytes: Buffer, start: number, end: number, isEnd: boolean): number {
    let at = start
    if (this.#keptBytes < PREFIX_BYTES) {
      const size = Math.min(PREFIX_BYTES - this.#keptBytes, end - at)
      this.#keep(bytes, at, at + size)
      at += size
      if (this.#keptBytes < PREFIX_BYTES) return at
    }
    const whole = PREFIX_BYTES + this.#lengthAt(this.#kept, 0)
    const size = Math.min(whole - this.#keptBytes, end - at)
    this.#keep(bytes, at, at + size)
    at += size
    if (this.#keptBytes < whole || !this.#target.isReady) return at
    const kept = this.#kept
    this.#kept = NOTHING
    this.#keptBytes = 0
    this.#target.onMessage(kept.subarray(PREFIX_BYTES, whole), kept[0]!, isEnd && at === end)
    return at
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const needed = this.#keptBytes + end - start
    if (needed > this.#kept.length) {
      const room = Math.max(KEPT_BYTES_FIRST, 2 ** Math.ceil(Math.log2(needed)))
      const larger = Buffer.allocUnsafeSlow(room)
      larger.set(this.#kept.subarray(0, this.#keptBytes), 0)
      this.#kept = larger
    }
    this.#kept.set(bytes.subarray(start, end), this.#keptBytes)
    this.#keptBytes = needed
    if (needed >= PREFIX_BYTES) this.#lengthAt(this.#kept, 0)
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at + 1)
    if (length > this.#messageBytesMax) {
      throw new GrpcFrameError(
        TOO_LARGE,
        `received message larger than max (${length} vs. ${this.#messageBytesMax})`,
      )
    }
    return length
  }
}

/** The fault of content that ends inside a message. */
export function cutMessage(): GrpcFrameError {
  return new GrpcFrameError(BROKEN, 'the stream ended inside a message')
}

/** Writes a prefix into five octets that are used again. */
export function writePrefix(target: Uint8Array, flags: number, length: number): void {
  target[0] = flags
  target[1] = length >>> 24
  target[2] = length >>> 16
  target[3] = length >>> 8
  target[4] = length
}
