import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { formatTable, type Column } from './table.ts'

/** One thing that can be listed. */
export interface Listing {
  /** The word on the command line. */
  readonly noun: string
  readonly resource: string
  readonly summary: string
  /** Whether `--vhost` narrows it. */
  readonly isPerVhost: boolean
  readonly columns: readonly Column[]
}

export interface ListFlags extends ConnectFlags {
  readonly vhost?: string
  readonly json?: boolean
}

/** Everything that can be listed, with the columns a person wants to see. */
export const LISTINGS: readonly Listing[] = [
  {
    noun: 'queues',
    resource: 'destinations',
    summary: 'queues and topics (streams), with what waits in them',
    isPerVhost: true,
    columns: [
      ...text('vhost', 'name'),
      { title: 'type', value: ({ profile }) => profile },
      ...text('durable'),
      ...numbers('partitions', 'ready', 'unsettled', 'held', 'consumers', 'readyBytes'),
      { title: 'held back by', value: ({ heldBackBy }) => heldBackBy ?? '' },
    ],
  },
  {
    noun: 'subscriptions',
    resource: 'subscriptions',
    summary: 'who reads topics (consumer groups), and how far they are',
    isPerVhost: true,
    columns: [
      ...text('vhost', 'name', 'kind', 'topic'),
      {
        title: 'partitions',
        value: ({ partitions }) => (Array.isArray(partitions) ? partitions.length : ''),
        isNumber: true,
      },
      ...numbers('members', 'lag'),
    ],
  },
  {
    noun: 'consumers',
    resource: 'consumers',
    summary: 'who consumes from queues and topics, and why they get nothing',
    isPerVhost: true,
    columns: [
      ...text('vhost', 'destination', 'tag', 'protocol'),
      ...numbers('connectionId', 'unsettled'),
      ...text('clientId'),
      { title: 'in the way', value: ({ reasons }) => joined(reasons) },
    ],
  },
  {
    noun: 'services',
    resource: 'services',
    summary: 'services that can be called, and who provides them',
    isPerVhost: true,
    columns: [
      ...text('vhost', 'service', 'instance', 'version', 'policy'),
      ...numbers('weight', 'capacity', 'outstanding', 'calls', 'failed'),
      { title: 'p99 ms', value: ({ p99Ms }) => p99Ms ?? '', isNumber: true },
      ...numbers('waiting'),
      ...text('user'),
    ],
  },
  {
    noun: 'redrives',
    resource: 'redrives',
    summary: 'moves of dead letters that run, or ended',
    isPerVhost: false,
    columns: [
      ...numbers('id'),
      ...text('vhost', 'queue', 'state', 'dryRun'),
      ...numbers('waiting', 'looked', 'moved', 'kept'),
      ...text('problem'),
    ],
  },
  {
    noun: 'transactions',
    resource: 'transactions',
    summary: 'transactional ids, and what they do',
    isPerVhost: true,
    columns: [
      ...text('vhost', 'name', 'state'),
      ...numbers('producerId', 'producerEpoch', 'timeoutMs'),
      {
        title: 'partitions',
        value: ({ partitions }) => (Array.isArray(partitions) ? partitions.length : ''),
        isNumber: true,
      },
    ],
  },
  {
    noun: 'recurring',
    resource: 'recurring',
    summary: 'messages that are published again and again',
    isPerVhost: true,
    columns: [
      ...text('vhost', 'name', 'cron', 'zone', 'exchange', 'routingKey'),
      { title: 'next', value: ({ nextMs }) => timeOf(nextMs) },
      { title: 'last', value: ({ lastMs }) => timeOf(lastMs) },
      ...numbers('firedCount'),
    ],
  },
  {
    noun: 'exchanges',
    resource: 'exchanges',
    summary: 'exchanges, with what was published to them',
    isPerVhost: true,
    columns: [
      ...text('vhost'),
      { title: 'name', value: ({ name }) => (name === '' ? '(default)' : name) },
      ...text('type', 'durable'),
      ...numbers('published', 'unrouted'),
    ],
  },
  {
    noun: 'bindings',
    resource: 'bindings',
    summary: 'which exchange routes what to where',
    isPerVhost: true,
    columns: text('vhost', 'source', 'key', 'targetKind', 'target', 'arguments'),
  },
  {
    noun: 'vhosts',
    resource: 'vhosts',
    summary: 'virtual hosts',
    isPerVhost: false,
    columns: text('name', 'limits'),
  },
  {
    noun: 'users',
    resource: 'users',
    summary: 'users and their tags',
    isPerVhost: false,
    columns: [
      ...text('name'),
      { title: 'tags', value: ({ tags }) => joined(tags) },
      ...text('limits'),
    ],
  },
  {
    noun: 'permissions',
    resource: 'permissions',
    summary: 'who may declare, publish and consume what',
    isPerVhost: true,
    columns: text('vhost', 'user', 'configure', 'write', 'read'),
  },
  {
    noun: 'policies',
    resource: 'policies',
    summary: 'settings for queues and exchanges by the pattern of their names',
    isPerVhost: true,
    columns: [
      ...text('vhost', 'name', 'pattern', 'appliesTo'),
      ...numbers('priority'),
      ...text('definition'),
    ],
  },
  {
    noun: 'connections',
    resource: 'connections',
    summary: 'clients that are connected now',
    isPerVhost: true,
    columns: [
      ...numbers('id'),
      ...text('name', 'user', 'vhost', 'protocol', 'state', 'tls'),
      { title: 'held back by', value: ({ heldBackBy }) => heldBackBy ?? '' },
      ...numbers('channels', 'consumers'),
      ...text('clientName', 'clientProduct'),
    ],
  },
]

export async function list(listing: Listing, flags: ListFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const query = flags.vhost === undefined ? {} : { vhost: flags.vhost }
  const rows = await client.request('GET', apiPath([listing.resource], query))
  if (flags.json === true) {
    printJson(rows)
    return
  }
  const table = rows as Record<string, unknown>[]
  if (table.length === 0) process.stderr.write(`no ${listing.noun}\n`)
  else process.stdout.write(formatTable(listing.columns, table))
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}

function text(...keys: readonly string[]): Column[] {
  return keys.map((key) => ({ title: title(key), value: (row) => row[key] }))
}

function numbers(...keys: readonly string[]): Column[] {
  return keys.map((key) => ({ title: title(key), value: (row) => row[key], isNumber: true }))
}

/** `readyBytes` is shown as `ready bytes`. */
function title(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

function timeOf(ms: unknown): string {
  return typeof ms === 'number' ? new Date(ms).toISOString() : ''
}

function joined(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : ''
}
