import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { useFetched } from '../fetched.ts'
import { bytesText, countText, spanText } from '../numbers.ts'
import { Failure } from '../parts/notice.tsx'
import { Pager } from '../parts/pager.tsx'
import { Table, type Column, type Order } from '../parts/table.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'

interface Row {
  readonly vhost: string
  readonly name: string
  readonly profile: 'queue' | 'topic'
  readonly durable: boolean
  readonly ready: number
  readonly unsettled: number
  readonly held: number
  readonly readyBytes: number
  readonly lag: number | null
  readonly consumers: number
  readonly heldBackBy: string | null
  readonly oldestMs: number | null
}

interface Page {
  readonly total: number
  readonly rows: readonly Row[]
}

const ROWS = 50
const EVERY_MS = 2000
/** Nobody types faster than this and wants an answer for each letter. */
const TYPING_MS = 200

export function Destinations(): JSX.Element {
  const [typed, setTyped] = useState('')
  const [search, setSearch] = useState('')
  const [profile, setProfile] = useState('')
  const [order, setOrder] = useState<Order>({ key: 'name', isDescending: false })
  const [offset, setOffset] = useState(0)
  useEffect(() => {
    const timer = window.setTimeout(() => setSearch(typed), TYPING_MS)
    return () => window.clearTimeout(timer)
  }, [typed])
  useEffect(() => setOffset(0), [search, profile, order])
  const page = useFetched<Page>(
    'v1/pages/destinations',
    { search, profile, sort: order.key, descending: order.isDescending, offset, limit: ROWS },
    EVERY_MS,
  )
  return (
    <>
      <h1>{say('nav.destinations')}</h1>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          {say('table.search')}
          <input
            type="search"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <label>
          {say('field.profile')}
          <select value={profile} onChange={(event) => setProfile(event.currentTarget.value)}>
            <option value="">{say('table.all')}</option>
            <option value="queue">{say('profile.queue')}</option>
            <option value="topic">{say('profile.topic')}</option>
          </select>
        </label>
      </form>
      <Failure reason={page.error} />
      <section class="card">
        <Table
          label={say('nav.destinations')}
          rows={page.value?.rows ?? []}
          keyOf={({ vhost, name }) => `${vhost} ${name}`}
          empty={say(page.value === null ? 'app.loading' : 'destinations.none')}
          columns={columns()}
          order={order}
          onOrder={setOrder}
        />
        <Pager total={page.value?.total ?? 0} offset={offset} limit={ROWS} onOffset={setOffset} />
      </section>
    </>
  )
}

function columns(): Column<Row>[] {
  const number = (
    key: 'ready' | 'unsettled' | 'held' | 'consumers' | 'lag',
    title: string,
    more: Partial<Column<Row>> = {},
  ): Column<Row> => ({
    key,
    title,
    isNumber: true,
    isSortable: true,
    cell: (row) => {
      const value = row[key]
      return value === null ? '–' : countText(value)
    },
    ...more,
  })
  return [
    {
      key: 'name',
      title: say('field.name'),
      isSortable: true,
      cell: ({ vhost, name, heldBackBy }) => (
        <>
          <a href={hrefOf('destination', vhost, name)}>{name}</a>
          {heldBackBy !== null && <span class="badge warning">{heldBackBy}</span>}
        </>
      ),
    },
    {
      key: 'vhost',
      title: say('field.vhost'),
      isSortable: true,
      isWide: true,
      cell: ({ vhost }) => vhost,
    },
    {
      key: 'profile',
      title: say('field.profile'),
      isSortable: true,
      cell: ({ profile }) => <span class={`badge ${profile}`}>{say(`profile.${profile}`)}</span>,
    },
    number('ready', say('count.ready')),
    number('unsettled', say('count.unsettled')),
    number('held', say('count.held'), { isWide: true }),
    number('lag', say('field.lag')),
    {
      key: 'oldest',
      title: say('field.oldest'),
      isNumber: true,
      cell: ({ oldestMs }) => (oldestMs === null ? '–' : spanText(Date.now() - oldestMs)),
    },
    number('consumers', say('count.consumers')),
    {
      key: 'readyBytes',
      title: say('count.bytes'),
      isNumber: true,
      isSortable: true,
      isWide: true,
      cell: ({ readyBytes }) => bytesText(readyBytes),
    },
  ]
}
