import type { JSX } from 'preact'
import type { ConsumerWhy } from '../../../src/model/shapes/destinations.ts'
import { change } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { bytesText, countText, spanText } from '../numbers.ts'
import { Action } from '../parts/action.tsx'
import { Failure, Notice } from '../parts/notice.tsx'
import { Reasons } from '../parts/reasons.tsx'
import { Table } from '../parts/table.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'
import type { ConnectionView } from '../../../src/model/shapes/connections.ts'

interface Connection extends ConnectionView {
  readonly consumerList: readonly (ConsumerWhy & { readonly destination: string })[]
}

const EVERY_MS = 2000

/** One connection, and why its consumers are idle. */
export function ConnectionPage({ names }: { readonly names: readonly string[] }): JSX.Element {
  const [id = ''] = names
  const connection = useFetched<Connection>(`v1/connections/${id}`, {}, EVERY_MS)
  const { value } = connection
  return (
    <>
      <p class="crumb">
        <a href={hrefOf('connections')}>{say('nav.connections')}</a>
      </p>
      <h1>{value === null ? id : (value.clientName ?? value.name)}</h1>
      <Failure reason={connection.error} />
      {value !== null && value.heldBackBy !== null && (
        <Notice kind="warning">{value.heldBackBy}</Notice>
      )}
      {value !== null && <Shown connection={value} />}
    </>
  )
}

function Shown({ connection }: { readonly connection: Connection }): JSX.Element {
  const { consumerList, vhost } = connection
  return (
    <>
      <section class="card">
        <FactList connection={connection} />
      </section>
      <section class="card">
        <h2>{say('count.consumers')}</h2>
        <Table
          label={say('count.consumers')}
          rows={consumerList}
          keyOf={({ destination, tag }) => `${destination} ${tag}`}
          empty={say('connection.consumers.none')}
          columns={[
            { key: 'tag', title: say('field.consumer'), cell: ({ tag }) => tag },
            {
              key: 'destination',
              title: say('field.destination'),
              cell: ({ destination }) => (
                <a href={hrefOf('destination', vhost ?? '/', destination)}>{destination}</a>
              ),
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
      </section>
      <Action
        label={say('connection.close')}
        question={say('connection.close.sure')}
        isDanger
        onDo={async () => {
          await change('DELETE', `v1/connections/${connection.id}`)
          window.location.hash = hrefOf('connections')
        }}
      />
    </>
  )
}

function FactList({ connection }: { readonly connection: Connection }): JSX.Element {
  const { name, protocol, user, vhost, state, tls, clientProduct, connectedAtMs } = connection
  const { receivedBytes, sentBytes, channels } = connection
  return (
    <dl class="facts">
      <dt>{say('field.name')}</dt>
      <dd>{name}</dd>
      <dt>{say('field.protocol')}</dt>
      <dd>
        {protocol}
        {tls && <span class="badge">TLS</span>}
      </dd>
      <dt>{say('field.user')}</dt>
      <dd>{user ?? '–'}</dd>
      <dt>{say('field.vhost')}</dt>
      <dd>{vhost ?? '–'}</dd>
      <dt>{say('field.client')}</dt>
      <dd>{clientProduct ?? '–'}</dd>
      <dt>{say('field.state')}</dt>
      <dd>{state}</dd>
      <dt>{say('field.channels')}</dt>
      <dd>{countText(channels)}</dd>
      <dt>{say('field.since')}</dt>
      <dd>{spanText(Date.now() - connectedAtMs)}</dd>
      <dt>{say('field.received')}</dt>
      <dd>{bytesText(receivedBytes)}</dd>
      <dt>{say('field.sent')}</dt>
      <dd>{bytesText(sentBytes)}</dd>
    </dl>
  )
}
