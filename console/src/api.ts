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

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(path, {
    method,
    credentials: 'same-origin',
    headers: {
      [CSRF_HEADER]: session.value?.csrf ?? 'none',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T
  // The session ended: back to the login, wherever the page is.
  if (response.status === 401 && session.value) session.set(null)
  throw errorOf(response.status, text)
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
