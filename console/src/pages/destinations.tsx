import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { DestinationRow } from '../../../src/model/shapes/destinations.ts'
import { bytesText, countText, spanText } from '../numbers.ts'
import { PagedList } from '../parts/paged-list.tsx'
import type { Column } from '../parts/table.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'

export function Destinations(): JSX.Element {
  const [profile, setProfile] = useState('')
  return (
    <PagedList
      title={say('nav.destinations')}
      path="v1/pages/destinations"
      keyOf={({ vhost, name }) => `${vhost} ${name}`}
      none={say('destinations.none')}
      columns={columns()}
      query={{ profile }}
      filters={
        <label>
          {say('field.profile')}
          <select value={profile} onChange={(event) => setProfile(event.currentTarget.value)}>
            <option value="">{say('table.all')}</option>
            <option value="queue">{say('profile.queue')}</option>
            <option value="topic">{say('profile.topic')}</option>
          </select>
        </label>
      }
    />
  )
}

function columns(): Column<DestinationRow>[] {
  const number = (
    key: 'ready' | 'unsettled' | 'held' | 'consumers' | 'lag',
    title: string,
    more: Partial<Column<DestinationRow>> = {},
  ): Column<DestinationRow> => ({
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
