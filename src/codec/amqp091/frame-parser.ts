import { AmqpFrameError } from './frame-error.ts'
import {
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  FRAME_SIZE_BEFORE_TUNE,
  FRAME_SIZE_HARD_MAX,
} from './limits.ts'
import { FRAME } from './spec.gen.ts'

/**
 * Who is told of frames. All octets are borrowed: they are valid until the call returns.
 *
 * A handler may throw to end the connection; the parser takes nothing more then.
 */
export interface FrameHandler {
  /** `methodId` is a member of `METHOD`; `[start, end)` are the arguments behind it. */
  onMethod(channel: number, methodId: number, bytes: Buffer, start: number, end: number): void
  /** The whole payload of a content header frame. */
  onHeader(channel: number, bytes: Buffer, start: number, end: number): void
  /**
   * Octets of a body. A frame that a read cuts comes in several calls, an empty one with
   * `start === end`. The last octet of a frame is shown only once its frame end has been seen.
   */
  onBody(channel: number, bytes: Buffer, start: number, end: number): void
  onHeartbeat(): void
}

const GO_ON = 0
const PAUSED = 1
const STOPPED = 2

const PAYLOAD_SHOWN_MAX = 16

/**
 * Cuts reads of a socket into frames (section 4.2.3):
 *
 *     type (uint8) channel (uint16) payload size (uint32) payload frame end = 0xCE
 *
 * A read may cut a frame anywhere. The front of a cut frame is kept until the rest comes, at most
 * frame_max octets; a body is handed on in pieces instead, so large bodies are never copied here.
 * A frame's size is compared with the limit before a single octet is kept for it.
 */
export class FrameParser {
  readonly #handler: FrameHandler
  #frameSizeMax: number
  #flow: typeof GO_ON | typeof PAUSED | typeof STOPPED = GO_ON
  /** The front of a frame that a read cut. */
  #kept: Buffer = EMPTY
  #keptBytes = 0
  /** Octets still to come of a body frame whose front has been handed on. */
  #bodyLeft = 0
  #bodyChannel = 0

  /** `frameSizeMax` is in octets of a whole frame; default 8,192, what may come before tune. */
  constructor(handler: FrameHandler, frameSizeMax: number = FRAME_SIZE_BEFORE_TUNE) {
    this.#handler = handler
    this.#frameSizeMax = boundedFrameSize(frameSizeMax)
  }

  get frameSizeMax(): number {
    return this.#frameSizeMax
  }

  /** What tune agreed on; 0 ("no limit") means 16 MiB. It counts from the next frame on. */
  set frameSizeMax(frameSizeMax: number) {
    this.#frameSizeMax = boundedFrameSize(frameSizeMax)
  }

  /** Octets kept of a frame whose end has not come. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /** Octets of memory held for frames that reads cut, now or for the next one. */
  get roomBytes(): number {
    return this.#kept.length
  }

  /**
   * Takes a read. Returns the index behind the last octet taken: `end`, unless `pause` was called,
   * and then the rest is to be pushed again later. Throws `AmqpFrameError`, once: after it, and
   * after `stop`, every octet is dropped.
   */
  push(bytes: Buffer, start = 0, end: number = bytes.length): number {
    if (this.#flow === STOPPED) return end
    this.#flow = GO_ON
    let at = start
    let isWhole = false
    try {
      if (this.#bodyLeft > 0) at = this.#continueBody(bytes, at, end)
      else if (this.#keptBytes > 0) at = this.#continueFrame(bytes, at, end)
      if (this.#flow === GO_ON) at = this.#frames(bytes, at, end)
      isWhole = true
    } finally {
      if (!isWhole) this.stop()
    }
    return this.#stopped() ? end : at
  }

  /** Called by a handler: `push` returns as soon as the handler does. */
  pause(): void {
    if (this.#flow === GO_ON) this.#flow = PAUSED
  }

  /** Called at any time: whatever else comes is dropped. */
  stop(): void {
    this.#flow = STOPPED
    this.#kept = EMPTY
    this.#keptBytes = 0
    this.#bodyLeft = 0
  }

  /** The frames that lie whole in this read; what is left of it is kept. */
  #frames(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (end - at >= FRAME_HEADER_BYTES) {
      const size = readLong(bytes, at + 3)
      if (size + FRAME_OVERHEAD_BYTES > this.#frameSizeMax || !isFrameType(bytes[at]!)) {
        throw this.#badHeader(bytes, at)
      }
      const next = at + FRAME_OVERHEAD_BYTES + size
      if (next > end) break
      this.#dispatch(bytes, at, next)
      at = next
      if (this.#flow !== GO_ON) return at
    }
    if (at < end) this.#keep(bytes, at, end)
    return end
  }

  /** One whole frame in `[at, next)`, its header already checked. */
  #dispatch(bytes: Buffer, at: number, next: number): void {
    const end = next - 1
    if (bytes[end] !== FRAME.END) throw badFrameEnd(bytes, at, end)
    const start = at + FRAME_HEADER_BYTES
    const channel = (bytes[at + 1]! << 8) | bytes[at + 2]!
    switch (bytes[at]!) {
      case FRAME.METHOD:
        if (end - start < 4) throw frameError(`a method frame of ${end - start} octets`)
        this.#handler.onMethod(channel, readLong(bytes, start), bytes, start + 4, end)
        return
      case FRAME.HEADER:
        this.#handler.onHeader(channel, bytes, start, end)
        return
      case FRAME.BODY:
        this.#handler.onBody(channel, bytes, start, end)
        return
      default:
        this.#heartbeat(channel, end - start)
    }
  }

  #heartbeat(channel: number, payloadBytes: number): void {
    if (payloadBytes !== 0) throw frameError(`a heartbeat of ${payloadBytes} octets`)
    if (channel !== 0) {
      throw new AmqpFrameError('UNEXPECTED_FRAME', `a heartbeat on channel ${channel}`)
    }
    this.#handler.onHeartbeat()
  }

  /** Keeps the front of a frame, or hands it on if it is a body's. */
  #keep(bytes: Buffer, at: number, end: number): void {
    const have = end - at
    if (have < FRAME_HEADER_BYTES) {
      // Room for the header only: the frame's own size is not known yet.
      this.#reserve(FRAME_HEADER_BYTES)
    } else {
      const size = readLong(bytes, at + 3)
      if (bytes[at] === FRAME.BODY && size > 0) {
        this.#bodyChannel = (bytes[at + 1]! << 8) | bytes[at + 2]!
        this.#bodyLeft = size
        this.#handBody(bytes, at + FRAME_HEADER_BYTES, end)
        return
      }
      this.#reserve(size + FRAME_OVERHEAD_BYTES)
    }
    bytes.copy(this.#kept, this.#keptBytes, at, end)
    this.#keptBytes += have
  }

  /** Adds to the kept front until that frame is whole, and passes it on. */
  #continueFrame(bytes: Buffer, start: number, end: number): number {
    let at = start
    if (this.#keptBytes < FRAME_HEADER_BYTES) {
      at = this.#fill(FRAME_HEADER_BYTES, bytes, at, end)
      if (this.#keptBytes < FRAME_HEADER_BYTES) return at
      const kept = this.#kept
      const size = readLong(kept, 3)
      if (size + FRAME_OVERHEAD_BYTES > this.#frameSizeMax || !isFrameType(kept[0]!)) {
        throw this.#badHeader(kept, 0)
      }
      if (kept[0] === FRAME.BODY && size > 0) {
        this.#bodyChannel = (kept[1]! << 8) | kept[2]!
        this.#bodyLeft = size
        this.#keptBytes = 0
        return this.#continueBody(bytes, at, end)
      }
      this.#reserve(size + FRAME_OVERHEAD_BYTES)
    }
    const frameBytes = readLong(this.#kept, 3) + FRAME_OVERHEAD_BYTES
    at = this.#fill(frameBytes, bytes, at, end)
    if (this.#keptBytes < frameBytes) return at
    this.#keptBytes = 0
    this.#dispatch(this.#kept, 0, frameBytes)
    // One large frame must not cost an idle connection its memory for ever.
    if (this.#kept.length > KEPT_BYTES_IDLE) this.#kept = EMPTY
    return at
  }

  /** Goes on with a body frame; returns the index behind what was taken of this read. */
  #continueBody(bytes: Buffer, start: number, end: number): number {
    const left = this.#bodyLeft
    const frameEnd = start + left - this.#keptBytes
    if (frameEnd >= end) {
      this.#handBody(bytes, start, end)
      return end
    }
    if (bytes[frameEnd] !== FRAME.END) {
      throw frameError(`the frame end is ${bytes[frameEnd]!}, not ${FRAME.END}`)
    }
    this.#bodyLeft = 0
    if (this.#keptBytes > 0) {
      // Only the last octet of a body is ever kept: it waits for its frame end.
      this.#keptBytes = 0
      this.#handler.onBody(this.#bodyChannel, this.#kept, 0, 1)
    } else {
      this.#handler.onBody(this.#bodyChannel, bytes, start, frameEnd)
    }
    return frameEnd + 1
  }

  /** Hands on what there is of a body frame whose frame end has not come, but its last octet. */
  #handBody(bytes: Buffer, start: number, end: number): void {
    let have = end - start
    if (have === 0) return
    if (have === this.#bodyLeft - this.#keptBytes) {
      have -= 1
      this.#reserve(1)
      this.#kept[0] = bytes[end - 1]!
      this.#keptBytes = 1
    }
    if (have === 0) return
    this.#bodyLeft -= have
    this.#handler.onBody(this.#bodyChannel, bytes, start, start + have)
  }

  #fill(wantedBytes: number, bytes: Buffer, at: number, end: number): number {
    const next = Math.min(at + wantedBytes - this.#keptBytes, end)
    bytes.copy(this.#kept, this.#keptBytes, at, next)
    this.#keptBytes += next - at
    return next
  }

  /** Makes room for a frame of `frameBytes`, which has been compared with the limit. */
  #reserve(frameBytes: number): void {
    if (this.#kept.length >= frameBytes) return
    const grown = Buffer.allocUnsafeSlow(Math.max(frameBytes, KEPT_BYTES_MIN))
    this.#kept.copy(grown, 0, 0, this.#keptBytes)
    this.#kept = grown
  }

  #badHeader(bytes: Buffer, at: number): AmqpFrameError {
    const type = bytes[at]!
    if (!isFrameType(type)) return frameError(`a frame of the unknown type ${type}`)
    const size = readLong(bytes, at + 3) + FRAME_OVERHEAD_BYTES
    return frameError(`a frame of ${size} octets, the limit is ${this.#frameSizeMax}`)
  }

  #stopped(): boolean {
    return this.#flow === STOPPED
  }
}

const EMPTY = Buffer.alloc(0)

/** Enough for the methods and headers that are cut most often, so that it is made once. */
const KEPT_BYTES_MIN = 512

/** What a parser holds on to between frames at most. */
const KEPT_BYTES_IDLE = 8192

function isFrameType(type: number): boolean {
  return (type >= FRAME.METHOD && type <= FRAME.BODY) || type === FRAME.HEARTBEAT
}

function boundedFrameSize(frameSizeMax: number): number {
  return frameSizeMax === 0 ? FRAME_SIZE_HARD_MAX : Math.min(frameSizeMax, FRAME_SIZE_HARD_MAX)
}

function readLong(bytes: Buffer, at: number): number {
  const value = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  return value >>> 0
}

function frameError(message: string): AmqpFrameError {
  return new AmqpFrameError('FRAME_ERROR', message)
}

/** RabbitMQ's log names the payload's first octets, which tell a misread size at a glance. */
function badFrameEnd(bytes: Buffer, at: number, end: number): AmqpFrameError {
  const start = at + FRAME_HEADER_BYTES
  const shown = bytes.toString('hex', start, Math.min(end, start + PAYLOAD_SHOWN_MAX))
  const about = `type ${bytes[at]!}, ${end - start} octets, first octets '${shown}'`
  return frameError(`the frame end is ${bytes[end]!}, not ${FRAME.END}: ${about}`)
}
