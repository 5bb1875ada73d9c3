import { startBroker } from '../../src/server/index.ts'
import type { RunningBroker } from '../../src/server/index.ts'

/** What one request was answered with. */
export interface Answer {
  readonly status: number
  readonly json: unknown
  readonly text: string
  readonly headers: Headers
}

/** RabbitMQ's management API of a broker, as a user. */
export class ManagementClient {
  readonly #base: string
  readonly #authorization: string

  constructor(port: number, user = 'guest', password = 'guest') {
    this.#base = `http://127.0.0.1:${port}/api`
    this.#authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  }

  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(this.#base + path, {
      method,
      headers: { authorization: this.#authorization, 'content-type': 'application/json' },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') === true
    return {
      status: response.status,
      json: isJson ? (JSON.parse(text) as unknown) : null,
      text,
      headers: response.headers,
    }
  }

  async get(path: string): Promise<unknown> {
    const { status, json, text } = await this.ask('GET', path)
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${text}`)
    return json
  }
}

/** A broker with AMQP and HTTP on free ports. */
export async function startManaged(data = 'memory'): Promise<RunningBroker> {
  return startBroker({ data, listen: { amqp: 0, http: 0 } })
}

let opened: Promise<RunningBroker> | null = null

/** The one managed broker of this process, started at the first call. */
export async function openManaged(): Promise<{ readonly url: string }> {
  opened ??= startManaged()
  return { url: (await opened).url('http') }
}

export async function closeManaged(): Promise<void> {
  const broker = await opened
  opened = null
  await broker?.close()
}
