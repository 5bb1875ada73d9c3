/**
 * The address of a message as stored with it: exchange and routing key, each a length octet and
 * UTF-8. A key beyond 255 octets, which AMQP 0-9-1 has no room for, stands whole behind them, and
 * a shortened one in its place; so the two texts in front are good for whoever knows no others.
 *
 *     u8 n, exchange (n)   u8 m, key (m)   [ whole key, to the end ]
 */

/** What one length octet can say. */
const SHORT_TEXT_BYTES_MAX = 255

/** Addresses have 16 bits for their length, and two short texts in front of a long key. */
export const ROUTING_KEY_BYTES_MAX = 65_000

/** Behind a key that was shortened: no dot, which would be a word more. */
export const SHORTENED_MARK = '…'

/** Throws `RangeError` when the exchange is longer than 255 octets, or the key than 65,000. */
export function encodeAddress(exchange: string, routingKey: string): Buffer {
  const exchangeBytes = Buffer.from(exchange, 'utf8')
  const keyBytes = Buffer.from(routingKey, 'utf8')
  if (exchangeBytes.length > SHORT_TEXT_BYTES_MAX || keyBytes.length > ROUTING_KEY_BYTES_MAX) {
    throw new RangeError(
      `an exchange of ${exchangeBytes.length} and a routing key of ${keyBytes.length} octets, ` +
        `limits are ${SHORT_TEXT_BYTES_MAX} and ${ROUTING_KEY_BYTES_MAX}`,
    )
  }
  const isLong = keyBytes.length > SHORT_TEXT_BYTES_MAX
  const shortBytes = isLong ? shortened(keyBytes) : keyBytes
  return Buffer.concat([
    Buffer.of(exchangeBytes.length),
    exchangeBytes,
    Buffer.of(shortBytes.length),
    shortBytes,
    ...(isLong ? [keyBytes] : []),
  ])
}

export function exchangeOf(address: Buffer, start: number): string {
  const size = address[start] ?? 0
  return address.toString('utf8', start + 1, start + 1 + size)
}

/** The whole key. */
export function routingKeyOf(address: Buffer, start: number, end: number): string {
  const shortEnd = shortAddressEnd(address, start)
  if (shortEnd < end) return address.toString('utf8', shortEnd, end)
  const keyAt = start + 1 + (address[start] ?? 0)
  return address.toString('utf8', keyAt + 1, shortEnd)
}

/** HOT: behind the two short texts, which is the end unless the key is long. */
export function shortAddressEnd(address: Buffer, start: number): number {
  const keyAt = start + 1 + (address[start] ?? 0)
  return keyAt + 1 + (address[keyAt] ?? 0)
}

/** As many whole characters as leave room for the mark. */
function shortened(key: Buffer): Buffer {
  const mark = Buffer.from(SHORTENED_MARK)
  let end = SHORT_TEXT_BYTES_MAX - mark.length
  // A continuation octet of UTF-8 begins with the bits 10.
  while ((key[end]! & 0xc0) === 0x80) end--
  return Buffer.concat([key.subarray(0, end), mark])
}
