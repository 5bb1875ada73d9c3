import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'
import { pairsOf } from './pairs.ts'
import { cellText, type Column, formatTable } from './table.ts'

export interface ScheduleFlags extends ConnectFlags {
  readonly vhost: string
  readonly json?: boolean
}

export interface PageFlags extends ScheduleFlags {
  readonly from?: string
  readonly limit?: string
}

export interface MoveFlags extends ScheduleFlags {
  readonly at?: string
  readonly after?: string
}

const COLUMNS: readonly Column[] = [
  { title: 'id', value: ({ id }) => id },
  { title: 'due', value: ({ dueMs }) => timeText(dueMs) },
  { title: 'exchange', value: ({ exchange }) => (exchange === '' ? '(default)' : exchange) },
  { title: 'key', value: ({ routingKey }) => routingKey },
  { title: 'bytes', value: ({ bytes }) => bytes, isNumber: true },
]

interface Page {
  readonly messages: readonly Record<string, unknown>[]
  readonly next: number | null
  readonly pending: number
}

/** A page of what waits, with how to get the next one. */
export async function listSchedules(flags: PageFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const { from, limit } = flags
  const path = apiPath(['schedules', flags.vhost], {
    ...(from === undefined ? {} : { from }),
    ...(limit === undefined ? {} : { limit }),
  })
  const page = (await client.request('GET', path)) as Page
  if (flags.json === true) printJson(page)
  else if (page.messages.length === 0) process.stderr.write('nothing waits\n')
  else process.stdout.write(formatTable(COLUMNS, page.messages))
  if (flags.json !== true && page.next !== null) {
    process.stderr.write(`${page.pending} wait in all, the next page is --from ${page.next}\n`)
  }
}

export async function showSchedule(
  resource: 'schedules' | 'recurring',
  id: string,
  flags: ScheduleFlags,
): Promise<void> {
  const client = await AdminClient.connect(flags)
  const found = await client.request('GET', apiPath([resource, flags.vhost, id]))
  if (flags.json === true) {
    printJson(found)
    return
  }
  for (const [key, value] of Object.entries(found as Record<string, unknown>)) {
    const shown = key.endsWith('Ms') && typeof value === 'number' ? timeText(value) : value
    process.stdout.write(`${key.padEnd(12)} ${cellText(shown)}\n`)
  }
}

export async function cancelSchedule(id: string, flags: ScheduleFlags): Promise<void> {
  await change('DELETE', apiPath(['schedules', flags.vhost, id]), undefined, flags)
  if (flags.json !== true) process.stdout.write(`${cellText(id)} cancelled\n`)
}

export async function moveSchedule(id: string, flags: MoveFlags): Promise<void> {
  const { at, after } = flags
  if ((at === undefined) === (after === undefined)) {
    throw new CommandError(EXIT.USAGE, 'say when: --at TIME or --after SECONDS')
  }
  const body =
    at === undefined ? { afterMs: Math.round(secondsOf(after!) * 1000) } : { dueMs: timeOf(at) }
  await change('PATCH', apiPath(['schedules', flags.vhost, id]), body, flags)
  if (flags.json !== true) process.stdout.write(`${cellText(id)} moved\n`)
}

export async function fireSchedule(
  resource: 'schedules' | 'recurring',
  id: string,
  flags: ScheduleFlags,
): Promise<void> {
  await change('POST', apiPath([resource, flags.vhost, id, 'fire']), undefined, flags)
  if (flags.json !== true) process.stdout.write(`${cellText(id)} fired\n`)
}

export interface RecurringFlags extends ScheduleFlags {
  readonly zone?: string
  readonly exchange?: string
  readonly key?: string
  readonly body?: string
  readonly header?: readonly string[]
  readonly contentType?: string
  readonly start?: string
  readonly end?: string
  readonly count?: string
  readonly missed?: string
}

export async function setRecurring(
  name: string,
  cron: string,
  flags: RecurringFlags,
): Promise<void> {
  const { zone, exchange, key, start, end, count, missed } = flags
  if (key === undefined) {
    throw new CommandError(EXIT.USAGE, 'say where to: --key QUEUE, or --exchange and --key')
  }
  const asked = given({
    ...{ cron, zone, exchange, missed },
    routingKey: key,
    startMs: start === undefined ? undefined : timeOf(start),
    endMs: end === undefined ? undefined : timeOf(end),
    count: count === undefined ? undefined : Number(count),
    message: given({
      body: flags.body,
      contentType: flags.contentType,
      headers: flags.header === undefined ? undefined : pairsOf(flags.header),
    }),
  })
  const answer = await change('PUT', apiPath(['recurring', flags.vhost, name]), asked, flags)
  if (flags.json === true) return
  const { nextMs } = answer as { readonly nextMs: number | null }
  const when = nextMs === null ? 'never' : timeText(nextMs)
  process.stdout.write(`${cellText(name)} is due next: ${when}\n`)
}

export async function deleteRecurring(name: string, flags: ScheduleFlags): Promise<void> {
  await change('DELETE', apiPath(['recurring', flags.vhost, name]), undefined, flags)
  if (flags.json !== true) process.stdout.write(`${cellText(name)} deleted\n`)
}

async function change(
  method: string,
  path: string,
  body: unknown,
  flags: ScheduleFlags,
): Promise<unknown> {
  const client = await AdminClient.connect(flags)
  const answer = await client.request(method, path, body)
  if (flags.json === true) printJson(answer ?? { done: true })
  return answer
}

function timeText(ms: unknown): string {
  return typeof ms === 'number' ? new Date(ms).toISOString() : ''
}

/** Milliseconds since 1970, or a date as ISO 8601 has it. */
function timeOf(text: string): number {
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isSafeInteger(ms)) return ms
  throw new CommandError(
    EXIT.USAGE,
    `'${text}' is no time, expected such as 2027-01-31T09:00:00Z or milliseconds since 1970`,
  )
}

function secondsOf(text: string): number {
  const seconds = Number(text)
  if (text.trim() !== '' && seconds >= 0) return seconds
  throw new CommandError(EXIT.USAGE, `--after is '${text}', expected a number of seconds`)
}

function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
