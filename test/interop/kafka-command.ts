/** Runs a command line tool against a Kafka broker, and reads what it prints. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'

const WITHIN_MS = 60_000

export interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly code: number | null
}

/** Runs it to its end, with `input` on its standard input. */
export async function ended(
  command: readonly string[],
  input = '',
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { timeout: WITHIN_MS, env: { ...process.env, ...env } })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  // A tool may end before it has read everything.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { stdout, stderr, code }
}

/** What it prints, once it has ended with code 0. */
export async function output(command: readonly string[], input = ''): Promise<string> {
  const { stdout, stderr, code } = await ended(command, input)
  assert.equal(code, 0, `${command.join(' ')}: ${stderr}${stdout}`)
  return stdout
}
