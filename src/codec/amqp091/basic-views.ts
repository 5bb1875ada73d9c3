/**
 * The methods that come with every message, read where they lie: one object of each class serves
 * a whole connection, and `read` fills it without making anything. All indexes point into the
 * buffer that was read, which is borrowed.
 *
 * An **address** is the exchange and the routing key as two short strings, with their lengths. It
 * looks the same in publish, deliver, get-ok and return, so it can be stored and sent as it came.
 */
import { AmqpFrameError } from './frame-error.ts'
import { SHORT_STRING_BYTES_MAX } from './limits.ts'
import { CLASS, METHOD } from './spec.gen.ts'

const METHOD_MASK = 0xffff

/** The part that all methods with an address share. */
class AddressView {
  /** Exchange and routing key with their length octets. */
  addressStart = 0
  addressEnd = 0
  exchangeStart = 0
  exchangeEnd = 0
  routingKeyStart = 0
  routingKeyEnd = 0

  /** Reads the address at `at`; false when it doesn't end `behind` octets before `end`. */
  protected readAddress(bytes: Buffer, at: number, end: number, behind: number): boolean {
    if (at + 2 > end) return false
    const keyAt = at + 1 + bytes[at]!
    if (keyAt >= end) return false
    const addressEnd = keyAt + 1 + bytes[keyAt]!
    if (addressEnd + behind !== end) return false
    this.addressStart = at
    this.addressEnd = addressEnd
    this.exchangeStart = at + 1
    this.exchangeEnd = keyAt
    this.routingKeyStart = keyAt + 1
    this.routingKeyEnd = addressEnd
    return true
  }
}

/** basic.publish: reserved (uint16) exchange routing-key bits: mandatory, immediate. */
export class PublishView extends AddressView {
  mandatory = false
  immediate = false

  /** `start` is the first argument octet; throws FRAME_ERROR for arguments of another size. */
  read(bytes: Buffer, start: number, end: number): void {
    if (!this.readAddress(bytes, start + 2, end, 1)) throw malformed(METHOD.BASIC_PUBLISH)
    const bits = bytes[end - 1]!
    this.mandatory = (bits & 1) !== 0
    this.immediate = (bits & 2) !== 0
  }
}

/** basic.deliver: consumer-tag delivery-tag (uint64) redelivered exchange routing-key. */
export class DeliverView extends AddressView {
  consumerTagStart = 0
  consumerTagEnd = 0
  deliveryTag = 0
  redelivered = false

  /** `start` is the first argument octet; throws FRAME_ERROR for arguments of another size. */
  read(bytes: Buffer, start: number, end: number): void {
    if (start >= end) throw malformed(METHOD.BASIC_DELIVER)
    const tagAt = start + 1 + bytes[start]!
    if (!this.readAddress(bytes, tagAt + 9, end, 0)) throw malformed(METHOD.BASIC_DELIVER)
    this.consumerTagStart = start + 1
    this.consumerTagEnd = tagAt
    this.deliveryTag = readTag(bytes, tagAt)
    this.redelivered = (bytes[tagAt + 8]! & 1) !== 0
  }
}

/** basic.get-ok: delivery-tag (uint64) redelivered exchange routing-key message-count (uint32). */
export class GetOkView extends AddressView {
  deliveryTag = 0
  redelivered = false
  messageCount = 0

  /** `start` is the first argument octet; throws FRAME_ERROR for arguments of another size. */
  read(bytes: Buffer, start: number, end: number): void {
    if (!this.readAddress(bytes, start + 9, end, 4)) throw malformed(METHOD.BASIC_GET_OK)
    this.deliveryTag = readTag(bytes, start)
    this.redelivered = (bytes[start + 8]! & 1) !== 0
    this.messageCount = readLong(bytes, end - 4)
  }
}

/** basic.return: reply-code (uint16) reply-text exchange routing-key. */
export class ReturnView extends AddressView {
  replyCode = 0
  replyTextStart = 0
  replyTextEnd = 0

  /** `start` is the first argument octet; throws FRAME_ERROR for arguments of another size. */
  read(bytes: Buffer, start: number, end: number): void {
    if (end - start < 3) throw malformed(METHOD.BASIC_RETURN)
    const textEnd = start + 3 + bytes[start + 2]!
    if (!this.readAddress(bytes, textEnd, end, 0)) throw malformed(METHOD.BASIC_RETURN)
    this.replyCode = (bytes[start]! << 8) | bytes[start + 1]!
    this.replyTextStart = start + 3
    this.replyTextEnd = textEnd
  }
}

/** basic.ack, basic.nack and basic.reject: delivery-tag (uint64) and an octet of bits. */
export class SettleView {
  /** Above 2^53 the nearest number: no tag that was ever given out. */
  deliveryTag = 0
  /** Every tag up to this one; for a reject always false. */
  multiple = false
  /** For an ack always false. */
  requeue = false

  readAck(bytes: Buffer, start: number, end: number): void {
    const bits = this.#read(bytes, start, end, METHOD.BASIC_ACK)
    this.multiple = (bits & 1) !== 0
    this.requeue = false
  }

  readNack(bytes: Buffer, start: number, end: number): void {
    const bits = this.#read(bytes, start, end, METHOD.BASIC_NACK)
    this.multiple = (bits & 1) !== 0
    this.requeue = (bits & 2) !== 0
  }

  readReject(bytes: Buffer, start: number, end: number): void {
    const bits = this.#read(bytes, start, end, METHOD.BASIC_REJECT)
    this.multiple = false
    this.requeue = (bits & 1) !== 0
  }

  #read(bytes: Buffer, start: number, end: number, methodId: number): number {
    if (end - start !== 9) throw malformed(methodId)
    this.deliveryTag = readTag(bytes, start)
    return bytes[start + 8]!
  }
}

/** A short string with its length octet; throws `RangeError` above 255 octets of UTF-8. */
export function encodeShortString(text: string): Buffer {
  const size = Buffer.byteLength(text)
  if (size > SHORT_STRING_BYTES_MAX) {
    throw new RangeError(`a short string of ${size} octets, the limit is ${SHORT_STRING_BYTES_MAX}`)
  }
  const out = Buffer.allocUnsafe(1 + size)
  out[0] = size
  out.write(text, 1, 'utf8')
  return out
}

/** The two parts of an address, as text. */
export interface Address {
  readonly exchange: string
  readonly routingKey: string
}

/** An address as the views give it and the `ChannelWriter` takes it. */
export function encodeAddress(address: Address): Buffer {
  return Buffer.concat([encodeShortString(address.exchange), encodeShortString(address.routingKey)])
}

function readTag(bytes: Buffer, at: number): number {
  const high = readLong(bytes, at)
  const low = readLong(bytes, at + 4)
  return high === 0 ? low : high * 0x1_0000_0000 + low
}

function readLong(bytes: Buffer, at: number): number {
  const value = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  return value >>> 0
}

function malformed(methodId: number): AmqpFrameError {
  const index = methodId & METHOD_MASK
  return new AmqpFrameError('FRAME_ERROR', `malformed arguments of method 60.${index}`, {
    classId: CLASS.BASIC,
    methodId: index,
  })
}
