/**
 * After a test run nothing that a broker has written may hold a secret used in it.
 *
 * The runner names a folder in `WAYSTATION_TEST_OUTPUT`. Tests put there what brokers and commands
 * wrote, and note the secrets that they made up; `scanForSecrets` looks for the ones in the others.
 */
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const FOLDER_VARIABLE = 'WAYSTATION_TEST_OUTPUT'
const SECRETS = 'secrets'
const OUTPUT = '.output'

/** A shorter one is a word that a log may have for another reason. */
const SECRET_LENGTH_MIN = 10

/** Of one process; a broker under fuzz writes without end. */
const OUTPUT_BYTES_MAX: number = 8 * 1024 * 1024

const written = new Map<string, number>()

export interface ScanResult {
  readonly fileCount: number
  readonly byteCount: number
  readonly secretCount: number
  /** One for each file and secret, without the secret. */
  readonly faults: readonly string[]
}

/** Remembers a secret, and returns it. Does nothing outside a run. */
export function noteSecret(secret: string): string {
  const folder = process.env[FOLDER_VARIABLE]
  if (folder !== undefined && secret.length >= SECRET_LENGTH_MIN && !secret.includes('\n')) {
    appendFileSync(path.join(folder, SECRETS), `${secret}\n`)
  }
  return secret
}

/** Keeps what a broker or a command has written. Does nothing outside a run. */
export function keepOutput(name: string, text: string): void {
  const folder = process.env[FOLDER_VARIABLE]
  if (folder === undefined) return
  const file = `${process.pid}-${name.replaceAll(/[^\w.-]+/g, '_')}${OUTPUT}`
  const size = (written.get(file) ?? 0) + text.length
  if (size > OUTPUT_BYTES_MAX) return
  written.set(file, size)
  appendFileSync(path.join(folder, file), text)
}

export function scanForSecrets(folder: string): ScanResult {
  const names = readdirSync(folder)
  const secrets = names.includes(SECRETS)
    ? [...new Set(readFileSync(path.join(folder, SECRETS), 'utf8').trimEnd().split('\n'))]
    : []
  const faults: string[] = []
  let byteCount = 0
  const outputs = names.filter((name) => name.endsWith(OUTPUT))
  for (const name of outputs) {
    const text = readFileSync(path.join(folder, name), 'utf8')
    byteCount += text.length
    for (const [index, secret] of secrets.entries()) {
      const at = text.indexOf(secret)
      if (at < 0) continue
      const line = text.slice(text.lastIndexOf('\n', at) + 1, text.indexOf('\n', at) >>> 0)
      const shown = line.replaceAll(secret, '<SECRET>').slice(0, 300)
      faults.push(`secret ${index + 1} of ${secrets.length} is in ${name}: ${shown}`)
    }
  }
  return { fileCount: outputs.length, byteCount, secretCount: secrets.length, faults }
}

/** For the runner: the environment of tests whose output is looked through. */
export function outputEnvironment(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, [FOLDER_VARIABLE]: folder }
}
