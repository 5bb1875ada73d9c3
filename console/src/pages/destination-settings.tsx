import type { JSX } from 'preact'
import type { DestinationDetails } from '../../../src/model/shapes/destinations.ts'
import { change, pathOf } from '../api.ts'
import { bytesText, countText } from '../numbers.ts'
import { Facts } from '../parts/facts.tsx'
import type { Values } from '../parts/field.ts'
import { Form } from '../parts/form.tsx'
import { Table } from '../parts/table.tsx'
import { say } from '../words.ts'

/** What it was declared with, what counts, and what may be changed while it is in use. */
export function Settings({
  details,
  again,
}: {
  readonly details: DestinationDetails
  readonly again: () => void
}): JSX.Element {
  const { vhost, name, durable, autoDelete, exclusive, refused, passedOver } = details
  const { deduplicated, partitionList } = details
  const submit = async (values: Values): Promise<string> => {
    const key = values['name'] ?? ''
    const value = valueOf(values['value'] ?? '')
    await change('PATCH', `v1/destinations/${pathOf(vhost, name)}`, { arguments: { [key]: value } })
    again()
    return say('settings.changed', { name: key })
  }
  return (
    <>
      <div class="columns">
        <section class="card">
          <h2>{say('field.arguments')}</h2>
          <Facts values={details.arguments} />
        </section>
        <section class="card">
          <h2>{say('settings.effective')}</h2>
          <Facts values={details.settings} />
        </section>
        <section class="card">
          <h2>{say('settings.state')}</h2>
          <Facts values={{ durable, autoDelete, exclusive, refused, passedOver, deduplicated }} />
        </section>
      </div>
      {partitionList.length > 0 && (
        <section class="card">
          <h2>{say('settings.partitions')}</h2>
          <Table
            label={say('settings.partitions')}
            rows={partitionList}
            keyOf={({ index }) => String(index)}
            empty={say('app.nothing')}
            columns={[
              { key: 'index', title: say('field.partition'), cell: ({ index }) => index },
              {
                key: 'start',
                title: say('settings.start'),
                isNumber: true,
                cell: ({ start }) => countText(start),
              },
              {
                key: 'end',
                title: say('settings.end'),
                isNumber: true,
                cell: ({ end }) => countText(end),
              },
              {
                key: 'bytes',
                title: say('count.bytes'),
                isNumber: true,
                cell: ({ bytes }) => bytesText(bytes),
              },
            ]}
          />
        </section>
      )}
      <section class="card">
        <h2>{say('settings.change')}</h2>
        <Form
          label={say('settings.change')}
          submit={say('settings.apply')}
          onSubmit={submit}
          fields={[
            { name: 'name', label: say('field.name'), isRequired: true, hint: 'x-max-length' },
            { name: 'value', label: say('field.value'), hint: say('settings.value.hint') },
          ]}
        />
      </section>
    </>
  )
}

/** Numbers and switches as such; nothing takes the argument away. */
function valueOf(text: string): string | number | boolean | null {
  if (text === '') return null
  if (text === 'true' || text === 'false') return text === 'true'
  const number = Number(text)
  return Number.isFinite(number) ? number : text
}
