import {
  connectChannel,
  createClient,
  hopOf,
  rpc,
  RpcError,
  service,
  type StandardSchema,
} from '../client/index.ts'
import { parseDurationMs } from '../server/quantity.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { cellText } from './table.ts'

export interface CallFlags {
  readonly url?: string
  readonly data?: readonly string[]
  readonly deadline?: string
  readonly metadata?: readonly string[]
  readonly durable?: boolean
  readonly key?: string
  readonly orderKey?: string
  readonly delay?: string
  readonly outcome?: string
  readonly cancel?: string
}

const URL_DEFAULT = 'rpc://127.0.0.1:7700'

/** Whatever JSON says: the provider checks it. */
export const JSON_VALUE: StandardSchema = {
  '~standard': { version: 1, vendor: 'waystation', validate: (value) => ({ value }) },
}

/** Makes one call with JSON and prints each answer as a line of JSON. */
export async function call(path: string, flags: CallFlags): Promise<void> {
  const [, name, method] = /^\/?([\w.]+)\/(\w+)$/.exec(path) ?? []
  if (name === undefined || method === undefined) {
    const text = `'${cellText(path)}' is no method such as shop.v1.Orders/place`
    throw new CommandError(EXIT.USAGE, text)
  }
  if (flags.durable === true || flags.outcome !== undefined || flags.cancel !== undefined) {
    const { durableCall } = await import('./durable-call.ts')
    await durableCall({ service: name, method, flags })
    return
  }
  const messages = (flags.data ?? ['{}']).map(parsed)
  const options = { deadlineMs: deadlineOf(flags), metadata: metadataOf(flags) }
  // A stream of one message is what a unary method is on the wire, so this fits every kind.
  const contract = service(name, { [method]: rpc.bidi({ in: JSON_VALUE, out: JSON_VALUE }) })
  await using channel = openChannel(flags)
  const client = createClient(contract, channel)
  try {
    for await (const answer of client[method]!(messages, options)) {
      process.stdout.write(`${JSON.stringify(answer)}\n`)
    }
  } catch (error) {
    if (!(error instanceof RpcError)) throw error
    throw failed(error)
  }
}

export function openChannel(flags: CallFlags): ReturnType<typeof connectChannel> {
  const url = flags.url ?? process.env['WAYSTATION_RPC_URL'] ?? URL_DEFAULT
  try {
    return connectChannel(url, { name: 'waystation call' })
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw new CommandError(EXIT.USAGE, cause.message, { cause })
  }
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CommandError(EXIT.USAGE, `--data '${cellText(text)}' is not JSON`, { cause })
  }
}

export function deadlineOf({ deadline = '10s' }: CallFlags): number {
  const ms = parseDurationMs(deadline)
  if (ms !== undefined) return ms
  throw new CommandError(EXIT.USAGE, `--deadline '${cellText(deadline)}' is no time such as 2s`)
}

export function metadataOf({ metadata = [] }: CallFlags): [string, string][] {
  return metadata.map((pair) => {
    const at = pair.indexOf('=')
    if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)]
    throw new CommandError(EXIT.USAGE, `--metadata '${cellText(pair)}' is no name=value`)
  })
}

export function failed(error: RpcError): CommandError {
  const hop = hopOf(error)
  const stage =
    hop === null ? '' : ` (${hop.stage}${hop.provider === '' ? '' : ` at ${hop.provider}`})`
  const details = error.details.filter(({ type }) => type.startsWith('json/'))
  const declared = details.map(
    ({ type, value }) => `\n${type.slice(5)} ${String(Buffer.from(value))}`,
  )
  const code = error.code === 'UNAUTHENTICATED' ? EXIT.REFUSED : EXIT.FAILED
  const text = `${error.code}: ${error.message}${stage}${declared.join('')}`
  return new CommandError(code, text, { cause: error })
}
