/** Milliseconds of each unit of `grpc-timeout`. */
const UNITS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
}

/** Milliseconds of a `grpc-timeout`; null when it is none: at most 8 digits and a unit. */
export function parseTimeout(text: string): number | null {
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? []
  return digits === undefined ? null : Number(digits) * UNITS[unit]!
}

/** Rounded up to what 8 digits can say. */
export function formatTimeout(timeoutMs: number): string {
  const ms = Math.max(0, Math.ceil(timeoutMs))
  if (ms < 100_000_000) return `${ms}m`
  return `${Math.min(Math.ceil(ms / 1000), 99_999_999)}S`
}

/** `grpc-message`: UTF-8 of which all but printable ASCII without `%` is percent-encoded. */
export function encodeMessage(text: string, bytesMax: number): string {
  if (/^[ -$&-~]*$/.test(text) && text.length <= bytesMax)
    return text.trim() === text ? text : edged(text)
  let encoded = ''
  for (const octet of Buffer.from(text, 'utf8').subarray(0, bytesMax)) {
    encoded +=
      octet < 0x20 || octet > 0x7e || octet === 0x25 ? percent(octet) : String.fromCharCode(octet)
  }
  return edged(encoded)
}

/** HTTP takes blanks at either end away. */
function edged(text: string): string {
  return text.replace(/^ +| +$/g, (blanks) => '%20'.repeat(blanks.length))
}

function percent(octet: number): string {
  return `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
}

/** What is no encoding stays as it is, as gRPC wants it. */
export function decodeMessage(text: string): string {
  if (!text.includes('%')) return text
  const octets: number[] = []
  for (let at = 0; at < text.length; at++) {
    const hex = /^%[0-9a-fA-F]{2}/.exec(text.slice(at, at + 3))
    octets.push(hex === null ? text.charCodeAt(at) : Number.parseInt(hex[0].slice(1), 16))
    if (hex !== null) at += 2
  }
  return Buffer.from(octets).toString('utf8')
}

/** Values of fields ending in `-bin`; a list of them is joined by commas. */
export function decodeBinary(text: string): Buffer[] {
  return text.split(',').map((part) => Buffer.from(part, 'base64'))
}

export function encodeBinary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    .toString('base64')
    .replace(/=+$/, '')
}
