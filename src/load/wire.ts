/** The few AMQP 0-9-1 frames the load program sends, built once and outside any timed loop. */

export const FRAME_METHOD = 1
export const FRAME_HEADER = 2
export const FRAME_BODY = 3
/** Type, channel and size in front of a payload; the end octet behind it makes eight in all. */
export const FRAME_HEADER_BYTES = 7
export const FRAME_OVERHEAD_BYTES = 8
/** The whole frame, as RabbitMQ offers it: a body of 64 KiB fits into one. */
export const FRAME_SIZE_MAX = 131_072

/** Class number in the upper, method number in the lower 16 bits, as they lie on the wire. */
export const METHOD = {
  connectionStart: 0x000a_000a,
  connectionStartOk: 0x000a_000b,
  connectionTune: 0x000a_001e,
  connectionTuneOk: 0x000a_001f,
  connectionOpen: 0x000a_0028,
  connectionClose: 0x000a_0032,
  connectionCloseOk: 0x000a_0033,
  connectionBlocked: 0x000a_003c,
  connectionUnblocked: 0x000a_003d,
  channelOpen: 0x0014_000a,
  channelClose: 0x0014_0028,
  exchangeDeclare: 0x0028_000a,
  exchangeDelete: 0x0028_0014,
  queueDeclare: 0x0032_000a,
  queueBind: 0x0032_0014,
  queueDelete: 0x0032_0028,
  basicQos: 0x003c_000a,
  basicConsume: 0x003c_0014,
  basicPublish: 0x003c_0028,
  basicReturn: 0x003c_0032,
  basicDeliver: 0x003c_003c,
  basicGet: 0x003c_0046,
  basicGetOk: 0x003c_0047,
  basicAck: 0x003c_0050,
  basicNack: 0x003c_0078,
  confirmSelect: 0x0055_000a,
} as const

export const PROTOCOL_HEADER: Buffer = Buffer.from('AMQP\0\0\x09\x01', 'latin1')

const END = Buffer.from([0xce])

export function u8(value: number): Buffer {
  return Buffer.from([value])
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function shortString(text: string): Buffer {
  return Buffer.concat([u8(Buffer.byteLength(text)), Buffer.from(text)])
}

export function longString(text: string): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)])
}

/** What queue arguments and client properties need here: text, 32-bit integers, true, tables. */
export interface TableFields {
  readonly [name: string]: string | number | true | TableFields
}

export function table(fields: TableFields): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of Object.entries(fields)) {
    parts.push(shortString(name))
    if (value === true) parts.push(Buffer.from('t'), u8(1))
    else if (typeof value === 'string') parts.push(Buffer.from('S'), longString(value))
    else if (typeof value === 'number') parts.push(Buffer.from('I'), u32(value))
    else parts.push(Buffer.from('F'), table(value))
  }
  const bytes = Buffer.concat(parts)
  return Buffer.concat([u32(bytes.length), bytes])
}

function frame(type: number, channel: number, ...payload: readonly Buffer[]): Buffer {
  const size = payload.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([u8(type), u16(channel), u32(size), ...payload, END])
}

export function method(channel: number, id: number, ...args: readonly Buffer[]): Buffer {
  return frame(FRAME_METHOD, channel, u32(id), ...args)
}

/** basic.ack of one tag; the tag lies at byte 15 and `multiple` at byte 19. */
export function ackFrame(channel: number, deliveryTag: number, multiple: boolean): Buffer {
  return method(channel, METHOD.basicAck, u32(0), u32(deliveryTag), u8(multiple ? 1 : 0))
}

/** basic.nack, of the same layout. */
export function nackFrame(
  channel: number,
  deliveryTag: number,
  { multiple, requeue }: { readonly multiple: boolean; readonly requeue: boolean },
): Buffer {
  const bits = (multiple ? 1 : 0) | (requeue ? 2 : 0)
  return method(channel, METHOD.basicNack, u32(0), u32(deliveryTag), u8(bits))
}

export const ACK_FRAME_BYTES = 21
export const ACK_TAG_OFFSET = 15

/** A whole persistent message as its publisher sends it: method, header and one body frame. */
export function publishFrames(exchange: string, routingKey: string, body: Buffer): Buffer {
  const deliveryModeFlag = 1 << 12
  return Buffer.concat([
    method(1, METHOD.basicPublish, u16(0), shortString(exchange), shortString(routingKey), u8(0)),
    frame(FRAME_HEADER, 1, u16(60), u16(0), u32(0), u32(body.length), u16(deliveryModeFlag), u8(2)),
    frame(FRAME_BODY, 1, body),
  ])
}

/**
 * What every body starts with: its sequence number, counted from 0 by its publisher, and the
 * time it was sent. The rest is filler.
 */
export const BODY_SEQUENCE_OFFSET = 0
export const BODY_TIME_OFFSET = 8
export const BODY_SIZE_MIN = 16
