import type { Hono } from 'hono'
import { BrokerError } from '../../model/errors.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { errorBody, STATUSES } from '../errors.ts'
import { body } from '../validation.ts'
import { loginBody } from './schemas.ts'
import { ADMINISTRATOR, type ConsoleSession, type ConsoleSessions, isFromPage } from './sessions.ts'

/** Logging in and out on the page: what everybody may ask, since it is how one becomes somebody. */
export function addLogins(
  app: Hono<AdminContext>,
  parts: AdminParts,
  sessions: ConsoleSessions,
): void {
  app.post('/v1/session', async (context) => {
    // A page of another site cannot send this type without asking first, and gets no leave.
    const type = context.req.header('content-type') ?? ''
    if (!type.startsWith('application/json')) {
      return context.json(errorBody('INVALID', 'the body must be application/json'), 400)
    }
    const { username, password } = await body(context, loginBody)
    const { peer } = context.env
    try {
      const credentials = { mechanism: 'PLAIN', username, password }
      const user = await parts.authenticator.login(credentials, peer)
      if (!user.tags.includes(ADMINISTRATOR)) {
        parts.log.warn({ user: username, peer: peer.address }, 'console login refused, no such tag')
        const message = `user '${user.name}' is not tagged ${ADMINISTRATOR}`
        return context.json(errorBody('ACCESS_REFUSED', message), STATUSES.ACCESS_REFUSED)
      }
      const opened = sessions.open(user, isSecure(context.req.raw))
      context.header('set-cookie', opened.cookie)
      parts.log.info({ user: user.name, peer: peer.address }, 'logged in on the console')
      return context.json(view(opened.session), 201)
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'ACCESS_REFUSED') throw error
      const reason = error.cause instanceof Error ? error.cause.message : error.message
      parts.log.warn({ user: username, peer: peer.address, reason }, 'console login refused')
      const message = 'the user name or the password is wrong'
      return context.json(errorBody('UNAUTHENTICATED', message), STATUSES.UNAUTHENTICATED)
    }
  })
  // A question, not a refusal: the page asks it before anybody could have logged in.
  app.get('/v1/session', (context) => {
    const session = sessions.find(context.req.raw)
    return context.json(session === null ? { user: null } : view(session))
  })
  app.delete('/v1/session', (context) => {
    const session = sessions.find(context.req.raw)
    if (session !== null && !isFromPage(context.req.raw, session)) {
      const message = 'the request does not come from the console'
      return context.json(errorBody('ACCESS_REFUSED', message), STATUSES.ACCESS_REFUSED)
    }
    context.header('set-cookie', sessions.close(context.req.raw, isSecure(context.req.raw)))
    if (session !== null) parts.log.info({ user: session.user }, 'logged out of the console')
    return context.body(null, 204)
  })
}

function view({ user, csrf, endsAtMs }: ConsoleSession): object {
  return { user, csrf, endsAtMs }
}

function isSecure(request: Request): boolean {
  return new URL(request.url).protocol === 'https:'
}
