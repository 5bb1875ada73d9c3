import type { HeaderMap, HeaderValue } from './header-value.ts'

/**
 * Header values as JSON, for metadata: what JSON has stands as it is; a map becomes
 * `{"map": [[key, value], …]}`, octets `{"bytes": base64}`, a bigint `{"int": digits}`.
 */
export function headerToJson(value: HeaderValue): unknown {
  if (typeof value === 'bigint') return { int: value.toString() }
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map(headerToJson)
  if (value instanceof Map) {
    return { map: Array.from(value as HeaderMap, ([key, inner]) => [key, headerToJson(inner)]) }
  }
  return value
}

function headerFromJson(json: unknown): HeaderValue {
  if (Array.isArray(json)) return json.map(headerFromJson)
  if (typeof json !== 'object' || json === null) return json as HeaderValue
  if ('int' in json) return BigInt(json.int as string)
  if ('bytes' in json) return Buffer.from(json.bytes as string, 'base64')
  return headerMapFromJson(json)
}

export function headerMapFromJson(json: unknown): HeaderMap {
  const pairs = (json as { map: [string, unknown][] }).map
  return new Map(pairs.map(([key, value]) => [key, headerFromJson(value)]))
}
