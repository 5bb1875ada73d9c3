/**
 * Runs a driver written in another language as a child process and makes a test of each check.
 *
 * A driver gets the broker's URL as its last argument and prints one line of JSON a check:
 * `{"check":"ack","ok":true}` or `{"check":"ack","ok":false,"error":"..."}`.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'

import { closeKafka, openKafka } from '../support/kafka-target.ts'
import { closeManaged, openManaged } from '../support/management-client.ts'
import { closeTarget, openTarget } from '../support/target.ts'
import { CHECKS } from './checks.ts'

const DRIVER_WITHIN_MS = 240_000
const OUTPUT_CHARS_SHOWN = 4_000

export interface DriverCommand {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** A command to run, or the reason why this client cannot run here. */
export type Driver = DriverCommand | { readonly absent: string }

interface Result {
  readonly check: string
  readonly ok: boolean
  readonly error?: string
}

/** What one client is asked to do, and by which protocol. */
interface Asked {
  readonly protocol: 'amqp' | 'mqtt' | 'kafka' | 'management'
  readonly checks: readonly string[]
}

/** Registers the tests of one client. */
export function driverTests(
  client: string,
  find: () => Driver,
  { protocol, checks }: Asked = { protocol: 'amqp', checks: CHECKS },
): void {
  after(closeTarget)
  after(closeKafka)
  after(closeManaged)
  test(client, { timeout: DRIVER_WITHIN_MS + 30_000 }, async (context) => {
    const driver = find()
    if ('absent' in driver) {
      context.skip(`${client} is absent: ${driver.absent} (test/interop/setup.sh fetches it)`)
      return
    }
    const url = await urlFor(protocol)
    if (url === null) {
      context.skip('the broker that the environment names is asked for AMQP only')
      return
    }
    const outcome = await run(driver, url)
    const results = parse(outcome.stdout)
    const seen = new Set(results.map(({ check }) => check))
    for (const { check, ok, error } of results) {
      await context.test(check, () => {
        assert.ok(ok, error ?? 'the driver gave no reason')
      })
    }
    const missing = checks.filter((check) => !seen.has(check))
    const about = `${outcome.end}\n${outcome.stderr.slice(-OUTPUT_CHARS_SHOWN)}`
    assert.deepEqual(missing, [], `checks that the driver did not run; ${about}`)
    assert.equal(outcome.end, 'exit code 0', about)
  })
}

/** null when the environment names a broker that cannot be asked for MQTT. */
async function urlFor(protocol: Asked['protocol']): Promise<string | null> {
  if (protocol === 'kafka') return (await openKafka()).url
  if (protocol === 'management') return (await openManaged()).url
  const { url, process: broker } = await openTarget()
  if (protocol === 'amqp') return url
  return broker === null ? null : `mqtt://127.0.0.1:${broker.mqttPort}`
}

interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly end: string
}

/** Runs a command to its end; the URL of the broker comes behind its arguments. */
async function run(driver: DriverCommand, url: string): Promise<Outcome> {
  const child = spawn(driver.command, [...driver.args, url], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: DRIVER_WITHIN_MS,
    env: { ...process.env, ...driver.env },
    ...(driver.cwd === undefined ? {} : { cwd: driver.cwd }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const end = await new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      resolve(signal === null ? `exit code ${code}` : `signal ${signal}`)
    })
  })
  return { stdout, stderr, end }
}

function parse(stdout: string): Result[] {
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Result)
}

/** Where test/interop/setup.sh puts what it fetches. */
export function cacheFolder(part: string): string {
  const caches = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache')
  const root = process.env['WAYSTATION_INTEROP_CACHE'] ?? path.join(caches, 'waystation/interop')
  return path.join(root, part)
}

/** The first program of that name on the path, or null. */
export function onPath(program: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter)
  return (
    folders.map((folder) => path.join(folder, program)).find((file) => existsSync(file)) ?? null
  )
}
