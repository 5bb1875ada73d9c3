import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { useFetched } from '../fetched.ts'
import { bytesText, countText, spanText } from '../numbers.ts'
import { Failure } from '../parts/notice.tsx'
import { Pager } from '../parts/pager.tsx'
import { Table, type Column, type Order } from '../parts/table.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'
import type { ConnectionRow } from './connection-row.ts'

interface Page {
  readonly total: number
  readonly rows: readonly ConnectionRow[]
}

const ROWS = 50
const EVERY_MS = 2000
const TYPING_MS = 200

export function Connections(): JSX.Element {
  const [typed, setTyped] = useState('')
  const [search, setSearch] = useState('')
  const [order, setOrder] = useState<Order>({ key: 'name', isDescending: false })
  const [offset, setOffset] = useState(0)
  useEffect(() => {
    const timer = window.setTimeout(() => setSearch(typed), TYPING_MS)
    return () => window.clearTimeout(timer)
  }, [typed])
  useEffect(() => setOffset(0), [search, order])
  const page = useFetched<Page>(
    'v1/pages/connections',
    { search, sort: order.key, descending: order.isDescending, offset, limit: ROWS },
    EVERY_MS,
  )
  return (
    <>
      <h1>{say('nav.connections')}</h1>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          {say('table.search')}
          <input
            type="search"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
      </form>
      <Failure reason={page.error} />
      <section class="card">
        <Table
          label={say('nav.connections')}
          rows={page.value?.rows ?? []}
          keyOf={({ id }) => String(id)}
          empty={say(page.value === null ? 'app.loading' : 'connections.none')}
          columns={columns()}
          order={order}
          onOrder={setOrder}
        />
        <Pager total={page.value?.total ?? 0} offset={offset} limit={ROWS} onOffset={setOffset} />
      </section>
    </>
  )
}

function columns(): Column<ConnectionRow>[] {
  return [
    {
      key: 'name',
      title: say('field.name'),
      isSortable: true,
      cell: ({ id, name, clientName, heldBackBy }) => (
        <>
          <a href={hrefOf('connection', String(id))}>{clientName ?? name}</a>
          {heldBackBy !== null && <span class="badge warning">{heldBackBy}</span>}
        </>
      ),
    },
    {
      key: 'protocol',
      title: say('field.protocol'),
      isSortable: true,
      cell: ({ protocol }) => protocol,
    },
    { key: 'user', title: say('field.user'), isSortable: true, cell: ({ user }) => user ?? '–' },
    {
      key: 'state',
      title: say('field.state'),
      isSortable: true,
      isWide: true,
      cell: ({ state }) => state,
    },
    {
      key: 'consumers',
      title: say('count.consumers'),
      isNumber: true,
      isSortable: true,
      cell: ({ consumers }) => countText(consumers),
    },
    {
      key: 'receivedBytes',
      title: say('field.received'),
      isNumber: true,
      isSortable: true,
      isWide: true,
      cell: ({ receivedBytes }) => bytesText(receivedBytes),
    },
    {
      key: 'sentBytes',
      title: say('field.sent'),
      isNumber: true,
      isSortable: true,
      isWide: true,
      cell: ({ sentBytes }) => bytesText(sentBytes),
    },
    {
      key: 'connectedAtMs',
      title: say('field.since'),
      isNumber: true,
      isSortable: true,
      cell: ({ connectedAtMs }) => spanText(Date.now() - connectedAtMs),
    },
  ]
}
