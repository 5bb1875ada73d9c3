import path from 'node:path'
import { systemClock } from '../lib/clock.ts'
import { defaultDataDirectory, readAdminEndpoint } from '../server/data-directory.ts'
import { MEMORY } from '../server/server-config.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { readPassword } from './password.ts'

/** How the broker to talk to is found; the same flags on every command that talks to one. */
export interface ConnectFlags {
  readonly data?: string
  readonly config?: string
  readonly url?: string
  readonly user?: string
}

interface Target {
  readonly url: string
  readonly authorization: string
}

const REQUEST_TIMEOUT_MS = 60_000

/** Asks a running broker over its HTTP API. */
export class AdminClient {
  readonly #target: Target

  constructor(target: Target) {
    this.#target = target
  }

  /**
   * Finds the broker: by its URL with a user, or by the data directory, whose token makes a
   * password needless. Throws `CommandError` with what to do when there is none.
   */
  static async connect(flags: ConnectFlags): Promise<AdminClient> {
    const url = flags.url ?? process.env['WAYSTATION_URL']
    const user = flags.user ?? process.env['WAYSTATION_USER']
    if (url !== undefined && url !== '') {
      return new AdminClient({ url: checkedUrl(url), authorization: await basic(user ?? 'guest') })
    }
    const directory = await dataDirectory(flags)
    const endpoint = directory === MEMORY ? null : readAdminEndpoint(directory)
    if (endpoint === null) throw notRunning(directory)
    const authorization = user === undefined ? `Bearer ${endpoint.token}` : await basic(user)
    return new AdminClient({ url: endpoint.url, authorization })
  }

  /** The text of a response that goes on until one side ends it, as it comes; POST with a body. */
  async *stream(path: string, body?: unknown): AsyncGenerator<string> {
    const { url, authorization } = this.#target
    let response: Response
    try {
      response = await fetch(new URL(path, url), {
        headers: { authorization, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
      })
    } catch (cause) {
      throw unreachable(url, cause)
    }
    if (!response.ok || response.body === null) throw refusal(url, response, await response.text())
    const decoder = new TextDecoder()
    for await (const chunk of response.body) yield decoder.decode(chunk, { stream: true })
  }

  /** The response's JSON, or null where it has none. `path` begins with `/v1` or `/api`. */
  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const { url, authorization } = this.#target
    const aborter = new AbortController()
    const timer = systemClock.setTimer(REQUEST_TIMEOUT_MS, () => aborter.abort())
    let response: Response
    let text: string
    try {
      response = await fetch(new URL(path, url), {
        method,
        headers: { authorization, 'content-type': 'application/json' },
        signal: aborter.signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      text = await response.text()
    } catch (cause) {
      const isLate = aborter.signal.aborted
      throw isLate ? tooLate(url, cause) : unreachable(url, cause)
    } finally {
      timer.cancel()
    }
    if (response.ok) return text === '' ? null : parseJson(text, url)
    throw refusal(url, response, text)
  }
}

function refusal(url: string, { status }: Response, text: string): CommandError {
  const code = status === 401 || status === 403 ? EXIT.REFUSED : EXIT.FAILED
  return new CommandError(code, messageOf(text) ?? `${url} answered ${status}`)
}

/** Makes a path of the API from names that may hold anything. */
export function apiPath(
  parts: readonly string[],
  query: Readonly<Record<string, string>> = {},
): string {
  const path = `/v1/${parts.map(encodeURIComponent).join('/')}`
  const search = new URLSearchParams(query).toString()
  return search === '' ? path : `${path}?${search}`
}

/** Where the broker was told to keep its data, by flag, environment or file. */
export async function dataDirectory(flags: ConnectFlags): Promise<string> {
  const given = flags.data ?? (process.env['WAYSTATION_DATA'] || undefined)
  if (given !== undefined) return given === MEMORY ? MEMORY : path.resolve(given)
  const file = flags.config ?? process.env['WAYSTATION_CONFIG']
  if (file === undefined) return defaultDataDirectory(process.env)
  // Loaded when wanted: reading files takes longer than asking the broker.
  const { loadConfig } = await import('../server/config.ts')
  const { input } = loadConfig({ file, environment: {}, flags: [] })
  return input.data ?? defaultDataDirectory(process.env)
}

async function basic(user: string): Promise<string> {
  const password =
    process.env['WAYSTATION_PASSWORD'] ?? (await readPassword(`password of ${user}: `))
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

function checkedUrl(url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url
  const example = 'http://127.0.0.1:15672'
  throw new CommandError(EXIT.USAGE, `--url ${url}: expected a URL such as ${example}`)
}

function notRunning(directory: string): CommandError {
  const where = directory === MEMORY ? 'a broker in memory leaves no address' : directory
  const lines =
    directory === MEMORY
      ? [where, 'name it: --url http://127.0.0.1:15672 --user guest']
      : [
          `no broker with an HTTP API runs on the data directory ${where}`,
          `start one:     waystation start --data ${directory}`,
          'or name one:   --data DIR, or --url http://127.0.0.1:15672 --user guest',
        ]
  return new CommandError(EXIT.UNAVAILABLE, lines.join('\n'))
}

function unreachable(url: string, cause: unknown): CommandError {
  const reason = cause instanceof Error ? (cause.cause ?? cause) : cause
  const code = (reason as NodeJS.ErrnoException).code
  const text = code === 'ECONNREFUSED' ? 'nothing listens there' : (reason as Error).message
  return new CommandError(EXIT.UNAVAILABLE, `the broker at ${url} cannot be reached: ${text}`, {
    cause,
  })
}

function tooLate(url: string, cause: unknown): CommandError {
  const message = `the broker at ${url} did not answer in ${REQUEST_TIMEOUT_MS / 1000} s`
  return new CommandError(EXIT.UNAVAILABLE, message, { cause })
}

function messageOf(text: string): string | null {
  try {
    const { error, reason } = JSON.parse(text) as {
      readonly error?: { readonly message?: unknown }
      /** Below /api, as RabbitMQ says it. */
      readonly reason?: unknown
    }
    if (typeof reason === 'string') return reason
    return typeof error?.message === 'string' ? error.message : null
  } catch {
    // Not our API: a proxy's page, or something else on that port. The status says enough.
    return null
  }
}

function parseJson(text: string, url: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const message = `${url} is not a Waystation's HTTP API: it did not answer with JSON`
    throw new CommandError(EXIT.UNAVAILABLE, message, { cause })
  }
}
