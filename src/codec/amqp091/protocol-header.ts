/** Octets of the header with which a client opens the connection. */
export const PROTOCOL_HEADER_BYTES = 8

/** `AMQP 0 0 9 1`: what our client opens with, and what a server answers to any other header. */
export const AMQP_0_9_1_HEADER: Uint8Array = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1)

/** AMQP 1.0 has three layers, each with a header of its own: plain (id 0), TLS (2), SASL (3). */
export type ProtocolHeader =
  | 'amqp-0-9-1'
  | 'amqp-1.0'
  | 'amqp-1.0-tls'
  | 'amqp-1.0-sasl'
  /** Not one of ours, which may be known before all eight octets are there. */
  | 'other'

const KNOWN: readonly (readonly [ProtocolHeader, readonly number[]])[] = [
  ['amqp-0-9-1', [...AMQP_0_9_1_HEADER]],
  ['amqp-1.0', [0x41, 0x4d, 0x51, 0x50, 0, 1, 0, 0]],
  ['amqp-1.0-tls', [0x41, 0x4d, 0x51, 0x50, 2, 1, 0, 0]],
  ['amqp-1.0-sasl', [0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0]],
]

/**
 * Names the protocol whose header starts at `start`; null means "wait for more".
 *
 * Octets behind the header are not looked at: a client may pipeline.
 */
export function recogniseProtocolHeader(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): ProtocolHeader | null {
  const size = Math.min(end - start, PROTOCOL_HEADER_BYTES)
  const match = KNOWN.find(([, header]) => {
    for (let i = 0; i < size; i += 1) if (bytes[start + i] !== header[i]) return false
    return true
  })
  if (match === undefined) return 'other'
  return size < PROTOCOL_HEADER_BYTES ? null : match[0]
}
