/**
 * Values of headers and arguments in no protocol's own types: what routing, filters and policies
 * look at. Each protocol maps its wire types onto these; integers of every width are numbers, or
 * bigints beyond the safe range, and numbers with a fraction are numbers.
 */
export type HeaderValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly HeaderValue[]
  | HeaderMap

export type HeaderMap = ReadonlyMap<string, HeaderValue>

/** No headers, no arguments. */
export const NO_HEADERS: HeaderMap = new Map()

/**
 * Whether two values are the same to a headers exchange: numbers by value whatever their width,
 * text and bytes by their bytes, lists in order, maps in any order; nothing else is converted
 * (5 is not '5', 1 is not true).
 */
export function equalHeaderValues(a: HeaderValue, b: HeaderValue): boolean {
  if (a === b) return true
  if (a === null || b === null) return false
  if (typeof a === 'string') return b instanceof Uint8Array && equalBytes(textBytes(a), b)
  if (typeof b === 'string') return a instanceof Uint8Array && equalBytes(a, textBytes(b))
  if (typeof a !== 'object' || typeof b !== 'object') return equalScalars(a, b)
  if (a instanceof Uint8Array) return b instanceof Uint8Array && equalBytes(a, b)
  if (isList(a)) return isList(b) && equalLists(a, b)
  return isMap(b) && isMap(a) && equalHeaderMaps(a, b)
}

export function equalHeaderMaps(a: HeaderMap, b: HeaderMap): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) {
    const other = b.get(key)
    if (other === undefined || !equalHeaderValues(value, other)) return false
  }
  return true
}

/**
 * A text that two maps share exactly when they hold the same keys with values of the same type
 * and content, in whatever order; '' for an empty map. Bindings are told apart by it.
 */
export function headersIdentity(map: HeaderMap): string {
  if (map.size === 0) return ''
  const keys = [...map.keys()].toSorted()
  return keys.map((key) => sized(key) + valueIdentity(map.get(key) ?? null)).join('')
}

function valueIdentity(value: HeaderValue): string {
  if (value === null) return 'n;'
  if (typeof value === 'string') return `s${sized(value)}`
  if (typeof value === 'boolean') return value ? 't;' : 'f;'
  // -0 is written as 0, and a bigint like the number of the same value.
  if (typeof value === 'number' || typeof value === 'bigint') return `d${value};`
  if (value instanceof Uint8Array) return `b${sized(bytesOf(value).toString('latin1'))}`
  if (isList(value)) return `l${value.length}:${value.map(valueIdentity).join('')}`
  return `m${sized(headersIdentity(value))}`
}

/** With the length in front no content can be taken for the end of it. */
function sized(text: string): string {
  return `${text.length}:${text}`
}

/** `===` has said no: left are a number and a bigint, which may still be worth the same. */
function equalScalars(a: HeaderValue, b: HeaderValue): boolean {
  if (typeof a === 'bigint') return typeof b === 'number' && isSame(a, b)
  return typeof a === 'number' && typeof b === 'bigint' && isSame(b, a)
}

function isSame(whole: bigint, value: number): boolean {
  return Number.isInteger(value) && BigInt(value) === whole
}

function equalLists(a: readonly HeaderValue[], b: readonly HeaderValue[]): boolean {
  return a.length === b.length && a.every((value, index) => equalHeaderValues(value, b[index]!))
}

function isList(value: HeaderValue): value is readonly HeaderValue[] {
  return Array.isArray(value)
}

function isMap(value: HeaderValue): value is HeaderMap {
  return value instanceof Map
}

function textBytes(text: string): Buffer {
  return Buffer.from(text, 'utf8')
}

function bytesOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && bytesOf(a).equals(b)
}
