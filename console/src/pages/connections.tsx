import type { JSX } from 'preact'
import { bytesText, countText, spanText } from '../numbers.ts'
import { PagedList } from '../parts/paged-list.tsx'
import type { Column } from '../parts/table.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'
import type { ConnectionView } from '../../../src/model/shapes/connections.ts'

export function Connections(): JSX.Element {
  return (
    <PagedList
      title={say('nav.connections')}
      path="v1/pages/connections"
      keyOf={({ id }) => String(id)}
      none={say('connections.none')}
      columns={columns()}
    />
  )
}

function columns(): Column<ConnectionView>[] {
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
