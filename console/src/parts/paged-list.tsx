import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Query } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { say } from '../words.ts'
import { Failure } from './notice.tsx'
import { Pager } from './pager.tsx'
import { SearchInput } from './search-input.tsx'
import { Table, type Column, type Order } from './table.tsx'

interface Page<Row> {
  readonly total: number
  readonly rows: readonly Row[]
}

const ROWS = 50
const EVERY_MS = 2000

interface PagedListProps<Row> {
  readonly title: string
  /** Of the API: takes `search`, `offset`, `limit`, and an order where a column can be sorted by. */
  readonly path: string
  readonly columns: readonly Column<Row>[]
  readonly keyOf: (row: Row) => string
  /** Said when no row matches. */
  readonly none: string
  /** More inputs beside the search, and what they say to the API. */
  readonly filters?: ComponentChildren
  readonly query?: Query
}

/** A list that the broker finds, orders and cuts: there may be tens of thousands of rows. */
export function PagedList<Row>(props: PagedListProps<Row>): JSX.Element {
  const { title, path, columns, keyOf, none, filters, query = {} } = props
  const [search, setSearch] = useState('')
  const [order, setOrder] = useState<Order>({ key: 'name', isDescending: false })
  const [offset, setOffset] = useState(0)
  useEffect(() => setOffset(0), [search, order, JSON.stringify(query)])
  const isOrdered = columns.some(({ isSortable }) => isSortable)
  const sorting = isOrdered ? { sort: order.key, descending: order.isDescending } : {}
  const asked = { search, ...query, ...sorting, offset, limit: ROWS }
  const page = useFetched<Page<Row>>(path, asked, EVERY_MS)
  return (
    <>
      <h1>{title}</h1>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <SearchInput onSearch={setSearch} />
        {filters}
      </form>
      <Failure reason={page.error} />
      <section class="card">
        <Table
          label={title}
          rows={page.value?.rows ?? []}
          keyOf={keyOf}
          empty={page.value === null ? say('app.loading') : none}
          columns={columns}
          order={order}
          onOrder={setOrder}
        />
        <Pager total={page.value?.total ?? 0} offset={offset} limit={ROWS} onOffset={setOffset} />
      </section>
    </>
  )
}
