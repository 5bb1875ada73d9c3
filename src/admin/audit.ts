import type { AdminParts } from './admin-parts.ts'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly peer: string
  /** What it was done to, where the path does not say so. */
  readonly object?: string
}

/** Tells log and audit log what somebody has changed. */
export function recordChange(
  { log, users }: AdminParts,
  user: string,
  { method, path, peer, object }: Asked,
): void {
  log.info({ user, method, path }, 'changed over HTTP')
  const action = `${method} ${path}`
  const about = object === undefined ? {} : { object }
  users.audit.record({ event: 'changed', user, protocol: 'HTTP', peer, action, ...about })
}

/** The same of what somebody may not do who is known. */
export function recordRefusal(
  { users }: AdminParts,
  user: string,
  { method, path, peer }: Asked,
): void {
  const action = `${method} ${path}`
  users.audit.record({ event: 'refused', user, protocol: 'HTTP', peer, action })
}
