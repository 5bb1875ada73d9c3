/** A column: its heading, and what it shows of a row. */
export interface Column {
  readonly title: string
  readonly value: (row: Readonly<Record<string, unknown>>) => unknown
  /** Numbers line up at their right end. Default false. */
  readonly isNumber?: boolean
}

/** Lines of text, one a row, under one heading; for a person to read. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly Readonly<Record<string, unknown>>[],
): string {
  const heading = columns.map(({ title }) => title)
  const body = rows.map((row) => columns.map(({ value }) => cellText(value(row))))
  const widths = columns.map((_, index) => {
    return [heading, ...body].reduce(
      (width, line) => Math.max(width, (line[index] ?? '').length),
      0,
    )
  })
  const lines = [heading, ...body].map((line) => {
    const cells = line.map((text, index) => {
      const width = widths[index] ?? 0
      return columns[index]?.isNumber === true ? text.padStart(width) : text.padEnd(width)
    })
    return cells.join('  ').trimEnd()
  })
  return `${lines.join('\n')}\n`
}

/** Names come from clients: what would move the cursor or colour the terminal is not let out. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\uFFFD')
}
