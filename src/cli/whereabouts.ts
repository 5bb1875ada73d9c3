import type { DestinationView } from '../model/shapes/destinations.ts'
import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'
import { cellText } from './table.ts'

export interface WhereFlags extends ConnectFlags {
  readonly vhost: string
  readonly queue?: string
  readonly json?: boolean
}

export interface WhyFlags extends ConnectFlags {
  readonly vhost: string
  readonly json?: boolean
}

interface Found {
  readonly offset: number
  readonly state: string
  readonly before: number | null
  readonly attempts: number
  readonly storedAtMs: number
  readonly untilMs: number | null
  readonly consumer: string | null
  readonly sinceMs: number | null
  readonly readers: readonly { readonly name: string; readonly isPast: boolean }[]
  readonly deaths: readonly {
    readonly queue: string
    readonly reason: string
    readonly count: number
    readonly timeMs: number
  }[]
  readonly redrives: number
}

interface SearchResult {
  readonly found: readonly Found[]
  readonly looked: number
  readonly next: number | null
}

/** Where to look: a queue, a partition of a topic, or with neither what is delayed. */
interface Place {
  readonly queue: string | null
  readonly partition: number | null
}

/** Looks for a message in one queue or topic, or in all queues and among the delayed ones. */
export async function where(id: string, flags: WhereFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const places = await placesOf(client, flags)
  const all: (Found & Place)[] = []
  let looked = 0
  for (const place of places) {
    let from: number | null = 0
    while (from !== null) {
      const query: Record<string, string> = { id, from: String(from) }
      if (place.queue !== null) query['destination'] = place.queue
      if (place.partition !== null) query['partition'] = String(place.partition)
      const path = apiPath(['where', flags.vhost], query)
      const result = (await client.request('GET', path)) as SearchResult
      all.push(...result.found.map((each) => ({ ...place, ...each })))
      looked += result.looked
      from = result.next
      if (process.stderr.isTTY) process.stderr.write(`\r${looked} looked at`)
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\n')
  if (flags.json === true) printJson(all)
  else process.stdout.write(all.map(lineOf).join(''))
  if (all.length === 0) {
    const text = `no message '${cellText(id)}' is here; ${looked} were looked at`
    throw new CommandError(EXIT.FAILED, text)
  }
}

/** Says for a queue, topic, subscription, consumer or client why it gets nothing. */
export async function why(name: string | undefined, flags: WhyFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const path = apiPath(['why', flags.vhost], name === undefined ? {} : { name })
  const found = (await client.request('GET', path)) as Why[]
  if (flags.json === true) printJson(found)
  else process.stdout.write(found.map(reasonsText).join(''))
}

interface Why {
  readonly destination?: string
  readonly subscription?: string
  readonly reasons: readonly { readonly text: string }[]
  readonly consumers?: readonly {
    readonly tag: string
    readonly protocol: string | null
    readonly clientId: string | null
    readonly reasons: readonly { readonly text: string }[]
  }[]
}

function reasonsText({ destination, subscription, reasons, consumers = [] }: Why): string {
  const what = destination === undefined ? `subscription ${subscription}` : destination
  const lines = [cellText(what), ...reasons.map(({ text }) => `  ${cellText(text)}`)]
  for (const { tag, protocol, clientId, reasons: own } of consumers) {
    lines.push(`  consumer ${cellText(tag)} (${cellText(protocol)} ${cellText(clientId)})`)
    for (const { text } of own) lines.push(`    ${cellText(text)}`)
  }
  return `${lines.join('\n')}\n`
}

/** Queues that hold anything, and those that are delayed; topics only where one is named. */
async function placesOf(client: AdminClient, { vhost, queue }: WhereFlags): Promise<Place[]> {
  const list = (await client.request(
    'GET',
    apiPath(['destinations'], { vhost }),
  )) as DestinationView[]
  const count = list.find(({ name }) => name === queue)?.partitions ?? null
  if (queue !== undefined && count !== null) {
    return Array.from({ length: count }, (_, partition) => ({ queue, partition }))
  }
  if (queue !== undefined) return [{ queue, partition: null }]
  const holding = list.filter(({ profile, ready, unsettled, held }) => {
    return profile === 'queue' && ready + unsettled + held > 0
  })
  const queues = holding.map(({ name }) => ({ queue: name, partition: null }))
  return [...queues, { queue: null, partition: null }]
}

function lineOf(found: Found & Place): string {
  const { queue, partition, offset, deaths, redrives, attempts, storedAtMs, readers } = found
  const within = partition === null ? '' : `/${partition}`
  const where_ = queue === null ? 'delayed' : `${cellText(queue)}${within}/${offset}`
  const facts = [stateText(found), `stored ${timeText(storedAtMs)}`]
  for (const { name, isPast } of readers) {
    facts.push(`${cellText(name)} ${isPast ? 'is past it' : 'has not read it'}`)
  }
  if (attempts > 0) facts.push(`failed ${attempts} times`)
  for (const { queue: at, reason, count, timeMs } of deaths) {
    facts.push(`died in ${cellText(at)}: ${reason}, ${count} times since ${timeText(timeMs)}`)
  }
  if (redrives > 0) facts.push(`re-driven ${redrives} times`)
  return `${where_}: ${facts.join('; ')}\n`
}

function stateText({ state, before, untilMs, consumer, sinceMs }: Found): string {
  if (state === 'stored') return 'in the topic'
  if (state === 'waiting') {
    return before === null ? 'waits far behind others' : `waits behind ${before} others`
  }
  if (state === 'in-flight') {
    const since = sinceMs === null ? '' : ` since ${timeText(sinceMs)}`
    return consumer === null
      ? `with a consumer that asked by get or has been cancelled${since}`
      : `with consumer ${cellText(consumer)}${since}`
  }
  if (state === 'held') return `failed, and held back until ${timeText(untilMs)}`
  if (state === 'delayed') return `held back until ${timeText(untilMs)}`
  return 'a dead letter that nobody takes'
}

function timeText(timeMs: number | null): string {
  return timeMs === null ? '-' : new Date(timeMs).toISOString()
}
