import type { Hono } from 'hono'
import type { AdminParts } from './admin-parts.ts'
import type { AdminContext } from './authentication.ts'

/**
 * For orchestrators, without a login: `live` as long as the process answers at all; `ready` while it
 * takes messages, else 503 with the reason. Neither looks at anything that grows.
 */
export function addHealth(app: Hono<AdminContext>, { status, broker }: AdminParts): void {
  app.get('/health/live', (context) => context.json({ status: 'ok' }))
  app.get('/health/ready', (context) => {
    const reason = reasonAgainst(status().store.state, broker.pressure.alarm)
    if (reason === null) return context.json({ status: 'ok' })
    return context.json({ status: 'failed', reason }, 503)
  })
}

function reasonAgainst(store: string, alarm: string | null): string | null {
  if (alarm !== null) return alarm
  return store === 'ready' ? null : `the store is ${store}`
}
