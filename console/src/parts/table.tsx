import type { ComponentChildren, JSX } from 'preact'

export interface Column<Row> {
  readonly key: string
  readonly title: string
  readonly cell: (row: Row) => ComponentChildren
  readonly isNumber?: boolean
  /** Left out where there is little room. */
  readonly isWide?: boolean
  readonly isSortable?: boolean
}

export interface Order {
  readonly key: string
  readonly isDescending: boolean
}

interface TableProps<Row> {
  readonly label: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  readonly order?: Order
  readonly onOrder?: (order: Order) => void
  /** Said in the place of rows. */
  readonly empty: string
}

/** A table that scrolls sideways where it must, by keyboard too. */
export function Table<Row>(props: TableProps<Row>): JSX.Element {
  const { label, columns, rows, keyOf, empty } = props
  return (
    <div class="table-box" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <HeadCell key={column.key} column={column} {...props} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.key} class={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {rows.length === 0 && (
            <tr>
              <td class="empty" colSpan={columns.length}>
                {empty}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  )
}

function HeadCell<Row>({
  column,
  order,
  onOrder,
}: { readonly column: Column<Row> } & Pick<TableProps<Row>, 'order' | 'onOrder'>): JSX.Element {
  const { key, title, isNumber = false, isSortable = false } = column
  if (!isSortable || onOrder === undefined) {
    return (
      <th scope="col" class={classOf(column)}>
        {title}
      </th>
    )
  }
  const isOrdered = order?.key === key
  // Numbers are first wanted from the largest down.
  const isDescending = isOrdered ? !order.isDescending : isNumber
  const sorted = isOrdered ? (order.isDescending ? 'descending' : 'ascending') : 'none'
  return (
    <th scope="col" class={classOf(column)} aria-sort={sorted}>
      <button type="button" class="sort" onClick={() => onOrder({ key, isDescending })}>
        {title}
        <span aria-hidden="true">{isOrdered ? (order.isDescending ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </th>
  )
}

function classOf({
  isNumber = false,
  isWide = false,
}: {
  readonly isNumber?: boolean
  readonly isWide?: boolean
}): string {
  return `${isNumber ? 'number' : ''} ${isWide ? 'wide' : ''}`.trim()
}
