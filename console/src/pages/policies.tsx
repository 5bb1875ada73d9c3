import type { JSX } from 'preact'
import { change, pathOf } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { say } from '../words.ts'
import { Listing } from './access.tsx'

interface Policy {
  readonly vhost: string
  readonly name: string
  readonly pattern: string
  readonly appliesTo: string
  readonly priority: number
  readonly definition: Readonly<Record<string, unknown>>
}

/** Settings that go by a pattern of names. */
export function Policies(): JSX.Element {
  const policies = useFetched<readonly Policy[]>('v1/policies')
  return (
    <>
      <h1>{say('nav.policies')}</h1>
      <Listing
        title={say('nav.policies')}
        fetched={policies}
        keyOf={({ vhost, name }) => `${name} ${vhost}`}
        pathOfRow={({ vhost, name }) => `v1/policies/${pathOf(vhost, name)}`}
        columns={[
          { key: 'name', title: say('field.name'), cell: ({ name }) => name },
          { key: 'vhost', title: say('field.vhost'), cell: ({ vhost }) => vhost },
          {
            key: 'pattern',
            title: say('policies.pattern'),
            cell: ({ pattern }) => <code>{pattern}</code>,
          },
          { key: 'to', title: say('policies.appliesTo'), cell: ({ appliesTo }) => appliesTo },
          {
            key: 'priority',
            title: say('policies.priority'),
            isNumber: true,
            cell: ({ priority }) => priority,
          },
          {
            key: 'definition',
            title: say('policies.definition'),
            cell: ({ definition }) => <code>{JSON.stringify(definition)}</code>,
          },
        ]}
        form={{
          title: say('policies.set'),
          fields: [
            { name: 'name', label: say('field.name'), isRequired: true },
            { name: 'vhost', label: say('field.vhost'), value: '/', isRequired: true },
            { name: 'pattern', label: say('policies.pattern'), value: '^', isRequired: true },
            {
              name: 'appliesTo',
              label: say('policies.appliesTo'),
              kind: 'choice',
              value: 'all',
              options: ['all', 'queues', 'exchanges'].map((each) => [each, each] as const),
            },
            { name: 'priority', label: say('policies.priority'), kind: 'number', value: '0' },
            {
              name: 'definition',
              label: say('policies.definition'),
              kind: 'area',
              isRequired: true,
              value: '{"max-length": 100000}',
              hint: say('policies.definition.hint'),
            },
          ],
          onSubmit: async (values) => {
            const { vhost = '', name = '', pattern = '', appliesTo = 'all' } = values
            await change('PUT', `v1/policies/${pathOf(vhost, name)}`, {
              pattern,
              appliesTo,
              priority: Number(values['priority'] ?? '0'),
              definition: JSON.parse(values['definition'] ?? '{}') as unknown,
            })
          },
        }}
      />
    </>
  )
}
