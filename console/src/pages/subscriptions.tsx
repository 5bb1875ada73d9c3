import type { JSX } from 'preact'
import type { SubscriptionRow } from '../../../src/model/shapes/destinations.ts'
import { countText, spanText } from '../numbers.ts'
import { PagedList } from '../parts/paged-list.tsx'
import { Reasons } from '../parts/reasons.tsx'
import type { Column } from '../parts/table.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'

/** Who keeps a place in a topic, whatever its protocol, and how far behind it is. */
export function Subscriptions(): JSX.Element {
  return (
    <PagedList
      title={say('nav.subscriptions')}
      path="v1/pages/subscriptions"
      keyOf={({ vhost, name, kind, topic }) => `${vhost} ${kind} ${name} ${topic}`}
      none={say('subscriptions.none')}
      columns={columns()}
    />
  )
}

function columns(): Column<SubscriptionRow>[] {
  return [
    { key: 'name', title: say('field.name'), isSortable: true, cell: ({ name }) => name },
    {
      key: 'topic',
      title: say('field.topic'),
      isSortable: true,
      cell: ({ vhost, topic }) =>
        topic === null ? '–' : <a href={hrefOf('destination', vhost, topic)}>{topic}</a>,
    },
    {
      key: 'kind',
      title: say('field.kind'),
      isSortable: true,
      isWide: true,
      cell: ({ kind }) => say(`subscription.${kind}`),
    },
    {
      key: 'members',
      title: say('field.members'),
      isNumber: true,
      isSortable: true,
      cell: ({ members }) => countText(members),
    },
    {
      key: 'lag',
      title: say('field.lag'),
      isNumber: true,
      isSortable: true,
      cell: ({ lag }) => countText(lag),
    },
    {
      key: 'unsettled',
      title: say('count.unsettled'),
      isNumber: true,
      cell: ({ unsettled }) => (unsettled === null ? '–' : countText(unsettled)),
    },
    {
      key: 'oldest',
      title: say('field.oldest'),
      isNumber: true,
      cell: ({ oldestMs }) => (oldestMs === null ? '–' : spanText(Date.now() - oldestMs)),
    },
    {
      key: 'why',
      title: say('field.why'),
      isWide: true,
      cell: ({ reasons }) => <Reasons reasons={reasons} />,
    },
  ]
}
