import type { Hono } from 'hono'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { query } from '../validation.ts'
import { LOG_LINES_MAX } from './limits.ts'
import { logQuery } from './schemas.ts'

/** What the broker said of late; whoever asks again says what is known already. */
export function addLogTail(app: Hono<AdminContext>, { logTail }: AdminParts): void {
  app.get('/v1/log', (context) => {
    const { after = 0 } = query(context, logQuery)
    return context.json(logTail?.after(after, LOG_LINES_MAX) ?? [])
  })
}
