import type { JSX } from 'preact'
import type {
  ConsumerWhy,
  DestinationDetails,
  SubscriptionView,
} from '../../../src/model/shapes/destinations.ts'
import { countText } from '../numbers.ts'
import { Reasons } from '../parts/reasons.tsx'
import { Table, type Column } from '../parts/table.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'

/** Who takes from it and who feeds it, and what keeps messages from going on. */
export function Readers({ details }: { readonly details: DestinationDetails }): JSX.Element {
  const { why, subscriptions, bindings, bindingCount } = details
  return (
    <>
      <section class="card">
        <h2>{say('destination.why')}</h2>
        <Reasons reasons={why.reasons} />
      </section>
      <section class="card">
        <h2>{say('count.consumers')}</h2>
        <Consumers consumers={why.consumers} />
      </section>
      {subscriptions.length > 0 && (
        <section class="card">
          <h2>{say('destination.subscriptions')}</h2>
          <Table
            label={say('destination.subscriptions')}
            rows={subscriptions}
            keyOf={({ name }) => name}
            empty={say('app.nothing')}
            columns={subscriptionColumns()}
          />
        </section>
      )}
      <section class="card">
        <h2>
          {say('destination.bindings')} ({countText(bindingCount)})
        </h2>
        <Table
          label={say('destination.bindings')}
          rows={bindings}
          keyOf={({ source, key }) => `${source} ${key}`}
          empty={say('destination.bindings.none')}
          columns={[
            {
              key: 'source',
              title: say('field.exchange'),
              cell: ({ source }) => source,
            },
            { key: 'key', title: say('field.key'), cell: ({ key }) => key },
            {
              key: 'arguments',
              title: say('field.arguments'),
              cell: (row) => JSON.stringify(row.arguments),
            },
          ]}
        />
      </section>
    </>
  )
}

function Consumers({ consumers }: { readonly consumers: readonly ConsumerWhy[] }): JSX.Element {
  return (
    <Table
      label={say('count.consumers')}
      rows={consumers}
      keyOf={({ tag, connectionId }) => `${connectionId} ${tag}`}
      empty={say('destination.consumers.none')}
      columns={[
        {
          key: 'tag',
          title: say('field.consumer'),
          cell: ({ tag, connectionId }) =>
            connectionId === null || connectionId < 0 ? (
              tag
            ) : (
              <a href={hrefOf('connection', String(connectionId))}>{tag}</a>
            ),
        },
        { key: 'protocol', title: say('field.protocol'), cell: ({ protocol }) => protocol ?? '–' },
        {
          key: 'client',
          title: say('field.client'),
          isWide: true,
          cell: ({ clientId }) => clientId ?? '–',
        },
        {
          key: 'unsettled',
          title: say('count.unsettled'),
          isNumber: true,
          cell: ({ unsettled }) => (unsettled === null ? '–' : countText(unsettled)),
        },
        {
          key: 'why',
          title: say('field.why'),
          cell: ({ reasons }) => <Reasons reasons={reasons} />,
        },
      ]}
    />
  )
}

function subscriptionColumns(): Column<SubscriptionView>[] {
  return [
    { key: 'name', title: say('field.name'), cell: ({ name }) => name },
    { key: 'kind', title: say('field.kind'), cell: ({ kind }) => say(`subscription.${kind}`) },
    {
      key: 'members',
      title: say('field.members'),
      isNumber: true,
      cell: ({ members }) => countText(members),
    },
    { key: 'lag', title: say('field.lag'), isNumber: true, cell: ({ lag }) => countText(lag) },
  ]
}
