import { copyBytes } from '../../lib/copy-bytes.ts'
import {
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  FRAME_SIZE_HARD_MAX,
  FRAME_SIZE_MIN,
} from './limits.ts'
import { FRAME, METHOD } from './spec.gen.ts'

/** Octets of a basic.ack, basic.nack or basic.reject frame. */
export const SETTLE_FRAME_BYTES: number = FRAME_OVERHEAD_BYTES + 13

/** The frame that says "still here". Whoever writes it must not change it. */
export const HEARTBEAT_FRAME: Buffer = Buffer.of(FRAME.HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME.END)

/** Octets of a frame around a method: type, channel, size, class id, method id, frame end. */
const METHOD_FRAME_BYTES = FRAME_OVERHEAD_BYTES + 4

/**
 * Points at the three parts of one message, which may lie in one buffer or in three.
 *
 * It owns nothing: one object is moved from message to message, and what it points at must stay
 * in place until the frames are written.
 */
export class ContentView {
  /** Exchange and routing key as two short strings, with their lengths. */
  address: Buffer = EMPTY
  addressStart = 0
  addressEnd = 0
  /** The payload of the content header. */
  header: Buffer = EMPTY
  headerStart = 0
  headerEnd = 0
  /** As many octets as the content header says. */
  body: Buffer = EMPTY
  bodyStart = 0
  bodyEnd = 0

  setAddress(bytes: Buffer, start = 0, end: number = bytes.length): this {
    this.address = bytes
    this.addressStart = start
    this.addressEnd = end
    return this
  }

  setHeader(bytes: Buffer, start = 0, end: number = bytes.length): this {
    this.header = bytes
    this.headerStart = start
    this.headerEnd = end
    return this
  }

  setBody(bytes: Buffer, start = 0, end: number = bytes.length): this {
    this.body = bytes
    this.bodyStart = start
    this.bodyEnd = end
    return this
  }
}

/**
 * Writes the frames of one channel that come with every message into the caller's buffer.
 *
 * Each writer returns the index behind what it wrote. It needs as much room as its `...Bytes`
 * counterpart says; without it, it throws `RangeError` before the first octet. Short strings are
 * handed over encoded (`encodeShortString`), because a consumer tag never changes. The arguments
 * are many and loose on purpose: an options object for each message would cost more than the work.
 */
export class ChannelWriter {
  readonly channel: number
  /** Octets that fit into one body frame. */
  readonly bodyFrameMax: number

  /** `frameSizeMax` is what tune agreed on; 0 means no limit. */
  constructor(channel: number, frameSizeMax: number) {
    if (frameSizeMax !== 0 && frameSizeMax < FRAME_SIZE_MIN) {
      throw new RangeError(`frame_max of ${frameSizeMax}, the least is ${FRAME_SIZE_MIN}`)
    }
    this.channel = channel
    this.bodyFrameMax = (frameSizeMax || FRAME_SIZE_HARD_MAX) - FRAME_OVERHEAD_BYTES
  }

  /** Octets of basic.deliver with its content. */
  deliverBytes(consumerTag: Buffer, content: ContentView): number {
    return this.deliverStartBytes(consumerTag, content) + this.#bodyBytes(content)
  }

  /** basic.deliver with its content, the body cut to frame_max. */
  deliver(
    out: Buffer,
    at: number,
    consumerTag: Buffer,
    deliveryTag: number,
    redelivered: boolean,
    content: ContentView,
  ): number {
    checkRoom(out, at, this.deliverBytes(consumerTag, content))
    const next = this.#deliverStart(out, at, consumerTag, deliveryTag, redelivered, content)
    return this.#body(out, next, content)
  }

  /** Octets of basic.deliver with its content header, without the body. */
  deliverStartBytes(consumerTag: Buffer, content: ContentView): number {
    return (
      METHOD_FRAME_BYTES + consumerTag.length + 9 + addressBytes(content) + headerBytes(content)
    )
  }

  /** As `deliver`, without the body: for who sends a large body piece by piece. */
  deliverStart(
    out: Buffer,
    at: number,
    consumerTag: Buffer,
    deliveryTag: number,
    redelivered: boolean,
    content: ContentView,
  ): number {
    checkRoom(out, at, this.deliverStartBytes(consumerTag, content))
    return this.#deliverStart(out, at, consumerTag, deliveryTag, redelivered, content)
  }

  /** One body frame of at most `bodyFrameMax` octets. */
  bodyFrame(out: Buffer, at: number, body: Buffer, start: number, end: number): number {
    const size = end - start
    if (size > this.bodyFrameMax) {
      throw new RangeError(`a body frame of ${size} octets, the limit is ${this.bodyFrameMax}`)
    }
    checkRoom(out, at, size + FRAME_OVERHEAD_BYTES)
    return writeFrame(out, at, FRAME.BODY, this.channel, body, start, end)
  }

  /** Octets of basic.get-ok with its content. */
  getOkBytes(content: ContentView): number {
    const rest = headerBytes(content) + this.#bodyBytes(content)
    return METHOD_FRAME_BYTES + 13 + addressBytes(content) + rest
  }

  /** basic.get-ok with its content; `messageCount` are the messages that stay in the queue. */
  getOk(
    out: Buffer,
    at: number,
    deliveryTag: number,
    redelivered: boolean,
    messageCount: number,
    content: ContentView,
  ): number {
    checkRoom(out, at, this.getOkBytes(content))
    const argumentBytes = 13 + addressBytes(content)
    let next = writeMethodStart(out, at, this.channel, METHOD.BASIC_GET_OK, argumentBytes)
    next = writeTag(out, next, deliveryTag)
    out[next] = redelivered ? 1 : 0
    next = writeLong(out, writeAddress(out, next + 1, content), messageCount)
    out[next] = FRAME.END
    return this.#body(out, this.#header(out, next + 1, content), content)
  }

  /** Octets of basic.return with its content. */
  returnBytes(replyText: Buffer, content: ContentView): number {
    const rest = headerBytes(content) + this.#bodyBytes(content)
    return METHOD_FRAME_BYTES + 2 + replyText.length + addressBytes(content) + rest
  }

  /** basic.return with its content. */
  return(
    out: Buffer,
    at: number,
    replyCode: number,
    replyText: Buffer,
    content: ContentView,
  ): number {
    checkRoom(out, at, this.returnBytes(replyText, content))
    const argumentBytes = 2 + replyText.length + addressBytes(content)
    let next = writeMethodStart(out, at, this.channel, METHOD.BASIC_RETURN, argumentBytes)
    out[next] = replyCode >>> 8
    out[next + 1] = replyCode
    next = copyBytes(out, next + 2, replyText, 0, replyText.length)
    next = writeAddress(out, next, content)
    out[next] = FRAME.END
    return this.#body(out, this.#header(out, next + 1, content), content)
  }

  /** Octets of basic.publish with its content. */
  publishBytes(content: ContentView): number {
    const rest = headerBytes(content) + this.#bodyBytes(content)
    return METHOD_FRAME_BYTES + 3 + addressBytes(content) + rest
  }

  /** basic.publish with its content: the client's side. */
  publish(out: Buffer, at: number, mandatory: boolean, content: ContentView): number {
    checkRoom(out, at, this.publishBytes(content))
    const argumentBytes = 3 + addressBytes(content)
    let next = writeMethodStart(out, at, this.channel, METHOD.BASIC_PUBLISH, argumentBytes)
    out[next] = 0
    out[next + 1] = 0
    next = writeAddress(out, next + 2, content)
    out[next] = mandatory ? 1 : 0
    out[next + 1] = FRAME.END
    return this.#body(out, this.#header(out, next + 2, content), content)
  }

  /** basic.ack: a confirm from the server, a settlement from the client. */
  ack(out: Buffer, at: number, deliveryTag: number, multiple: boolean): number {
    return this.#settle(out, at, METHOD.BASIC_ACK, deliveryTag, multiple ? 1 : 0)
  }

  nack(out: Buffer, at: number, deliveryTag: number, multiple: boolean, requeue: boolean): number {
    const bits = (multiple ? 1 : 0) | (requeue ? 2 : 0)
    return this.#settle(out, at, METHOD.BASIC_NACK, deliveryTag, bits)
  }

  reject(out: Buffer, at: number, deliveryTag: number, requeue: boolean): number {
    return this.#settle(out, at, METHOD.BASIC_REJECT, deliveryTag, requeue ? 1 : 0)
  }

  #settle(out: Buffer, at: number, methodId: number, deliveryTag: number, bits: number): number {
    checkRoom(out, at, SETTLE_FRAME_BYTES)
    const next = writeTag(out, writeMethodStart(out, at, this.channel, methodId, 9), deliveryTag)
    out[next] = bits
    out[next + 1] = FRAME.END
    return next + 2
  }

  #deliverStart(
    out: Buffer,
    at: number,
    consumerTag: Buffer,
    deliveryTag: number,
    redelivered: boolean,
    content: ContentView,
  ): number {
    const tagBytes = consumerTag.length
    const argumentBytes = tagBytes + 9 + addressBytes(content)
    let next = writeMethodStart(out, at, this.channel, METHOD.BASIC_DELIVER, argumentBytes)
    next = writeTag(out, copyBytes(out, next, consumerTag, 0, tagBytes), deliveryTag)
    out[next] = redelivered ? 1 : 0
    next = writeAddress(out, next + 1, content)
    out[next] = FRAME.END
    return this.#header(out, next + 1, content)
  }

  #header(out: Buffer, at: number, content: ContentView): number {
    const { header, headerStart, headerEnd } = content
    return writeFrame(out, at, FRAME.HEADER, this.channel, header, headerStart, headerEnd)
  }

  #body(out: Buffer, at: number, content: ContentView): number {
    const { body, bodyEnd } = content
    let next = at
    for (let start = content.bodyStart; start < bodyEnd;) {
      const end = Math.min(start + this.bodyFrameMax, bodyEnd)
      next = writeFrame(out, next, FRAME.BODY, this.channel, body, start, end)
      start = end
    }
    return next
  }

  #bodyBytes(content: ContentView): number {
    const size = content.bodyEnd - content.bodyStart
    if (size <= this.bodyFrameMax) return size === 0 ? 0 : size + FRAME_OVERHEAD_BYTES
    return size + Math.ceil(size / this.bodyFrameMax) * FRAME_OVERHEAD_BYTES
  }
}

const EMPTY = Buffer.alloc(0)

function addressBytes(content: ContentView): number {
  return content.addressEnd - content.addressStart
}

function headerBytes(content: ContentView): number {
  return content.headerEnd - content.headerStart + FRAME_OVERHEAD_BYTES
}

function checkRoom(out: Buffer, at: number, bytes: number): void {
  if (bytes > out.length - at) {
    throw new RangeError(`frames of ${bytes} octets, room for ${out.length - at}`)
  }
}

function writeFrame(
  out: Buffer,
  at: number,
  type: number,
  channel: number,
  payload: Buffer,
  start: number,
  end: number,
): number {
  writeFrameHeader(out, at, type, channel, end - start)
  const next = copyBytes(out, at + FRAME_HEADER_BYTES, payload, start, end)
  out[next] = FRAME.END
  return next + 1
}

function writeMethodStart(
  out: Buffer,
  at: number,
  channel: number,
  methodId: number,
  argumentBytes: number,
): number {
  writeFrameHeader(out, at, FRAME.METHOD, channel, argumentBytes + 4)
  return writeLong(out, at + FRAME_HEADER_BYTES, methodId)
}

function writeFrameHeader(
  out: Buffer,
  at: number,
  type: number,
  channel: number,
  payloadBytes: number,
): void {
  out[at] = type
  out[at + 1] = channel >>> 8
  out[at + 2] = channel
  writeLong(out, at + 3, payloadBytes)
}

function writeAddress(out: Buffer, at: number, content: ContentView): number {
  return copyBytes(out, at, content.address, content.addressStart, content.addressEnd)
}

/** A delivery tag counts from 1, so it stays below 2^53. */
function writeTag(out: Buffer, at: number, tag: number): number {
  const high = tag > 0xffff_ffff ? Math.floor(tag / 0x1_0000_0000) : 0
  return writeLong(out, writeLong(out, at, high), tag >>> 0)
}

function writeLong(out: Buffer, at: number, value: number): number {
  out[at] = value >>> 24
  out[at + 1] = value >>> 16
  out[at + 2] = value >>> 8
  out[at + 3] = value
  return at + 4
}
