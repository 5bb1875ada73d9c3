import { systemClock } from '../lib/clock.ts'
import type { Beat, Sample } from '../model/shapes/beats.ts'
import type { BrokerStatus } from '../model/shapes/status.ts'
import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { readEvents } from './server-events.ts'
import { cellText, formatTable } from './table.ts'

/** Where no terminal says how many lines it has. */
const ROWS_ELSEWHERE = 10
const HEAD_LINES = 6
const ROWS_MAX = 100
const CLEAR = '\u001b[H\u001b[J'

export interface TopFlags extends ConnectFlags {
  readonly json?: boolean
  readonly sort?: string
  readonly count?: string
}

interface Page {
  readonly total: number
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

/** `waystation top`: what the broker does, once a second, until it or the user ends it. */
export async function top(flags: TopFlags): Promise<void> {
  const countMax = flags.count === undefined ? Infinity : Number(flags.count)
  if (!(countMax >= 1)) throw new CommandError(EXIT.USAGE, `--count is '${flags.count}'`)
  const client = await AdminClient.connect(flags)
  const status = (await client.request('GET', apiPath(['status']))) as BrokerStatus
  const { stdout } = process
  let count = 0
  for await (const { event, data } of readEvents(client.stream(apiPath(['events'])))) {
    if (event !== 'beat') continue
    const { sample } = data as Beat
    if (flags.json === true) stdout.write(`${JSON.stringify(sample)}\n`)
    else {
      const rowsMax = stdout.isTTY ? Math.max(1, stdout.rows - HEAD_LINES) : ROWS_ELSEWHERE
      const page = await destinations(client, flags.sort ?? 'ready', rowsMax)
      const screen = screenOf(status, sample, page)
      stdout.write(stdout.isTTY ? CLEAR + cut(screen, stdout.columns) : `${screen}\n`)
    }
    if (++count >= countMax) return
  }
  throw new CommandError(EXIT.UNAVAILABLE, 'the broker ended the connection')
}

async function destinations(client: AdminClient, sort: string, rows: number): Promise<Page> {
  const query = {
    sort,
    descending: String(sort !== 'name'),
    limit: String(Math.min(rows, ROWS_MAX)),
  }
  return (await client.request('GET', apiPath(['pages', 'destinations'], query))) as Page
}

function screenOf(status: BrokerStatus, sample: Sample, { total, rows }: Page): string {
  const connections = Object.entries(sample.connections).filter(([, count]) => count > 0)
  const lines = [
    `waystation ${status.version}, ${cellText(status.data)}, ${publishers(sample)}`,
    `per second: ${figures({
      published: sample.publishRate,
      delivered: sample.deliverRate,
      settled: sample.settleRate,
      redelivered: sample.redeliverRate,
      unrouted: sample.unroutedRate,
    })}`,
    `messages: ${figures({
      ready: sample.ready,
      unsettled: sample.unsettled,
      held: sample.held,
      'kept in topics': sample.kept,
    })}`,
    `connections: ${figures(Object.fromEntries(connections)) || 'none'}; consumers ${sample.consumers}`,
    '',
  ]
  const nowMs = systemClock.now()
  const table = formatTable(
    [
      { title: 'vhost', value: ({ vhost }) => vhost },
      { title: `name (${rows.length} of ${total})`, value: ({ name }) => name },
      { title: 'type', value: ({ profile }) => profile },
      { title: 'ready', value: ({ ready }) => ready, isNumber: true },
      { title: 'unsettled', value: ({ unsettled }) => unsettled, isNumber: true },
      { title: 'held', value: ({ held }) => held, isNumber: true },
      { title: 'lag', value: ({ lag }) => lag, isNumber: true },
      { title: 'consumers', value: ({ consumers }) => consumers, isNumber: true },
      { title: 'oldest', value: ({ oldestMs }) => ageOf(oldestMs, nowMs), isNumber: true },
      { title: 'held back by', value: ({ heldBackBy }) => heldBackBy },
    ],
    rows,
  )
  return `${lines.join('\n')}\n${table}`
}

function publishers({ alarm, syncMs }: Sample): string {
  if (alarm !== null) return `publishers must wait: ${cellText(alarm)}`
  return syncMs === null ? 'a commit is on its way' : `a commit takes ${syncMs} ms`
}

function figures(named: Readonly<Record<string, number>>): string {
  return Object.entries(named)
    .map(([name, figure]) => `${name} ${figure.toLocaleString('en')}`)
    .join(', ')
}

function ageOf(oldestMs: unknown, nowMs: number): string | null {
  if (typeof oldestMs !== 'number') return null
  const seconds = Math.max(0, Math.round((nowMs - oldestMs) / 1000))
  if (seconds < 120) return `${seconds} s`
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`
}

/** A line that is longer than the terminal would push the ones above it out. */
function cut(screen: string, columns: number): string {
  return screen
    .split('\n')
    .map((line) => line.slice(0, columns))
    .join('\n')
}
