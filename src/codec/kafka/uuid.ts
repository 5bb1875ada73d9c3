/** No topic, no directory: how the zero uuid looks, 16 octets in base64url. */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'

/** Octets of a uuid on the wire; as text it has `UUID_CHARS`. */
export const UUID_BYTES = 16
export const UUID_CHARS = 22
