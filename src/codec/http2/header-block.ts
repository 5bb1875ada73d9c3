import { Http2Error } from './http2-error.ts'
import { CONTINUATIONS_MAX, HEADER_BLOCK_BYTES_MAX } from './limits.ts'
import { ERROR, FLAG, STREAM_ID_MAX } from './spec.ts'

/**
 * Gathers a header block: HEADERS (§6.2) and the CONTINUATION frames behind it (§6.10). One that
 * is whole in its first frame is not copied. It holds `HEADER_BLOCK_BYTES_MAX` octets at most;
 * whoever sends more, or more pieces than that needs, loses the connection (CVE-2024-27316).
 */
export class HeaderBlock {
  /** More frames of the block must follow, and no others. */
  isOpen = false
  streamId = 0
  /** The stream ends with it. */
  isLast = false
  /** §5.3.1 of RFC 7540, which peers are still held to. */
  dependsOnItself = false
  /** Where the block is; null: in the frame it came in. */
  bytes: Buffer | null = null
  start = 0
  end = 0
  #frameCount = 0

  /** Returns whether it is whole. */
  begin(flags: number, streamId: number, bytes: Buffer, start: number, end: number): boolean {
    let from = start
    let to = end
    if ((flags & FLAG.PADDED) !== 0) {
      if (from >= to) throw tooShort()
      to -= bytes[from++]!
      if (to < from) throw new Http2Error(ERROR.PROTOCOL_ERROR, 'more padding than payload')
    }
    this.dependsOnItself = false
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (to - from < 5) throw tooShort()
      this.dependsOnItself = (bytes.readUInt32BE(from) & STREAM_ID_MAX) === streamId
      from += 5
    }
    this.streamId = streamId
    this.isLast = (flags & FLAG.END_STREAM) !== 0
    this.start = from
    this.end = to
    this.bytes = null
    if ((flags & FLAG.END_HEADERS) !== 0) return true
    this.isOpen = true
    this.#frameCount = 1
    this.bytes = Buffer.from(bytes.subarray(from, to))
    this.start = 0
    this.end = to - from
    return false
  }

  /** Returns whether it is whole. */
  add(flags: number, bytes: Buffer, start: number, end: number): boolean {
    if (!this.isOpen) {
      throw new Http2Error(ERROR.PROTOCOL_ERROR, 'CONTINUATION without a header block')
    }
    const kept = this.bytes!
    const size = this.end + end - start
    if (++this.#frameCount > CONTINUATIONS_MAX || size > HEADER_BLOCK_BYTES_MAX) {
      const limits = `${HEADER_BLOCK_BYTES_MAX} octets in ${CONTINUATIONS_MAX} frames`
      throw new Http2Error(ERROR.ENHANCE_YOUR_CALM, `a header block above the limit of ${limits}`)
    }
    if (size > kept.length) {
      this.bytes = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(size)))
      this.bytes.set(kept.subarray(0, this.end), 0)
    }
    this.bytes!.set(bytes.subarray(start, end), this.end)
    this.end = size
    this.isOpen = (flags & FLAG.END_HEADERS) === 0
    return !this.isOpen
  }

  /** It was decoded. */
  close(): void {
    this.bytes = null
  }
}

function tooShort(): Http2Error {
  return new Http2Error(ERROR.FRAME_SIZE_ERROR, 'HEADERS too short for its flags')
}
