import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { change, get, pathOf } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { countText, timeText } from '../numbers.ts'
import { Action } from '../parts/action.tsx'
import { Facts } from '../parts/facts.tsx'
import type { Values } from '../parts/field.ts'
import { Form } from '../parts/form.tsx'
import { Failure } from '../parts/notice.tsx'
import { Table } from '../parts/table.tsx'
import { say } from '../words.ts'

interface Rule {
  readonly rule: number
  readonly startedAtMs: number
  readonly [name: string]: unknown
}

interface Step {
  readonly atMs: number
  readonly step: string
  readonly at: string
  readonly attempts: number
  readonly by: {
    readonly protocol: string
    readonly user: string | null
    readonly clientId: string | null
  } | null
  readonly detail: string
}

interface Traced {
  readonly trace: number
  readonly messageId: string
  readonly correlationId: string
  readonly steps: readonly Step[]
}

const EVERY_MS = 3000
const MINUTE_MS = 60_000

/** What became of a message, and where one is now. */
export function Traces(): JSX.Element {
  const [id, setId] = useState('')
  const rules = useFetched<{ readonly rules: readonly Rule[] }>('v1/traces', {}, EVERY_MS)
  const traced = useFetched<readonly Traced[]>('v1/traces/messages', { id, limit: 20 }, EVERY_MS)
  return (
    <>
      <h1>{say('nav.traces')}</h1>
      <p class="soft">{say('traces.hint')}</p>
      <Rules rules={rules.value?.rules ?? []} again={rules.again} />
      <Failure reason={rules.error} />
      <section class="card">
        <h2>{say('traces.messages')}</h2>
        <Form
          label={say('traces.messages')}
          submit={say('table.search')}
          isKept
          onSubmit={async (values) => {
            setId(values['id'] ?? '')
            return Promise.resolve(null)
          }}
          fields={[{ name: 'id', label: say('traces.id'), hint: say('traces.id.hint') }]}
        />
        <Failure reason={traced.error} />
        {traced.value?.length === 0 && <p class="empty">{say('traces.none')}</p>}
        {traced.value?.map((each) => (
          <Story key={each.trace} traced={each} />
        ))}
      </section>
      <Where />
    </>
  )
}

function Rules({
  rules,
  again,
}: {
  readonly rules: readonly Rule[]
  readonly again: () => void
}): JSX.Element {
  const submit = async (values: Values): Promise<string> => {
    const chosen = ['destination', 'exchange', 'key', 'user', 'id']
      .map((name) => [name, values[name] ?? ''] as const)
      .filter(([, value]) => value !== '')
    const minutes = Number(values['minutes'] ?? '0')
    await change('POST', 'v1/traces', {
      ...Object.fromEntries(chosen),
      sample: Number(values['sample'] ?? '100') / 100,
      ...(minutes > 0 ? { forMs: minutes * MINUTE_MS } : {}),
    })
    again()
    return say('traces.started')
  }
  return (
    <section class="card">
      <h2>{say('traces.rules')}</h2>
      <Table
        label={say('traces.rules')}
        rows={rules}
        keyOf={({ rule }) => String(rule)}
        empty={say('traces.rules.none')}
        columns={[
          { key: 'id', title: say('field.number'), cell: ({ rule }) => rule },
          {
            key: 'spec',
            title: say('field.arguments'),
            cell: ({ rule: _rule, startedAtMs: _startedAtMs, ...rest }) => (
              <code>{JSON.stringify(rest)}</code>
            ),
          },
          {
            key: 'started',
            title: say('field.started'),
            cell: ({ startedAtMs }) => timeText(startedAtMs),
          },
          {
            key: 'stop',
            title: '',
            cell: ({ rule }) => (
              <Action
                label={say('traces.stop')}
                isSmall
                onDo={async () => {
                  await change('DELETE', `v1/traces/${rule}`)
                  again()
                }}
              />
            ),
          },
        ]}
      />
      <details>
        <summary>{say('traces.start')}</summary>
        <Form
          label={say('traces.start')}
          submit={say('traces.start')}
          onSubmit={submit}
          fields={[
            { name: 'destination', label: say('field.destination') },
            { name: 'exchange', label: say('field.exchange') },
            { name: 'key', label: say('field.key') },
            { name: 'user', label: say('field.user') },
            { name: 'id', label: say('traces.id') },
            { name: 'sample', label: say('traces.sample'), kind: 'number', value: '100' },
            { name: 'minutes', label: say('traces.minutes'), kind: 'number', value: '10' },
          ]}
        />
      </details>
    </section>
  )
}

function Story({ traced }: { readonly traced: Traced }): JSX.Element {
  const { trace, messageId, correlationId, steps } = traced
  const first = steps[0]
  return (
    <details class="message">
      <summary>
        <b>{messageId === '' ? (correlationId === '' ? `#${trace}` : correlationId) : messageId}</b>
        {first !== undefined && <time>{timeText(first.atMs)}</time>}
        <span class="badge">{steps.at(-1)?.step ?? ''}</span>
      </summary>
      <Table
        label={messageId}
        rows={steps}
        keyOf={(step) => JSON.stringify(step)}
        empty={say('app.nothing')}
        columns={[
          {
            key: 'at',
            title: say('field.after'),
            isNumber: true,
            cell: ({ atMs }) => say('unit.ms', { value: countText(atMs - (first?.atMs ?? atMs)) }),
          },
          { key: 'step', title: say('field.step'), cell: ({ step }) => step },
          { key: 'where', title: say('field.destination'), cell: ({ at }) => at },
          {
            key: 'by',
            title: say('field.by'),
            isWide: true,
            cell: ({ by }) =>
              by === null ? '' : [by.protocol, by.clientId ?? by.user].filter(Boolean).join(' '),
          },
          { key: 'detail', title: say('field.detail'), cell: ({ detail }) => detail },
        ]}
      />
    </details>
  )
}

interface Found {
  readonly found: readonly Readonly<Record<string, unknown>>[]
  readonly looked: number
  readonly next: number | null
}

/** Looks through what is stored; needs no trace. */
function Where(): JSX.Element {
  const [found, setFound] = useState<Found | null>(null)
  return (
    <section class="card">
      <h2>{say('where.title')}</h2>
      <p class="soft">{say('where.hint')}</p>
      <Form
        label={say('where.title')}
        submit={say('where.look')}
        isKept
        onSubmit={async (values) => {
          const result = await get<Found>(`v1/where/${pathOf(values['vhost'] ?? '/')}`, {
            id: values['id'],
            destination: values['destination'],
            partition: values['partition'],
          })
          setFound(result)
          const { looked } = result
          return say('where.looked', { count: countText(result.found.length), looked })
        }}
        fields={[
          { name: 'vhost', label: say('field.vhost'), value: '/', isRequired: true },
          { name: 'destination', label: say('field.destination'), hint: say('where.delayed') },
          { name: 'partition', label: say('field.partition'), kind: 'number' },
          { name: 'id', label: say('traces.id'), isRequired: true },
        ]}
      />
      {found?.found.map((each, index) => (
        <div class="found" key={index}>
          <Facts values={each} />
        </div>
      ))}
    </section>
  )
}
