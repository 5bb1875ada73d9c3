import { language } from './settings.ts'

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** 1,234,567 */
export function countText(value: number): string {
  return Math.round(value).toLocaleString(language.value)
}

/** 1.2M, for tiles. */
export function shortText(value: number): string {
  return value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 })
}

export function bytesText(value: number): string {
  let unit = 0
  let left = value
  while (left >= 1024 && unit < BYTE_UNITS.length - 1) {
    left /= 1024
    unit++
  }
  return `${left.toFixed(unit === 0 || left >= 100 ? 0 : 1)} ${BYTE_UNITS[unit]}`
}

/** 3 d 4 h, 5 min 2 s, 0.3 s */
export function spanText(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  const seconds = Math.floor(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** A short span with its fractions, since most calls take less than a millisecond: 0.32 ms */
export function tookText(ms: number): string {
  return ms < 10 ? `${Number(ms.toPrecision(2))} ms` : spanText(ms)
}

export function timeText(ms: number): string {
  return new Date(ms).toLocaleString(language.value, {
    dateStyle: 'short',
    timeStyle: 'medium',
  })
}
