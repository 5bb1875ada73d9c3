import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { change, pathOf } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { bytesText, countText, timeText } from '../numbers.ts'
import { Action } from '../parts/action.tsx'
import { Form } from '../parts/form.tsx'
import { Failure } from '../parts/notice.tsx'
import { Steps } from '../parts/steps.tsx'
import { Table } from '../parts/table.tsx'
import { useVhosts, VhostChoice } from '../parts/vhost-choice.tsx'
import { say } from '../words.ts'

interface Pending {
  readonly id: string
  readonly exchange: string
  readonly routingKey: string
  readonly dueMs: number
  readonly bytes: number
}

interface PendingPage {
  readonly messages: readonly Pending[]
  readonly next: number | null
  readonly pending: number
}

interface Recurring {
  readonly vhost: string
  readonly name: string
  readonly cron: string
  readonly zone: string
  readonly exchange: string
  readonly routingKey: string
  readonly nextMs: number | null
  readonly lastMs: number | null
  readonly firedCount: number
}

const EVERY_MS = 3000
const PAGE_MESSAGES = 50

/** Messages that wait for their time, and those that come again and again. */
export function Schedules(): JSX.Element {
  const vhosts = useVhosts()
  const [vhost, setVhost] = useState('/')
  return (
    <>
      <h1>{say('nav.schedules')}</h1>
      <div class="filters">
        <VhostChoice vhosts={vhosts} value={vhost} onChange={setVhost} />
      </div>
      <Waiting key={`waiting ${vhost}`} vhost={vhost} />
      <Repeating key={`repeating ${vhost}`} vhost={vhost} />
    </>
  )
}

function Waiting({ vhost }: { readonly vhost: string }): JSX.Element {
  const [starts, setStarts] = useState<readonly number[]>([0])
  const query = { from: starts.at(-1) ?? 0, limit: PAGE_MESSAGES }
  const page = useFetched<PendingPage>(`v1/schedules/${pathOf(vhost)}`, query, EVERY_MS)
  const next = page.value?.next ?? null
  return (
    <section class="card">
      <h2>
        {say('schedules.pending')} <span class="badge">{countText(page.value?.pending ?? 0)}</span>
      </h2>
      <Failure reason={page.error} />
      <Table
        label={say('schedules.pending')}
        rows={page.value?.messages ?? []}
        keyOf={({ id }) => id}
        empty={say('schedules.none')}
        columns={[
          { key: 'id', title: say('field.id'), cell: ({ id }) => id },
          { key: 'due', title: say('schedules.due'), cell: ({ dueMs }) => timeText(dueMs) },
          { key: 'exchange', title: say('field.exchange'), cell: ({ exchange }) => exchange },
          { key: 'key', title: say('field.key'), cell: ({ routingKey }) => routingKey },
          {
            key: 'bytes',
            title: say('field.size'),
            isNumber: true,
            isWide: true,
            cell: ({ bytes }) => bytesText(bytes),
          },
          {
            key: 'do',
            title: '',
            cell: ({ id }) => (
              <Deeds
                path={`v1/schedules/${pathOf(vhost, id)}`}
                again={page.again}
                question={say('schedules.cancel.sure', { id })}
              />
            ),
          },
        ]}
      />
      <div class="pager">
        <Steps starts={starts} next={next} onStarts={setStarts} />
      </div>
    </section>
  )
}

function Repeating({ vhost }: { readonly vhost: string }): JSX.Element {
  const list = useFetched<readonly Recurring[]>('v1/recurring', { vhost }, EVERY_MS)
  return (
    <section class="card">
      <h2>{say('schedules.recurring')}</h2>
      <Failure reason={list.error} />
      <Table
        label={say('schedules.recurring')}
        rows={list.value ?? []}
        keyOf={({ name }) => name}
        empty={say('schedules.recurring.none')}
        columns={[
          { key: 'name', title: say('field.name'), cell: ({ name }) => name },
          {
            key: 'cron',
            title: 'cron',
            cell: ({ cron, zone }) => (
              <>
                <code>{cron}</code> {zone}
              </>
            ),
          },
          {
            key: 'to',
            title: say('field.key'),
            cell: ({ exchange, routingKey }) => `${exchange} ${routingKey}`.trim(),
          },
          {
            key: 'next',
            title: say('schedules.due'),
            cell: ({ nextMs }) => (nextMs === null ? '–' : timeText(nextMs)),
          },
          {
            key: 'count',
            title: say('schedules.fired'),
            isNumber: true,
            cell: ({ firedCount }) => countText(firedCount),
          },
          {
            key: 'do',
            title: '',
            cell: ({ name }) => (
              <Deeds
                path={`v1/recurring/${pathOf(vhost, name)}`}
                again={list.again}
                question={say('schedules.cancel.sure', { id: name })}
              />
            ),
          },
        ]}
      />
      <details>
        <summary>{say('schedules.recurring.add')}</summary>
        <Form
          label={say('schedules.recurring.add')}
          submit={say('app.save')}
          fields={[
            { name: 'name', label: say('field.name'), isRequired: true },
            {
              name: 'cron',
              label: 'cron',
              value: '0 8 * * 1-5',
              isRequired: true,
              hint: say('schedules.cron.hint'),
            },
            { name: 'zone', label: say('schedules.zone'), value: 'UTC' },
            { name: 'exchange', label: say('field.exchange'), hint: say('publish.exchange.hint') },
            { name: 'routingKey', label: say('field.key') },
            { name: 'body', label: say('field.body'), kind: 'area' },
          ]}
          onSubmit={async (values) => {
            const { name = '', cron = '', zone = '', exchange = '', routingKey = '' } = values
            await change('PUT', `v1/recurring/${pathOf(vhost, name)}`, {
              ...{ cron, exchange, routingKey, message: { body: values['body'] ?? '' } },
              ...(zone === '' ? {} : { zone }),
            })
            list.again()
            return say('app.saved')
          }}
        />
      </details>
    </section>
  )
}

interface DeedsProps {
  readonly path: string
  readonly question: string
  readonly again: () => void
}

function Deeds({ path, question, again }: DeedsProps): JSX.Element {
  return (
    <span class="deeds">
      <Action
        label={say('schedules.fire')}
        isSmall
        onDo={async () => {
          await change('POST', `${path}/fire`)
          again()
        }}
      />
      <Action
        label={say('app.delete')}
        question={question}
        isSmall
        isDanger
        onDo={async () => {
          await change('DELETE', path)
          again()
        }}
      />
    </span>
  )
}
