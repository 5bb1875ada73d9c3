import { LIST_PATTERN_LENGTH_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from '../limits.ts'
import type { Asked } from './operator.ts'
import { badRequest, Refusal } from './refusal.ts'

/** What a list is made of: enough to find the page, before anything else of it is looked at. */
export interface Listed {
  readonly vhost?: string
  readonly name: string
  /** Called for what is shown only, unless the order needs all. */
  readonly view: () => Readonly<Record<string, unknown>>
}

type View = Readonly<Record<string, unknown>>

/**
 * A list as RabbitMQ answers with it: sorted by `sort`, cut down to `columns`, and with `page` in
 * pages of `page_size` whose names have `name` in them.
 */
export function answerList(asked: Asked, listed: readonly Listed[]): Response {
  const { page, columns } = asked.req.query()
  const sorted = sortedViews(asked, named(asked, listed))
  if (page === undefined) {
    return asked.json(Array.from(sorted, (view) => onlyColumns(view(), columns)))
  }
  const { number, size } = pageAsked(asked)
  const shown = sorted.slice((number - 1) * size, number * size)
  const items = shown.map((view) => onlyColumns(view(), columns))
  return answerPage(asked, { number, size, items, found: sorted.length, total: listed.length })
}

/** `found` of `total` have what was asked for in their names. */
export function answerPage(
  asked: Asked,
  page: {
    readonly number: number
    readonly size: number
    readonly items: readonly object[]
    readonly found: number
    readonly total: number
  },
): Response {
  const { number, size, items, found, total } = page
  const count = Math.max(1, Math.ceil(found / size))
  if (number > count) {
    const text = `Page out of range, page: ${number} page size: ${size}, len: ${found}`
    throw new Refusal(400, 'page_out_of_range', text)
  }
  return asked.json({
    filtered_count: found,
    item_count: items.length,
    items,
    page: number,
    page_count: count,
    page_size: size,
    total_count: total,
  })
}

/** One thing, with no more than `columns` of it. */
export function answerOne(asked: Asked, view: View): Response {
  return asked.json(onlyColumns(view, asked.req.query('columns')))
}

function named(asked: Asked, listed: readonly Listed[]): readonly Listed[] {
  const takes = nameFilter(asked)
  return takes === null ? listed : listed.filter(({ name }) => takes(name))
}

/** What `name` and `use_regex` say of a name; null: they take any. */
export function nameFilter(asked: Asked): ((name: string) => boolean) | null {
  const { page, name, use_regex: usesRegex } = asked.req.query()
  if (page === undefined || name === undefined || name === '') return null
  if (usesRegex !== 'true') return (each) => each.includes(name)
  if (name.length > LIST_PATTERN_LENGTH_MAX) throw badRequest('Pagination parameters are invalid')
  let pattern: RegExp
  try {
    pattern = new RegExp(name, 'i')
  } catch {
    // What is wrong with it is in RabbitMQ's answer neither.
    throw badRequest('Pagination parameters are invalid')
  }
  return (each) => pattern.test(each)
}

function sortedViews(asked: Asked, listed: readonly Listed[]): (() => View)[] {
  const { sort, sort_reverse: reverse } = asked.req.query()
  const direction = reverse === 'true' ? -1 : 1
  if (sort === undefined || sort === '' || sort === 'name' || sort === 'vhost') {
    const isByName = sort === 'name'
    const sorted = listed.toSorted((a, b) => {
      const byVhost = isByName ? 0 : compared(a.vhost ?? '', b.vhost ?? '')
      return direction * (byVhost === 0 ? compared(a.name, b.name) : byVhost)
    })
    return sorted.map(({ view }) => view)
  }
  const path = sort.split('.')
  return listed
    .map(({ view }) => view())
    .toSorted((a, b) => direction * compared(at(a, path), at(b, path)))
    .map((view) => () => view)
}

/** Of a request that has `page`. */
export function pageAsked(asked: Asked): { number: number; size: number } {
  const { page, page_size: pageSize } = asked.req.query()
  const number = Number(page)
  const size = pageSize === undefined ? PAGE_SIZE_DEFAULT : Number(pageSize)
  const isGood = Number.isSafeInteger(number) && number >= 1 && Number.isSafeInteger(size)
  if (isGood && size >= 1 && size <= PAGE_SIZE_MAX) return { number, size }
  const text = `page number ${page ?? 'undefined'}, page size ${pageSize ?? 'undefined'}`
  throw new Refusal(400, 'invalid_pagination_parameters', `Invalid pagination parameters: ${text}`)
}

/** What `columns` names of it, or all. */
export function onlyColumns(view: View, columns: string | undefined): View {
  if (columns === undefined || columns === '') return view
  const shown: Record<string, unknown> = {}
  for (const column of columns.split(',')) {
    const path = column.split('.')
    const value = at(view, path)
    if (value === undefined) continue
    let inner = shown
    for (const key of path.slice(0, -1)) {
      const next = (inner[key] ?? {}) as Record<string, unknown>
      inner[key] = next
      inner = next
    }
    inner[path.at(-1)!] = value
  }
  return shown
}

function at(view: unknown, path: readonly string[]): unknown {
  let value = view
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

/** Numbers by value, all else by its text; what is absent comes first. */
function compared(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const left = text(a)
  const right = text(b)
  if (left === right) return 0
  return left < right ? -1 : 1
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
