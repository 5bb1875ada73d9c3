import { parseDurationMs, parsePart } from '../server/quantity.ts'
import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'
import { cellText, type Column, formatTable } from './table.ts'

interface JsonFlags extends ConnectFlags {
  readonly json?: boolean
}

export interface TraceStartFlags extends JsonFlags {
  readonly vhost?: string
  readonly sample?: string
  readonly queue?: string
  readonly exchange?: string
  readonly key?: string
  /** Whose messages; `user` is who logs in here. */
  readonly publisher?: string
  readonly header?: string
  readonly id?: string
  readonly for?: string
  readonly max?: string
}

export interface TraceShowFlags extends JsonFlags {
  readonly limit: string
}

interface Step {
  readonly atMs: number
  readonly step: string
  readonly at: string
  readonly partition: number
  readonly offset: number
  readonly attempts: number
  readonly by: {
    readonly protocol: string
    readonly connection: string
    readonly user: string | null
    readonly clientId: string | null
  } | null
  readonly detail: string
}

interface Trace {
  readonly trace: number
  readonly vhost: string
  readonly messageId: string
  readonly correlationId: string
  readonly traceparent: string
  readonly steps: readonly Step[]
}

export async function startTrace(flags: TraceStartFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const rule = (await client.request('POST', apiPath(['traces']), ruleOf(flags))) as {
    readonly rule: number
  }
  if (flags.json === true) printJson(rule)
  else process.stdout.write(`trace ${rule.rule} runs\n`)
}

export async function stopTrace(rule: string, flags: JsonFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  await client.request('DELETE', apiPath(['traces', rule]))
  if (flags.json !== true) process.stdout.write(`trace ${cellText(rule)} is stopped\n`)
}

export async function listTraces(flags: JsonFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const found = (await client.request('GET', apiPath(['traces']))) as {
    readonly rules: Record<string, unknown>[]
    readonly traces: number
    readonly steps: number
    readonly overwritten: number
  }
  if (flags.json === true) {
    printJson(found)
    return
  }
  const { rules, traces, steps, overwritten } = found
  if (rules.length > 0) process.stdout.write(formatTable(RULE_COLUMNS, rules))
  else process.stderr.write('no traces run\n')
  const lost = overwritten === 0 ? '' : `, ${overwritten} older steps overwritten`
  process.stdout.write(`${traces} messages remembered, ${steps} steps${lost}\n`)
}

/** What is known of a message; without an id, of those traced last. */
export async function showTrace(id: string | undefined, flags: TraceShowFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const query = { limit: flags.limit, ...(id === undefined ? {} : { id }) }
  const found = (await client.request('GET', apiPath(['traces', 'messages'], query))) as Trace[]
  if (flags.json === true) {
    printJson(found)
    return
  }
  if (found.length === 0) {
    const text =
      id === undefined
        ? 'no message was traced'
        : `no message '${cellText(id)}' was traced; 'waystation where' looks for what is not`
    throw new CommandError(EXIT.FAILED, text)
  }
  process.stdout.write(found.map(storyOf).join('\n'))
}

function storyOf(trace: Trace): string {
  const { vhost, messageId, correlationId, traceparent, steps } = trace
  const names = [
    ['message id', messageId],
    ['correlation id', correlationId],
    ['traceparent', traceparent],
  ].flatMap(([name, text]) => (text === '' ? [] : [`${name} ${cellText(text)}`]))
  const head = [`#${trace.trace} in vhost ${cellText(vhost)}`, ...names].join(', ')
  const rows = steps.map((step) => ({ ...step }))
  return `${head}\n${formatTable(STEP_COLUMNS, rows)}`
}

const RULE_COLUMNS: readonly Column[] = [
  { title: 'rule', value: ({ rule }) => rule, isNumber: true },
  { title: 'vhost', value: ({ vhost }) => vhost },
  { title: 'sample', value: ({ sample }) => `${Number(sample) * 100} %`, isNumber: true },
  ...['destination', 'exchange', 'key', 'user', 'header', 'id'].map((key) => ({
    title: key,
    value: (row: Readonly<Record<string, unknown>>) => row[key],
  })),
  { title: 'until', value: ({ endsAtMs }) => timeText(endsAtMs) },
  { title: 'max', value: ({ countMax }) => countMax, isNumber: true },
  { title: 'traced', value: ({ traced }) => traced, isNumber: true },
]

const STEP_COLUMNS: readonly Column[] = [
  { title: 'time', value: ({ atMs }) => timeText(atMs) },
  { title: 'step', value: ({ step }) => step },
  { title: 'at', value: ({ at, partition }) => placeText(at, partition) },
  {
    title: 'offset',
    value: ({ offset }) => (Number(offset) < 0 ? '' : String(Number(offset))),
    isNumber: true,
  },
  {
    title: 'failed',
    value: ({ attempts }) => (attempts === 0 ? '' : String(Number(attempts))),
    isNumber: true,
  },
  { title: 'by', value: ({ by }) => actorText(by as Step['by']) },
  { title: 'detail', value: ({ detail }) => detail },
]

function placeText(at: unknown, partition: unknown): string {
  return Number(partition) < 0 ? String(at) : `${String(at)}[${Number(partition)}]`
}

function actorText(by: Step['by']): string {
  if (by === null) return ''
  const { protocol, clientId, user, connection } = by
  const who = clientId ?? connection
  return `${protocol} ${who}${user === null ? '' : ` (${user})`}`
}

function timeText(timeMs: unknown): string {
  return typeof timeMs === 'number' ? new Date(timeMs).toISOString() : ''
}

function ruleOf(flags: TraceStartFlags): object {
  const { vhost, queue, exchange, key, publisher, header, id } = flags
  const at = header?.indexOf('=') ?? -1
  if (header !== undefined && at < 1) {
    throw new CommandError(EXIT.USAGE, `'${header}' is no header, expected name=value`)
  }
  const rule = {
    ...{ vhost, destination: queue, exchange, key, user: publisher, id },
    sample: sampleOf(flags.sample),
    header:
      header === undefined ? undefined : { name: header.slice(0, at), value: header.slice(at + 1) },
    forMs: flags.for === undefined ? undefined : durationOf(flags.for),
    countMax: flags.max === undefined ? undefined : Number(flags.max),
  }
  return Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== undefined))
}

/** `1%` or `0.01`. */
function sampleOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const sample = parsePart(text)
  if (sample !== undefined) return sample
  throw new CommandError(EXIT.USAGE, `--sample is '${text}', expected a part such as 1% or 0.01`)
}

function durationOf(text: string): number {
  const ms = parseDurationMs(text)
  if (ms !== undefined && ms > 0) return ms
  throw new CommandError(EXIT.USAGE, `--for is '${text}', expected a time such as 10m`)
}
