const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Milliseconds from a number of them or from a text such as `250ms`, `30s`, `5m`, `1h`, `2d`. */
export function durationMs(span: number | string): number {
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/.exec(String(span).trim()) ?? []
  const ms = typeof span === 'number' ? span : Number(count) * (UNIT_MS[unit] ?? Number.NaN)
  if (!(ms >= 0 && ms < Infinity)) {
    throw new RangeError(
      `'${span}' is no span of time: say 250, '250ms', '30s', '5m', '1h' or '2d'`,
    )
  }
  return ms
}
