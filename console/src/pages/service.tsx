import type { JSX } from 'preact'
import type { InstanceRow, ServiceDetails } from '../../../src/model/shapes/services.ts'
import { pathOf } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { Failure } from '../parts/notice.tsx'
import { Table, type Column } from '../parts/table.tsx'
import { Tabs } from '../parts/tabs.tsx'
import { hrefOf } from '../route.ts'
import { TryCall } from '../try/try-call.tsx'
import { say } from '../words.ts'
import { callColumns } from './call-columns.tsx'
import './service.css'

const EVERY_MS = 2000
const TABS = ['now', 'contract', 'try'] as const

/** One service: who provides it, what it offers, and a form to call it by hand. */
export function Service({ names }: { readonly names: readonly string[] }): JSX.Element {
  const [vhost = '/', name = '', tab = 'now'] = names
  const details = useFetched<ServiceDetails>(`v1/services/${pathOf(vhost, name)}`, {}, EVERY_MS)
  const { value } = details
  return (
    <>
      <p class="crumb">
        <a href={hrefOf('services')}>{say('nav.services')}</a> / {vhost}
      </p>
      <h1>
        {name} {value !== null && <span class="badge">{value.policy}</span>}
      </h1>
      <Failure reason={details.error} />
      <Tabs
        label={name}
        here={tab}
        tabs={TABS.map((each) => ({
          name: each,
          title: say(`services.tab.${each}`),
          href: hrefOf('service', vhost, name, ...(each === 'now' ? [] : [each])),
        }))}
      />
      {value !== null && tab === 'now' && <Instances details={value} />}
      {value !== null && tab === 'contract' && <Methods methods={value.methods} />}
      {value !== null && tab === 'try' && (
        <TryCall vhost={vhost} service={name} methods={value.methods} />
      )}
    </>
  )
}

function Instances({ details }: { readonly details: ServiceDetails }): JSX.Element {
  const { instances, instanceList } = details
  return (
    <section class="card">
      <h2>
        {say('services.instances')} <span class="badge">{instances}</span>
      </h2>
      <Table
        label={say('services.instances')}
        rows={instanceList}
        keyOf={({ id }) => String(id)}
        empty={say('app.nothing')}
        columns={instanceColumns()}
      />
    </section>
  )
}

function instanceColumns(): Column<InstanceRow>[] {
  return [
    {
      key: 'instance',
      title: say('services.instance'),
      cell: ({ instance, version, isBlocked, capacity }) => (
        <>
          {instance} {version !== '' && <span class="badge">{version}</span>}
          {capacity === 0 && <span class="badge warning">{say('services.draining')}</span>}
          {isBlocked && <span class="badge warning">{say('services.blocked')}</span>}
        </>
      ),
    },
    {
      key: 'labels',
      title: say('services.labels'),
      cell: ({ labels }) =>
        Object.entries(labels).map(([key, text]) => (
          <span class="badge" key={key}>
            {key}={text}
          </span>
        )),
    },
    { key: 'user', title: say('field.user'), isWide: true, cell: ({ user }) => user },
    {
      key: 'weight',
      title: say('services.weight'),
      isNumber: true,
      isWide: true,
      cell: ({ weight }) => weight,
    },
    ...callColumns<InstanceRow>(),
  ]
}

function Methods({ methods }: Pick<ServiceDetails, 'methods'>): JSX.Element {
  const entries = Object.entries(methods ?? {})
  return (
    <section class="card">
      <h2>{say('services.tab.contract')}</h2>
      {entries.length === 0 && <p class="soft">{say('try.noContract')}</p>}
      {entries.map(([name, { kind, idempotency, deadlineMs, in: input, out, errors }]) => (
        <details class="message" key={name}>
          <summary>
            <b>{name}</b> <span class="badge">{say(`services.kind.${kind}`)}</span>
            {idempotency !== 'none' && <span class="badge">{idempotency}</span>}
            {deadlineMs !== null && (
              <span class="badge">{say('unit.ms', { value: deadlineMs })}</span>
            )}
          </summary>
          <SchemaText title={say('services.input')} schema={input} />
          <SchemaText title={say('services.output')} schema={out} />
          {Object.entries(errors).map(([error, schema]) => (
            <SchemaText key={error} title={error} schema={schema} />
          ))}
        </details>
      ))}
    </section>
  )
}

function SchemaText({
  title,
  schema,
}: {
  readonly title: string
  readonly schema: object | null
}): JSX.Element | null {
  if (schema === null) return null
  return (
    <>
      <h3>{title}</h3>
      <pre tabIndex={0}>{JSON.stringify(schema, null, 2)}</pre>
    </>
  )
}
