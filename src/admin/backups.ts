import type { Hono } from 'hono'
import { BrokerError } from '../model/errors.ts'
import type { AdminParts, FrozenStoreView } from './admin-parts.ts'
import type { AdminContext } from './authentication.ts'
import { numberedParams } from './schemas.ts'
import { params } from './validation.ts'

/**
 * Holding the store still while somebody copies it: who asked reads the files himself, in the data
 * directory, so nothing a request says names a place to write to.
 */
export function addBackups(app: Hono<AdminContext>, { backups }: AdminParts): void {
  app.post('/v1/backups', async (context) => {
    const { id, folder, files } = await backups.freeze()
    return context.json({ id, folder, files } satisfies FrozenStoreView, 201)
  })
  app.put('/v1/backups/:id', (context) => {
    const { id } = params(context, numberedParams)
    if (!backups.renew(id)) throw goneError(id)
    return context.body(null, 204)
  })
  app.delete('/v1/backups/:id', async (context) => {
    const { id } = params(context, numberedParams)
    if (!(await backups.release(id))) throw goneError(id)
    return context.body(null, 204)
  })
}

function goneError(id: number): BrokerError {
  const text = `backup ${id} is not being made: it ended, or nothing was heard of it for too long`
  return new BrokerError('NOT_FOUND', text)
}
