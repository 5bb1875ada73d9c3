/**
 * A client's side of a session as a list of frames that can be tampered with before they are
 * bytes: what a mutation changes is a field here, so that it need not know the wire.
 */
import {
  AMQP_0_9_1_HEADER,
  encodeContentHeader,
  encodeMethod,
  FRAME,
  type BasicProperties,
  type MethodInput,
} from '../../src/codec/amqp091/index.ts'

export interface Frame {
  readonly kind: 'frame'
  /** For reports: the method, `header` or `body`. */
  readonly label: string
  readonly type: number
  readonly channel: number
  readonly payload: Buffer
  /** What the frame says its payload is; absent: the truth. */
  readonly size?: number
  /** The octet behind the payload; absent: 0xCE. */
  readonly end?: number
}

/** Bytes that are no frame, such as the protocol header. */
export interface Raw {
  readonly kind: 'raw'
  readonly label: string
  readonly bytes: Buffer
}

export type Piece = Frame | Raw

const FRAME_HEADER_BYTES = 7

export function method(channel: number, input: MethodInput): Frame {
  const bytes = encodeMethod(channel, input)
  const payload = bytes.subarray(FRAME_HEADER_BYTES, bytes.length - 1)
  return { kind: 'frame', label: input.name, type: FRAME.METHOD, channel, payload }
}

export function header(
  channel: number,
  bodySize: number | bigint,
  properties: BasicProperties = {},
): Frame {
  const payload = encodeContentHeader(0, properties)
  payload.writeBigUInt64BE(BigInt(bodySize), 4)
  return { kind: 'frame', label: 'header', type: FRAME.HEADER, channel, payload }
}

export function body(channel: number, bytes: Uint8Array): Frame {
  const payload = Buffer.from(bytes)
  return { kind: 'frame', label: 'body', type: FRAME.BODY, channel, payload }
}

export function frame(type: number, channel: number, payload: Uint8Array, label: string): Frame {
  return { kind: 'frame', label, type, channel, payload: Buffer.from(payload) }
}

export function raw(label: string, bytes: Uint8Array): Raw {
  return { kind: 'raw', label, bytes: Buffer.from(bytes) }
}

export const PROTOCOL_HEADER: Raw = raw('protocol header', AMQP_0_9_1_HEADER)

export function bytesOf(piece: Piece): Buffer {
  if (piece.kind === 'raw') return piece.bytes
  const { payload } = piece
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length + 1)
  bytes.writeUInt8(piece.type & 0xff, 0)
  bytes.writeUInt16BE(piece.channel & 0xffff, 1)
  bytes.writeUInt32BE((piece.size ?? payload.length) >>> 0, 3)
  bytes.set(payload, FRAME_HEADER_BYTES)
  bytes.writeUInt8(piece.end ?? FRAME.END, bytes.length - 1)
  return bytes
}

/** One line for a person who reads a failure. */
export function describePieces(pieces: readonly Piece[]): string {
  return pieces
    .map((piece) => {
      if (piece.kind === 'raw') return `${piece.label}[${piece.bytes.length}]`
      const size = piece.size === undefined ? '' : ` says ${piece.size}`
      const end = piece.end === undefined ? '' : ` ends ${piece.end}`
      return `${piece.channel}:${piece.label}[${piece.payload.length}${size}${end}]`
    })
    .join(' ')
}
