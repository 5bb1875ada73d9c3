import { systemClock } from '../lib/clock.ts'
import { readLocalFile } from '../server/local-file.ts'
import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'
import { pairsOf } from './pairs.ts'
import { cellText } from './table.ts'

const POLL_MS = 200
const BAR_CHARS = 30

export interface RedriveFlags extends ConnectFlags {
  readonly vhost: string
  readonly to?: string
  readonly exchange?: string
  readonly key?: string
  readonly reason?: string
  readonly diedIn?: string
  readonly withKey?: string
  readonly olderThan?: string
  readonly newerThan?: string
  readonly error?: string
  readonly id?: string
  readonly setBodyFile?: string
  readonly header?: readonly string[]
  readonly setHeader?: readonly string[]
  readonly removeHeader?: readonly string[]
  readonly rate?: string
  readonly limit?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

export interface ResumeFlags extends ConnectFlags {
  readonly json?: boolean
}

interface Progress {
  readonly id: number
  readonly queue: string
  readonly dryRun: boolean
  readonly state: string
  readonly waiting: number
  readonly looked: number
  readonly moved: number
  readonly kept: number
  readonly problem: string | null
}

/** Starts a re-drive, shows how far it is, and ends with it. */
export async function redrive(queue: string, flags: RedriveFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const path = apiPath(['destinations', flags.vhost, queue, 'redrive'])
  const progress = (await client.request('POST', path, requestOf(flags))) as Progress
  await watch(client, progress, flags)
}

/** Goes on with a re-drive that was cancelled or failed. */
export async function resumeRedrive(id: string, flags: ResumeFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const progress = await client.request('POST', apiPath(['redrives', id, 'resume']))
  await watch(client, progress as Progress, flags)
}

export async function cancelRedrive(id: string, flags: ResumeFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  await client.request('DELETE', apiPath(['redrives', id]))
  if (flags.json !== true) process.stdout.write(`redrive ${cellText(id)} is cancelled\n`)
}

async function watch(client: AdminClient, started: Progress, flags: ResumeFlags): Promise<void> {
  let progress = started
  while (progress.state === 'running') {
    await new Promise<void>((resolve) => void systemClock.setTimer(POLL_MS, resolve))
    const found = await client.request('GET', apiPath(['redrives', String(progress.id)]))
    progress = found as Progress
    if (process.stderr.isTTY) process.stderr.write(`\r${barOf(progress)} ${told(progress)}`)
  }
  if (process.stderr.isTTY) process.stderr.write('\n')
  if (flags.json === true) printJson(progress)
  else process.stdout.write(`${told(progress)} of queue ${cellText(progress.queue)}\n`)
  if (progress.kept > 0 && progress.problem !== null) {
    process.stderr.write(`${progress.kept} kept, the last one because ${progress.problem}\n`)
  }
  if (progress.state === 'failed') {
    throw new CommandError(EXIT.FAILED, `the redrive failed: ${progress.problem ?? 'unknown'}`)
  }
}

/** `[########............]  40 %` of what waited when it began. */
export function barOf({ looked, waiting }: Pick<Progress, 'looked' | 'waiting'>): string {
  const part = waiting === 0 ? 1 : Math.min(1, looked / waiting)
  const full = Math.floor(part * BAR_CHARS)
  const percent = String(Math.floor(part * 100)).padStart(3)
  return `[${'#'.repeat(full)}${'.'.repeat(BAR_CHARS - full)}] ${percent} %`
}

function told({ looked, waiting, moved, dryRun }: Progress): string {
  const verb = dryRun ? 'would be moved' : 'moved'
  return `${moved} ${verb}, ${looked} of ${waiting} looked at`
}

function requestOf(flags: RedriveFlags): object {
  const { to, exchange, key, reason, diedIn, withKey } = flags
  if (to !== undefined && (exchange !== undefined || key !== undefined)) {
    throw new CommandError(
      EXIT.USAGE,
      '--to names a queue, so it goes without --exchange and --key',
    )
  }
  const target = to !== undefined ? { routingKey: to } : { ...given({ exchange, routingKey: key }) }
  const filter = given({
    reason,
    diedIn,
    error: flags.error,
    id: flags.id,
    routingKey: withKey,
    ageMsMin: secondsOf(flags.olderThan, '--older-than'),
    ageMsMax: secondsOf(flags.newerThan, '--newer-than'),
    headers: flags.header === undefined ? undefined : pairsOf(flags.header),
  })
  return given({
    to: Object.keys(target).length === 0 ? undefined : target,
    filter,
    dryRun: flags.dryRun,
    rate: numberOf(flags.rate, '--rate'),
    countMax: numberOf(flags.limit, '--limit'),
    setHeaders: flags.setHeader === undefined ? undefined : pairsOf(flags.setHeader),
    removeHeaders: flags.removeHeader,
    bodyBase64: bodyOf(flags.setBodyFile),
  })
}

function bodyOf(file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  try {
    return readLocalFile(file).toString('base64')
  } catch (cause) {
    const message = `--set-body-file ${file} cannot be read: ${(cause as Error).message}`
    throw new CommandError(EXIT.USAGE, message, { cause })
  }
}

function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function secondsOf(text: string | undefined, flag: string): number | undefined {
  const seconds = numberOf(text, flag)
  return seconds === undefined ? undefined : seconds * 1000
}

function numberOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (text.trim() !== '' && number > 0) return number
  throw new CommandError(EXIT.USAGE, `${flag} is '${text}', expected a number above 0`)
}
