import { Cell } from './cell.ts'

/** Who is logged in on this page. The password is kept nowhere, the cookie no script can read. */
export interface Session {
  readonly user: string
  readonly csrf: string
}

/** Undefined: not known yet. Null: nobody. */
export const session = new Cell<Session | null | undefined>(undefined)

const CSRF_HEADER = 'x-waystation-csrf'

/** The broker's refusal, in its own words. */
class ApiError extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export async function findSession(): Promise<void> {
  const found = await ask<Session | { readonly user: null }>('GET', 'v1/session')
  session.set(found.user === null ? null : (found as Session))
}

export async function logIn(username: string, password: string): Promise<void> {
  session.set(await ask<Session>('POST', 'v1/session', { username, password }))
}

export async function logOut(): Promise<void> {
  try {
    await ask('DELETE', 'v1/session')
  } finally {
    session.set(null)
  }
}

export async function get<T>(path: string, query: Query = {}): Promise<T> {
  return ask<T>('GET', path + queryText(query))
}

export async function change<T>(
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<T> {
  return ask<T>(method, path, body)
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

export function queryText(query: Query): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
  if (pairs.length === 0) return ''
  return `?${new URLSearchParams(pairs.map(([key, value]) => [key, String(value)])).toString()}`
}

/** Puts names into a path; `/` in a name is percent-encoded. */
export function pathOf(...parts: readonly (string | number)[]): string {
  return parts.map((part) => encodeURIComponent(part)).join('/')
}

interface LineOptions<T> {
  /** Ends the wait, and what is waited for. */
  readonly signal: AbortSignal
  readonly onLines: (lines: readonly T[]) => void
}

/** A change whose answer is lines of JSON, told as they come; resolves at the end. */
export async function changeByLines<T>(
  method: 'POST',
  path: string,
  body: unknown,
  { signal, onLines }: LineOptions<T>,
): Promise<void> {
  const response = await send(method, path, body, signal)
  if (!response.ok) throw refusalOf(response.status, await response.text())
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value = '', done = true } = (await reader?.read()) ?? {}
    const lines = (rest + value).split('\n')
    rest = lines.pop() ?? ''
    if (lines.length > 0) onLines(lines.map((line) => JSON.parse(line) as T))
    if (done) return
  }
}

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body)
  const text = await response.text()
  if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T
  throw refusalOf(response.status, text)
}

async function send(
  method: string,
  path: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(path, {
    method,
    credentials: 'same-origin',
    headers: {
      [CSRF_HEADER]: session.value?.csrf ?? 'none',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  })
}

function refusalOf(status: number, text: string): ApiError {
  // The session ended: back to the login, wherever the page is.
  if (status === 401 && session.value) session.set(null)
  return errorOf(status, text)
}

function errorOf(status: number, text: string): ApiError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } }
    return new ApiError(status, error.code, error.message)
  } catch {
    // A proxy in between speaks no JSON.
    return new ApiError(status, 'FAILED', `HTTP ${status}`)
  }
}
