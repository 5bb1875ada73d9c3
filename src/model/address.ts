/** Encodes exchange and routing key as stored with a message: length octet and UTF-8, twice. */
export function encodeAddress(exchange: string, routingKey: string): Buffer {
  const exchangeBytes = Buffer.from(exchange, 'utf8')
  const keyBytes = Buffer.from(routingKey, 'utf8')
  if (exchangeBytes.length > 255 || keyBytes.length > 255) {
    throw new RangeError('an exchange name or routing key is longer than 255 bytes')
  }
  return Buffer.concat([
    Buffer.of(exchangeBytes.length),
    exchangeBytes,
    Buffer.of(keyBytes.length),
    keyBytes,
  ])
}

export function exchangeOf(address: Buffer, start: number): string {
  const size = address[start] ?? 0
  return address.toString('utf8', start + 1, start + 1 + size)
}

export function routingKeyOf(address: Buffer, start: number): string {
  const keyAt = start + 1 + (address[start] ?? 0)
  const size = address[keyAt] ?? 0
  return address.toString('utf8', keyAt + 1, keyAt + 1 + size)
}
