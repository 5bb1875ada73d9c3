import type { JSX } from 'preact'
import { USER_LIMITS, VHOST_LIMITS } from '../../../src/model/limit-set.ts'
import { change, get, pathOf } from '../api.ts'
import { type Fetched, useFetched } from '../fetched.ts'
import { Action } from '../parts/action.tsx'
import type { Field, Values } from '../parts/field.ts'
import { Form } from '../parts/form.tsx'
import { Failure } from '../parts/notice.tsx'
import { Table, type Column } from '../parts/table.tsx'
import { say } from '../words.ts'

interface User {
  readonly name: string
  readonly tags: readonly string[]
  readonly limits: Readonly<Record<string, number>>
}

interface Permission {
  readonly user: string
  readonly vhost: string
  readonly configure: string
  readonly write: string
  readonly read: string
}

interface TopicPermission {
  readonly user: string
  readonly vhost: string
  readonly exchange: string
  readonly write: string
  readonly read: string
}

interface Vhost {
  readonly name: string
  readonly limits: Readonly<Record<string, number>>
}

/** Who may do what, and how much of it. */
export function Access(): JSX.Element {
  const users = useFetched<readonly User[]>('v1/users')
  const permissions = useFetched<readonly Permission[]>('v1/permissions')
  const topicPermissions = useFetched<readonly TopicPermission[]>('v1/topic-permissions')
  const vhosts = useFetched<readonly Vhost[]>('v1/vhosts')
  return (
    <>
      <h1>{say('nav.access')}</h1>
      <Users users={users} />
      <Permissions permissions={permissions} />
      <TopicPermissions permissions={topicPermissions} />
      <Vhosts vhosts={vhosts} />
      <Limits
        again={() => {
          users.again()
          vhosts.again()
        }}
      />
    </>
  )
}

interface ListingProps<Row> {
  readonly title: string
  readonly fetched: Fetched<readonly Row[]>
  readonly keyOf: (row: Row) => string
  readonly columns: readonly Column<Row>[]
  /** Where a row is deleted. */
  readonly pathOfRow: (row: Row) => string
  readonly form: {
    readonly title: string
    readonly fields: readonly Field[]
    readonly onSubmit: (values: Values) => Promise<unknown>
  }
}

/** What there is, with a button to delete each and a form for one more. */
export function Listing<Row>(props: ListingProps<Row>): JSX.Element {
  const { title, fetched, keyOf, columns, pathOfRow, form } = props
  return (
    <section class="card">
      <h2>{title}</h2>
      <Failure reason={fetched.error} />
      <Table
        label={title}
        rows={fetched.value ?? []}
        keyOf={keyOf}
        empty={say('app.nothing')}
        columns={[
          ...columns,
          {
            key: 'delete',
            title: '',
            cell: (row) => (
              <Action
                label={say('app.delete')}
                question={say('app.delete.sure', { name: keyOf(row) })}
                isSmall
                isDanger
                onDo={async () => {
                  await change('DELETE', pathOfRow(row))
                  fetched.again()
                }}
              />
            ),
          },
        ]}
      />
      <details>
        <summary>{form.title}</summary>
        <Form
          label={form.title}
          submit={say('app.save')}
          fields={form.fields}
          onSubmit={async (values) => {
            await form.onSubmit(values)
            fetched.again()
            return say('app.saved')
          }}
        />
      </details>
    </section>
  )
}

function Users({ users }: { readonly users: Fetched<readonly User[]> }): JSX.Element {
  return (
    <Listing
      title={say('access.users')}
      fetched={users}
      keyOf={({ name }) => name}
      pathOfRow={({ name }) => `v1/users/${pathOf(name)}`}
      columns={[
        { key: 'name', title: say('field.name'), cell: ({ name }) => name },
        { key: 'tags', title: say('access.tags'), cell: ({ tags }) => tags.join(', ') },
        { key: 'limits', title: say('access.limits'), cell: ({ limits }) => limitsText(limits) },
      ]}
      form={{
        title: say('access.users.add'),
        fields: [
          { name: 'name', label: say('field.name'), isRequired: true },
          {
            name: 'password',
            label: say('login.password'),
            kind: 'password',
            isRequired: true,
          },
          { name: 'tags', label: say('access.tags'), hint: say('access.tags.hint') },
        ],
        onSubmit: async (values) => {
          await change('PUT', `v1/users/${pathOf(values['name'] ?? '')}`, {
            password: values['password'] ?? '',
            tags: (values['tags'] ?? '').split(/[\s,]+/).filter((tag) => tag !== ''),
          })
        },
      }}
    />
  )
}

function Permissions({
  permissions,
}: {
  readonly permissions: Fetched<readonly Permission[]>
}): JSX.Element {
  const pattern = (name: 'configure' | 'write' | 'read'): Field => {
    return { name, label: say(`access.${name}`), value: '.*' }
  }
  return (
    <Listing
      title={say('access.permissions')}
      fetched={permissions}
      keyOf={({ user, vhost }) => `${user} ${vhost}`}
      pathOfRow={({ user, vhost }) => `v1/permissions/${pathOf(vhost, user)}`}
      columns={[
        { key: 'user', title: say('field.user'), cell: ({ user }) => user },
        { key: 'vhost', title: say('field.vhost'), cell: ({ vhost }) => vhost },
        ...(['configure', 'write', 'read'] as const).map((name) => ({
          key: name,
          title: say(`access.${name}`),
          cell: (row: Permission) => <code>{row[name]}</code>,
        })),
      ]}
      form={{
        title: say('access.permissions.set'),
        fields: [
          { name: 'user', label: say('field.user'), isRequired: true },
          { name: 'vhost', label: say('field.vhost'), value: '/', isRequired: true },
          pattern('configure'),
          pattern('write'),
          pattern('read'),
        ],
        onSubmit: async (values) => {
          const { user = '', vhost = '', configure = '', write = '', read = '' } = values
          const path = `v1/permissions/${pathOf(vhost, user)}`
          await change('PUT', path, { configure, write, read })
        },
      }}
    />
  )
}

function TopicPermissions({
  permissions,
}: {
  readonly permissions: Fetched<readonly TopicPermission[]>
}): JSX.Element {
  return (
    <Listing
      title={say('access.topics')}
      fetched={permissions}
      keyOf={({ user, vhost, exchange }) => `${user} ${vhost} ${exchange}`}
      pathOfRow={({ user, vhost, exchange }) =>
        `v1/topic-permissions/${pathOf(vhost, user)}?${new URLSearchParams({ exchange })}`
      }
      columns={[
        ...(['user', 'vhost', 'exchange'] as const).map((name) => ({
          key: name,
          title: say(`field.${name}`),
          cell: (row: TopicPermission) => row[name],
        })),
        ...(['write', 'read'] as const).map((name) => ({
          key: name,
          title: say(`access.${name}`),
          cell: (row: TopicPermission) => <code>{row[name]}</code>,
        })),
      ]}
      form={{
        title: say('access.topics.set'),
        fields: [
          { name: 'user', label: say('field.user'), isRequired: true },
          { name: 'vhost', label: say('field.vhost'), value: '/', isRequired: true },
          {
            name: 'exchange',
            label: say('field.exchange'),
            value: 'amq.topic',
            hint: say('access.topics.hint'),
          },
          { name: 'write', label: say('access.write'), value: '.*' },
          { name: 'read', label: say('access.read'), value: '.*' },
        ],
        onSubmit: async ({ user = '', vhost = '', exchange = '', write = '', read = '' }) => {
          const path = `v1/topic-permissions/${pathOf(vhost, user)}`
          await change('PUT', path, { exchange, write, read })
        },
      }}
    />
  )
}

function Vhosts({ vhosts }: { readonly vhosts: Fetched<readonly Vhost[]> }): JSX.Element {
  return (
    <Listing
      title={say('access.vhosts')}
      fetched={vhosts}
      keyOf={({ name }) => name}
      pathOfRow={({ name }) => `v1/vhosts/${pathOf(name)}`}
      columns={[
        { key: 'name', title: say('field.name'), cell: ({ name }) => name },
        { key: 'limits', title: say('access.limits'), cell: ({ limits }) => limitsText(limits) },
      ]}
      form={{
        title: say('access.vhosts.add'),
        fields: [{ name: 'name', label: say('field.name'), isRequired: true }],
        onSubmit: async ({ name = '' }) => {
          await change('PUT', `v1/vhosts/${pathOf(name)}`)
        },
      }}
    />
  )
}

/** See docs/peak-shaving.md. */
const LIMIT_NAMES = { users: USER_LIMITS, vhosts: VHOST_LIMITS } as const

/** One limit at a time; the others stay as they are. */
function Limits({ again }: { readonly again: () => void }): JSX.Element {
  const submit = async (kind: 'users' | 'vhosts', values: Values): Promise<string> => {
    const { name = '', limit = '', value = '' } = values
    const amount = value === '' ? -1 : Number(value)
    const path = `v1/${kind}/${pathOf(name)}/limits`
    // Those of a virtual host are replaced as a whole, so the others are sent along.
    const all = kind === 'vhosts' ? await get<readonly Vhost[]>('v1/vhosts') : []
    const others = all.find((each) => each.name === name)?.limits ?? {}
    await change('PUT', path, { ...others, [limit]: amount })
    again()
    return say('app.saved')
  }
  return (
    <div class="columns">
      {(['users', 'vhosts'] as const).map((kind) => (
        <section class="card" key={kind}>
          <h2>{say(`access.limits.${kind}`)}</h2>
          <Form
            label={say(`access.limits.${kind}`)}
            submit={say('app.save')}
            onSubmit={async (values) => submit(kind, values)}
            fields={[
              { name: 'name', label: say('field.name'), isRequired: true },
              {
                name: 'limit',
                label: say('access.limits'),
                kind: 'choice',
                options: LIMIT_NAMES[kind].map((each) => [each, each]),
              },
              {
                name: 'value',
                label: say('field.value'),
                kind: 'number',
                hint: say('settings.value.hint'),
              },
            ]}
          />
        </section>
      ))}
    </div>
  )
}

function limitsText(limits: Readonly<Record<string, number>>): string {
  return Object.entries(limits)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}
