import { text as textOf } from 'node:stream/consumers'
import { systemClock } from '../lib/clock.ts'
import type { MessagePage, MessageView } from '../model/shapes/messages.ts'
import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { pairsOf } from './pairs.ts'
import { cellText } from './table.ts'

const FOLLOW_MS = 500
/** What the API gives in one page at most is its own to know; this is what we ask for. */
const PAGE_MAX = 50

export interface PublishFlags extends ConnectFlags {
  readonly vhost: string
  readonly to?: string
  readonly exchange?: string
  readonly key?: string
  readonly header?: readonly string[]
  readonly contentType?: string
  readonly id?: string
  readonly lines?: boolean
  readonly json?: boolean
}

export interface BrowseFlags extends ConnectFlags {
  readonly vhost: string
  readonly from?: string
  readonly limit: string
  readonly partition?: string
  readonly follow?: boolean
  readonly json?: boolean
}

/** Publishes the body, or standard input; throws `CommandError` when a message reached nobody. */
export async function publish(given: string | undefined, flags: PublishFlags): Promise<void> {
  const target = targetOf(flags)
  const client = await AdminClient.connect(flags)
  const path = apiPath(['publish', flags.vhost])
  let count = 0
  for await (const body of bodiesOf(given, flags)) {
    const { routed } = (await client.request('POST', path, { ...target, body })) as {
      readonly routed: boolean
    }
    if (!routed) {
      const before = count === 0 ? '' : `; ${count} before it are stored`
      throw new CommandError(EXIT.FAILED, `no queue or topic takes the message${before}`)
    }
    count++
  }
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ published: count })}\n`)
  else process.stdout.write(`${count} published and stored\n`)
}

function targetOf(flags: PublishFlags): object {
  const { to, exchange, key } = flags
  if (to !== undefined && (exchange !== undefined || key !== undefined)) {
    throw new CommandError(EXIT.USAGE, '--to names a queue or topic, so it goes alone')
  }
  if (to === undefined && exchange === undefined && key === undefined) {
    throw new CommandError(EXIT.USAGE, 'say where it goes: --to NAME, or --exchange NAME --key KEY')
  }
  return {
    routingKey: to ?? key ?? '',
    ...(exchange === undefined ? {} : { exchange }),
    ...(flags.header === undefined ? {} : { headers: pairsOf(flags.header) }),
    ...(flags.contentType === undefined ? {} : { contentType: flags.contentType }),
    ...(flags.id === undefined ? {} : { messageId: flags.id }),
  }
}

async function* bodiesOf(given: string | undefined, flags: PublishFlags): AsyncGenerator<string> {
  if (flags.lines === true) {
    if (given !== undefined) throw new CommandError(EXIT.USAGE, '--lines reads standard input')
    yield* linesOfInput()
  } else yield given ?? (await textOf(process.stdin))
}

async function* linesOfInput(): AsyncGenerator<string> {
  let rest = ''
  process.stdin.setEncoding('utf8')
  for await (const chunk of process.stdin) {
    const lines = (rest + String(chunk)).split(/\r?\n/)
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}

/** Prints messages as they are stored; nothing is taken out. */
export async function browse(name: string, flags: BrowseFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  let from = wholeNumber(flags.from ?? '0', '--from')
  let left = wholeNumber(flags.limit, '--limit')
  const partition = wholeNumber(flags.partition ?? '0', '--partition')
  while (left > 0 || flags.follow === true) {
    const limit = left > 0 ? Math.min(left, PAGE_MAX) : PAGE_MAX
    const query = { from: String(from), limit: String(limit), partition: String(partition) }
    const path = apiPath(['destinations', flags.vhost, name, 'messages'], query)
    const { messages } = (await client.request('GET', path)) as MessagePage
    for (const message of messages) {
      process.stdout.write(flags.json === true ? `${JSON.stringify(message)}\n` : shown(message))
    }
    left -= messages.length
    from = (messages.at(-1)?.offset ?? from - 1) + 1
    if (messages.length > 0) continue
    if (flags.follow !== true) return
    await new Promise<void>((resolve) => void systemClock.setTimer(FOLLOW_MS, resolve))
  }
}

export function wholeNumber(text: string, flag: string): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isSafeInteger(number) && number >= 0) return number
  throw new CommandError(EXIT.USAGE, `${flag} is '${text}', expected a whole number`)
}

export function shown(message: MessageView): string {
  const { offset, storedAtMs, exchange, routingKey, properties, headers, bodyBytes } = message
  const way =
    exchange === '' ? cellText(routingKey) : `${cellText(exchange)} / ${cellText(routingKey)}`
  const named = [
    ...Object.entries(properties),
    ...headers.map(({ name, value }): [string, unknown] => [name, value]),
  ]
  const facts = named.map(([name, value]) => `    ${cellText(name)}: ${cellText(value)}\n`)
  const body = message.encoding === 'base64' ? `base64 ${message.body}` : message.body
  const lines = body.split('\n').map((line) => `  ${line === '' ? '' : cellText(line)}\n`)
  const time = new Date(storedAtMs).toISOString()
  return `#${offset}  ${time}  ${way}  ${bodyBytes} bytes\n${facts.join('')}${lines.join('')}`
}
