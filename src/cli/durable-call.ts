import { createClient, rpc, RpcError, service } from '../client/index.ts'
import { parseDurationMs } from '../server/quantity.ts'
import {
  type CallFlags,
  deadlineOf,
  failed,
  JSON_VALUE,
  metadataOf,
  openChannel,
  parsed,
} from './call.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { cellText } from './table.ts'

/** Stores a call and prints its id, or asks about one that was stored. */
export async function durableCall(what: {
  readonly service: string
  readonly method: string
  readonly flags: CallFlags
}): Promise<void> {
  const { flags, method } = what
  const contract = service(what.service, {
    [method]: rpc.unary({ in: JSON_VALUE, out: JSON_VALUE }),
  })
  const input = inputOf(flags)
  const deadlineMs = deadlineOf(flags)
  await using channel = openChannel(flags)
  const asked = createClient(contract, channel)[method]!
  try {
    if (flags.cancel !== undefined) await asked.durableCall(flags.cancel).cancel({ deadlineMs })
    else if (flags.outcome !== undefined) {
      print(await asked.durableCall(flags.outcome).result({ deadlineMs }))
    } else {
      const { key, orderKey, delay } = flags
      const { id, wasKnown } = await asked.durable(input, {
        ...{ deadlineMs, metadata: metadataOf(flags) },
        ...(key === undefined ? {} : { key }),
        ...(orderKey === undefined ? {} : { orderKey }),
        ...(delay === undefined ? {} : { delayMs: delayOf(delay) }),
      })
      print({ id, wasKnown })
    }
  } catch (error) {
    if (!(error instanceof RpcError)) throw error
    throw failed(error)
  }
}

function inputOf({ data = ['{}'] }: CallFlags): unknown {
  if (data.length === 1) return parsed(data[0]!)
  throw new CommandError(EXIT.USAGE, 'a durable call has one message: give --data once')
}

function delayOf(delay: string): number {
  const ms = parseDurationMs(delay)
  if (ms !== undefined) return ms
  throw new CommandError(EXIT.USAGE, `--delay '${cellText(delay)}' is no time such as 5m`)
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
