import { readLocalFile, writeSecretFile } from '../server/local-file.ts'
import { AdminClient, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'

export interface DefinitionFlags extends ConnectFlags {
  /** Only what stands in it; absent: everything, with users and permissions. */
  readonly vhost?: string
  readonly json?: boolean
}

/** The lists in a file of definitions, as they are counted for a person. */
const LISTS = ['users', 'vhosts', 'policies', 'exchanges', 'queues', 'bindings'] as const

/** Writes what is declared to a file, or to standard output. */
export async function exportDefinitions(
  file: string | undefined,
  flags: DefinitionFlags,
): Promise<void> {
  const client = await AdminClient.connect(flags)
  const definitions = await client.request('GET', pathOf(flags))
  const text = `${JSON.stringify(definitions, null, 2)}\n`
  if (file === undefined || file === '-') {
    process.stdout.write(text)
    return
  }
  try {
    // Hashes of passwords are in it.
    writeSecretFile(file, text)
  } catch (cause) {
    throw new CommandError(EXIT.FAILED, `${file} cannot be written: ${messageOf(cause)}`, { cause })
  }
  if (flags.json === true) printJson({ file, ...countsOf(definitions) })
  else process.stdout.write(`${shown(definitions)} written to ${file}\n`)
}

/** Declares what a file says, this broker's or RabbitMQ's. */
export async function importDefinitions(file: string, flags: DefinitionFlags): Promise<void> {
  const definitions = read(file)
  const client = await AdminClient.connect(flags)
  await client.request('POST', pathOf(flags), definitions)
  if (flags.json === true) printJson(countsOf(definitions))
  else process.stdout.write(`${shown(definitions)} imported\n`)
}

function pathOf({ vhost }: DefinitionFlags): string {
  return vhost === undefined ? '/api/definitions' : `/api/definitions/${encodeURIComponent(vhost)}`
}

function read(file: string): unknown {
  let text: string
  try {
    text = readLocalFile(file === '-' ? 0 : file).toString('utf8')
  } catch (cause) {
    throw new CommandError(EXIT.USAGE, `${file} cannot be read: ${messageOf(cause)}`, { cause })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CommandError(EXIT.USAGE, `${file} is not JSON: ${messageOf(cause)}`, { cause })
  }
}

function countsOf(definitions: unknown): Record<string, number> {
  const lists = Object(definitions) as Record<string, unknown>
  return Object.fromEntries(
    LISTS.map((name) => [name, lists[name]])
      .filter((entry): entry is [string, unknown[]] => Array.isArray(entry[1]))
      .map(([name, list]) => [name, list.length]),
  )
}

function shown(definitions: unknown): string {
  const counts = Object.entries(countsOf(definitions)).map(([name, count]) => `${count} ${name}`)
  return counts.length === 0 ? 'nothing' : counts.join(', ')
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
