import type { DeliveryView, MessageView } from '../model/shapes/messages.ts'
import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { shown, wholeNumber } from './messages.ts'

export interface ConsumeFlags extends ConnectFlags {
  readonly vhost: string
  readonly ack: string
  readonly count?: string
  readonly follow?: boolean
  readonly from: string
  readonly prefetch: string
  readonly format: string
  readonly json?: boolean
}

/** What becomes of messages, in the words of the API; null: they are settled when given out. */
const OUTCOMES: Readonly<Record<string, 'accept' | 'reject' | 'release' | 'fail' | null>> = {
  accept: 'accept',
  reject: 'reject',
  requeue: 'release',
  fail: 'fail',
  none: null,
}

const FORMATS: Readonly<Record<string, (delivery: DeliveryView) => string | Buffer>> = {
  full: shown,
  json: (delivery) => `${JSON.stringify(delivery)}\n`,
  body: (delivery) => Buffer.concat([bodyOf(delivery), Buffer.from('\n')]),
  raw: bodyOf,
}

/** Prints messages and settles what was printed. */
export async function consume(name: string, flags: ConsumeFlags): Promise<void> {
  const outcome = choice(OUTCOMES, flags.ack, '--ack')
  const format = choice(FORMATS, flags.json === true ? 'json' : flags.format, '--format')
  const prefetch = wholeNumber(flags.prefetch, '--prefetch')
  const count = flags.count === undefined ? Infinity : wholeNumber(flags.count, '--count')
  if (count === 0) return
  // What went back at once would come again at once.
  const atEnd = outcome === 'release' || outcome === 'fail' ? outcome : null
  const countMax = atEnd === null ? count : Math.min(count, prefetch)
  const client = await AdminClient.connect(flags)
  const lines = client.stream(apiPath(['destinations', flags.vhost, name, 'deliveries']), {
    prefetch,
    noAck: outcome === null,
    ...(atEnd === null ? {} : { atEnd }),
    from: placeOf(flags.from),
    ...(flags.follow === true ? { follow: true } : {}),
    ...(countMax === Infinity ? {} : { count: countMax }),
  })
  const stream = new DeliveryLines(client)
  let seen = 0
  for await (const deliveries of stream.read(lines)) {
    for (const delivery of deliveries) await print(format(delivery))
    if (outcome !== null && atEnd === null) await stream.settle(deliveries, outcome)
    seen += deliveries.length
  }
  if (flags.follow === true && seen < countMax) {
    throw new CommandError(EXIT.UNAVAILABLE, 'the broker ended the connection')
  }
}

/** The lines of one stream, and the way to settle what they told. */
class DeliveryLines {
  readonly #client: AdminClient
  #id = 0

  constructor(client: AdminClient) {
    this.#client = client
  }

  /** What came together, so that it is settled together. */
  async *read(chunks: AsyncIterable<string>): AsyncGenerator<readonly DeliveryView[]> {
    let rest = ''
    for await (const chunk of chunks) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      // Empty ones only say that the broker is still there.
      const values = lines
        .filter(Boolean)
        .map((line) => JSON.parse(line) as DeliveryView | { readonly id: number })
      const deliveries: DeliveryView[] = []
      for (const value of values) {
        if ('tag' in value) deliveries.push(value)
        else this.#id = value.id
      }
      if (deliveries.length > 0) yield deliveries
    }
  }

  async settle(deliveries: readonly DeliveryView[], outcome: string): Promise<void> {
    const upTo = deliveries.at(-1)?.tag
    await this.#client.request('POST', apiPath(['deliveries', String(this.#id), 'settle']), {
      upTo,
      outcome,
    })
  }
}

/** Resolves when it has left: only then may it be settled. */
async function print(text: string | Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error === null || error === undefined) resolve()
      else reject(new CommandError(EXIT.FAILED, 'nobody reads the output', { cause: error }))
    })
  })
}

function bodyOf({ body, encoding }: MessageView): Buffer {
  return Buffer.from(body, encoding)
}

function placeOf(text: string): unknown {
  if (text === 'first' || text === 'last' || text === 'next') return text
  if (/^\d+$/.test(text)) return { offset: Number(text) }
  const timeMs = Date.parse(text)
  if (Number.isSafeInteger(timeMs) && timeMs >= 0) return { timeMs }
  const expected = 'first, last, next, an offset or a time such as 2026-01-31T12:00:00Z'
  throw new CommandError(EXIT.USAGE, `--from is '${text}', expected ${expected}`)
}

function choice<T>(values: Readonly<Record<string, T>>, name: string, flag: string): T {
  if (Object.hasOwn(values, name)) return values[name]!
  const known = Object.keys(values).join(', ')
  throw new CommandError(EXIT.USAGE, `${flag} is '${name}', expected one of ${known}`)
}
