import { apiPath } from './admin-client.ts'
import { change, type VhostFlags } from './changes.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { cellText } from './table.ts'

export interface AlterFlags extends VhostFlags {
  readonly argument?: readonly string[]
  readonly removeArgument?: readonly string[]
  readonly partitions?: string
  readonly profile?: string
}

type ArgumentValue = string | number | boolean | null

/** Changes a queue or topic while it lives. */
export async function alter(name: string, flags: AlterFlags): Promise<void> {
  const { argument = [], removeArgument = [], partitions, profile } = flags
  const args: Record<string, ArgumentValue> = {}
  for (const key of removeArgument) args[key] = null
  for (const pair of argument) {
    const at = pair.indexOf('=')
    if (at < 1) throw new CommandError(EXIT.USAGE, `'${pair}' is no argument: write name=value`)
    args[pair.slice(0, at)] = valueOf(pair.slice(at + 1))
  }
  const hasArguments = Object.keys(args).length > 0
  if (!hasArguments && partitions === undefined && profile === undefined) {
    throw new CommandError(EXIT.USAGE, 'nothing is to be changed: say what, --help shows it')
  }
  await change(flags, {
    method: 'PATCH',
    path: apiPath(['destinations', flags.vhost, name]),
    body: {
      ...(hasArguments ? { arguments: args } : {}),
      ...(partitions === undefined ? {} : { partitions: Number(partitions) }),
      ...(profile === undefined ? {} : { profile }),
    },
    done: (answer) => `${toldOf(answer)} ${cellText(name)} is changed`,
  })
}

function toldOf(answer: unknown): string {
  const { profile, partitions } = answer as { profile: string; partitions: number | null }
  return partitions === null ? profile : `${profile} of ${partitions} partitions`
}

/** As AMQP clients write them; Kafka's configuration is text whatever it looks like. */
function valueOf(text: string): ArgumentValue {
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?\d{1,15}$/.test(text) ? Number(text) : text
}
