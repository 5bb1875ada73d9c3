import type { VirtualHost } from '../../broker/index.ts'
import { SHARE_PREFIX } from './filter.ts'
import type { SessionState } from './subscriber.ts'

/** How many sessions are in each group, counted through once and kept from then on. */
const counts = new WeakMap<VirtualHost, Map<string, number>>()

/** A session is a member of one more group, and has it among its subscriptions. */
export function joinedGroup(vhost: VirtualHost, filter: string): void {
  const known = counts.get(vhost)
  known?.set(filter, (known.get(filter) ?? 0) + 1)
}

/** It is none any more, and has it there no longer; true: it was the last. */
export function leftGroup(vhost: VirtualHost, filter: string): boolean {
  const known = counts.get(vhost)
  if (known === undefined) {
    const counted = countMembers(vhost)
    counts.set(vhost, counted)
    return !counted.has(filter)
  }
  const left = (known.get(filter) ?? 1) - 1
  if (left > 0) known.set(filter, left)
  else known.delete(filter)
  return left <= 0
}

function countMembers(vhost: VirtualHost): Map<string, number> {
  const counted = new Map<string, number>()
  for (const { state } of vhost.sessions.list()) {
    for (const { filter } of (state as SessionState).subscriptions) {
      if (filter.startsWith(SHARE_PREFIX)) counted.set(filter, (counted.get(filter) ?? 0) + 1)
    }
  }
  return counted
}
