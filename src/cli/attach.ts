import { attachGrpc } from '../client/attach-grpc.ts'
import { connectChannel } from '../client/index.ts'
import { systemRandom } from '../lib/random.ts'
import { readLocalFile } from '../server/local-file.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { readPassword } from './password.ts'
import { stopSignal } from './stop-signal.ts'

export interface AttachFlags {
  readonly service: readonly string[]
  readonly to: string
  readonly broker: string
  readonly user?: string
  readonly concurrency: string
  readonly instance?: string
  readonly label?: readonly string[]
  readonly weight: string
  readonly tls?: boolean
  readonly tlsCa?: string
}

/** Open calls may end before the command does. */
const CLOSE_GRACE_MS = 10_000

/** Lets a gRPC server provide services through the broker, until a signal; returns the exit code. */
export async function attach(flags: AttachFlags): Promise<number> {
  const { host, port } = addressOf(flags.to)
  const capacity = wholeNumber(flags.concurrency, '--concurrency')
  const weight = wholeNumber(flags.weight, '--weight')
  const labels = labelsOf(flags.label ?? [])
  const stopped = stopSignal()
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  const channel = openChannel(flags.broker, await loginOf(flags.user), (reason) =>
    say(`no connection to the broker: ${reason}`),
  )
  const names = flags.service.join(', ')
  const server = attachGrpc({
    channel,
    ...{ host, port, capacity },
    spec: {
      ...{ version: '', labels, weight, services: flags.service },
      instanceId: flags.instance ?? systemRandom.id(),
    },
    ...(flags.tls === true || flags.tlsCa !== undefined ? { tls: tlsOf(flags.tlsCa) } : {}),
    onAttached: () => say(`${names} at ${flags.to} attached`),
    onDetached: (reason) => say(`${names} at ${flags.to} detached: ${reason}`),
  })
  await stopped
  await server.close(CLOSE_GRACE_MS)
  await channel.close()
  return EXIT.DONE
}

function openChannel(
  url: string,
  login: Login,
  onLost: (reason: string) => void,
): ReturnType<typeof connectChannel> {
  try {
    return connectChannel(url, {
      ...login,
      name: 'waystation attach',
      onLost: ({ message }) => onLost(message),
    })
  } catch (error) {
    if (error instanceof TypeError) throw new CommandError(EXIT.USAGE, error.message)
    throw error
  }
}

interface Login {
  readonly user?: string
  readonly password?: string
}

/** The password is never an argument, which others on the machine could read. */
async function loginOf(user: string | undefined): Promise<Login> {
  if (user === undefined) return {}
  const known = process.env['WAYSTATION_PASSWORD']
  return { user, password: known ?? (await readPassword(`password of ${user}: `)) }
}

function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [, host = '', port = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? []
  if (port === '' || Number(port) < 1 || Number(port) > 65_535) {
    throw new CommandError(EXIT.USAGE, `--to ${text}: expected HOST:PORT or a port of this machine`)
  }
  return { host: host === '' ? '127.0.0.1' : host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }
}

function wholeNumber(text: string, flag: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text)
  throw new CommandError(EXIT.USAGE, `${flag} ${text}: expected a whole number above 0`)
}

function labelsOf(pairs: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw new CommandError(EXIT.USAGE, `--label ${pair}: expected NAME=VALUE`)
    labels[pair.slice(0, at)] = pair.slice(at + 1)
  }
  return labels
}

function tlsOf(caFile: string | undefined): { readonly ca?: string } {
  if (caFile === undefined) return {}
  try {
    return { ca: readLocalFile(caFile).toString('utf8') }
  } catch (cause) {
    throw new CommandError(EXIT.USAGE, `--tls-ca: ${(cause as Error).message}`, { cause })
  }
}
