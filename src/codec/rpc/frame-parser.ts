import { RpcFrameError } from './frame-error.ts'
import { ATTACH_BYTES_MAX, CONTROL_BYTES_MAX, KEPT_BYTES_FIRST } from './limits.ts'
import { COUNTED_HEADER_BYTES, FRAME, HEADER_BYTES, PREAMBLE } from './spec.ts'

/** One frame as it came; `payload` is borrowed until the call returns. */
export interface FrameHandler {
  frame(type: number, flags: number, id: number, payload: Buffer): void
  /** A message that is larger than the limit: it is passed over, the connection goes on. */
  oversize(id: number, byteLength: number): void
}

/** Where buffers are taken from and given back to, so that a large frame leaves no garbage. */
export interface BufferPool {
  /** One with at least so much room. */
  take(bytes: number): Buffer
  give(buffer: Buffer): void
}

export interface FrameParserOptions {
  readonly buffers: BufferPool
  /** Whether the peer begins with the preamble, as a client does. */
  readonly hasPreamble: boolean
  readonly messageBytesMax: number
  readonly controlBytesMax?: number
}

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Cuts what a socket brings into frames:
 *
 *     length (u32) id (u32) type (u8) flags (u8) payload
 *
 * The length counts what follows it. A frame that lies whole in a read is handed on where it lies;
 * one that a read cuts is gathered in a buffer that grows with what has come, so that a length
 * alone takes no memory, and is compared with its limit as soon as the header is there.
 */
export class FrameParser {
  messageBytesMax: number
  controlBytesMax: number
  /** Providers may attach: such a frame may be larger than others. */
  takesAttach = false
  readonly #handler: FrameHandler
  readonly #buffers: BufferPool
  #preambleBytes: number
  #isStopped = false
  #kept: Buffer = NOTHING
  #keptBytes = 0
  /** Octets of a message that is passed over. */
  #skipBytes = 0

  constructor(handler: FrameHandler, options: FrameParserOptions) {
    this.#handler = handler
    this.#buffers = options.buffers
    this.#preambleBytes = options.hasPreamble ? 0 : PREAMBLE.length
    this.messageBytesMax = options.messageBytesMax
    this.controlBytesMax = options.controlBytesMax ?? CONTROL_BYTES_MAX
  }

  /** Octets kept of a frame whose end has not come. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /** Throws `RpcFrameError`, once: after it, and after `stop`, every octet is dropped. */
  push(bytes: Buffer): void {
    if (this.#isStopped) return
    let isWhole = false
    try {
      this.#push(bytes)
      isWhole = true
    } finally {
      if (!isWhole) this.stop()
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#letGo()
  }

  #push(bytes: Buffer): void {
    let at = this.#preambleBytes < PREAMBLE.length ? this.#readPreamble(bytes) : 0
    for (;;) {
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, bytes.length - at)
        this.#skipBytes -= skipped
        at += skipped
        if (this.#skipBytes > 0) return
      }
      if (this.#keptBytes > 0) at = this.#continueFrame(bytes, at)
      if (this.#skipBytes === 0 && at < bytes.length) at = this.#wholeFrames(bytes, at)
      if (at >= bytes.length || this.#isStopped) return
    }
  }

  #readPreamble(bytes: Buffer): number {
    let at = 0
    for (; this.#preambleBytes < PREAMBLE.length && at < bytes.length; at++) {
      if (bytes[at] !== PREAMBLE[this.#preambleBytes]) {
        throw new RpcFrameError('MALFORMED', 'the peer speaks something else')
      }
      this.#preambleBytes += 1
    }
    return at
  }

  /** Returns where it stopped: at the end, or behind the header of what is to be skipped. */
  #wholeFrames(bytes: Buffer, start: number): number {
    let at = start
    while (bytes.length - at >= HEADER_BYTES) {
      const size = this.#checkedSize(bytes, at)
      if (size < 0) return at + HEADER_BYTES
      const end = at + HEADER_BYTES + size
      if (end > bytes.length) break
      this.#dispatch(bytes, at, end)
      if (this.#isStopped) return bytes.length
      at = end
    }
    if (at < bytes.length) this.#keep(bytes, at, bytes.length)
    return bytes.length
  }

  /** Octets of the payload; -1: it is too large and passed over. */
  #checkedSize(bytes: Buffer, at: number): number {
    const size = bytes.readUInt32BE(at) - COUNTED_HEADER_BYTES
    if (size < 0) throw new RpcFrameError('MALFORMED', 'a length shorter than the header')
    const type = bytes[at + 8]!
    const isData = type === FRAME.DATA
    const max = isData ? this.messageBytesMax : this.#controlMaxOf(type)
    if (size <= max) return size
    if (!isData) {
      const text = `a frame of type ${type} with ${size} octets, the limit is ${max}`
      throw new RpcFrameError('TOO_LARGE', text)
    }
    this.#skipBytes = size
    this.#handler.oversize(bytes.readUInt32BE(at + 4), size)
    return -1
  }

  #controlMaxOf(type: number): number {
    return type === FRAME.ATTACH && this.takesAttach ? ATTACH_BYTES_MAX : this.controlBytesMax
  }

  #dispatch(bytes: Buffer, at: number, end: number): void {
    const start = at + HEADER_BYTES
    const payload = start === end ? NOTHING : bytes.subarray(start, end)
    this.#handler.frame(bytes[at + 8]!, bytes[at + 9]!, bytes.readUInt32BE(at + 4), payload)
  }

  /** Gathers the rest of the frame that an earlier read began. */
  #continueFrame(bytes: Buffer, start: number): number {
    let at = start
    if (this.#keptBytes < HEADER_BYTES) {
      const end = Math.min(at + HEADER_BYTES - this.#keptBytes, bytes.length)
      this.#keep(bytes, at, end)
      at = end
      if (this.#keptBytes < HEADER_BYTES) return at
    }
    const size = this.#checkedSize(this.#kept, 0)
    if (size < 0) {
      this.#letGo()
      return at
    }
    const frameBytes = HEADER_BYTES + size
    const end = Math.min(at + frameBytes - this.#keptBytes, bytes.length)
    this.#keep(bytes, at, end)
    if (this.#keptBytes < frameBytes) return end
    const frame = this.#kept
    this.#kept = NOTHING
    this.#keptBytes = 0
    this.#dispatch(frame, 0, frameBytes)
    this.#buffers.give(frame)
    return end
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const keptBytes = this.#keptBytes + end - start
    if (keptBytes > this.#kept.length) {
      const size = Math.max(KEPT_BYTES_FIRST, keptBytes, this.#kept.length * 2)
      const isSmall = size <= KEPT_BYTES_FIRST
      const grown = isSmall ? Buffer.allocUnsafe(size) : this.#buffers.take(size)
      grown.set(this.#kept.subarray(0, this.#keptBytes))
      if (this.#kept.length > 0) this.#buffers.give(this.#kept)
      this.#kept = grown
    }
    this.#kept.set(bytes.subarray(start, end), this.#keptBytes)
    this.#keptBytes = keptBytes
  }

  #letGo(): void {
    if (this.#kept.length > 0) this.#buffers.give(this.#kept)
    this.#kept = NOTHING
    this.#keptBytes = 0
  }
}
