const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
  pib: 1024 ** 5,
}

const DURATION_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Bytes from `1048576`, `16MiB` or `2 GB`; undefined when it is none. */
export function parseSize(value: string | number): number | undefined {
  return parseQuantity(value, SIZE_UNITS)
}

/** Milliseconds from `500`, `500ms`, `30s`, `5m`, `1h` or `2d`; undefined when it is none. */
export function parseDurationMs(value: string | number): number | undefined {
  return parseQuantity(value, DURATION_UNITS)
}

/** A part of a whole from `0.01` or `1%`; undefined when it is none, or nothing. */
export function parsePart(value: string | number): number | undefined {
  const text = String(value).trim()
  const isPercent = text.endsWith('%')
  const number = text === '' ? NaN : Number(isPercent ? text.slice(0, -1) : text)
  const part = isPercent ? number / 100 : number
  return part > 0 && part <= 1 ? part : undefined
}

/** The shortest way to write so many bytes that `parseSize` reads. */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, [
    ['PiB', 1024 ** 5],
    ['TiB', 1024 ** 4],
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ])
}

/** The shortest way to write so many milliseconds that `parseDurationMs` reads. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0'
  return formatQuantity(
    ms,
    [
      ['d', 86_400_000],
      ['h', 3_600_000],
      ['m', 60_000],
      ['s', 1000],
    ],
    'ms',
  )
}

/** In the largest unit of which it is a whole number. */
function formatQuantity(
  value: number,
  units: readonly (readonly [name: string, size: number])[],
  least = '',
): string {
  const unit = units.find(([, size]) => value !== 0 && value % size === 0)
  return unit === undefined ? `${value}${least}` : `${value / unit[1]}${unit[0]}`
}

/** A part up to 1, a size above it, or 0; undefined when it is none of these. */
export function parseWatermark(value: string | number): number | undefined {
  return /^0+(?:\.0+)?$/.test(String(value)) ? 0 : (parsePart(value) ?? parseSize(value))
}

function parseQuantity(
  value: string | number,
  units: Readonly<Record<string, number>>,
): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(String(value).trim().toLowerCase())
  const unit = units[match?.[2] ?? '?']
  if (match === null || unit === undefined) return undefined
  const quantity = Number(match[1]) * unit
  return Number.isSafeInteger(quantity) ? quantity : undefined
}
