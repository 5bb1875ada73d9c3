import { timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import { type Credentials, principalOf } from '../auth/index.ts'
import { BrokerError } from '../model/errors.ts'
import type { AdminEnvironment, AdminParts } from './admin-parts.ts'
import { recordRefusal } from './audit.ts'
import { ADMINISTRATOR, type ConsoleSessions, isFromPage, isOfBrowser } from './console/sessions.ts'
import { errorBody, STATUSES, type AdminErrorCode } from './errors.ts'

/** What a request carries through the API once it is known who asks. */
export interface AdminContext {
  Bindings: AdminEnvironment
  Variables: {
    user: string
    /** Whom to ask permissions for; null: the token of the data directory, which may do everything. */
    principal: string | null
  }
}

const CHALLENGE = 'Basic realm="waystation", charset="UTF-8"'
/** Methods that change nothing. */
const READING: readonly string[] = ['GET', 'HEAD']

/**
 * Lets in who shows the token of the data directory, a user with one of `tags` by HTTP Basic (by
 * default `administrator`), or one who logged in on the console; nobody else gets further, whatever they ask for.
 */
export function authentication(
  parts: AdminParts,
  sessions: ConsoleSessions,
  tags: readonly string[] = [ADMINISTRATOR],
): MiddlewareHandler<AdminContext> {
  return async (context, next) => {
    const request = context.req.raw
    const refuse = (code: AdminErrorCode, message: string): Response => {
      // A browser would ask for a password in a window of its own, over the console's.
      if (code === 'UNAUTHENTICATED' && !isOfBrowser(request)) {
        context.header('www-authenticate', CHALLENGE)
      }
      return context.json(errorBody(code, message), STATUSES[code])
    }
    if (isForeignOrigin(request)) {
      return refuse('ACCESS_REFUSED', 'pages of other sites may not use this API')
    }
    const { peer } = context.env
    const [scheme = '', value = ''] = (context.req.header('authorization') ?? '').split(' ', 2)
    if (scheme.toLowerCase() === 'bearer' && parts.token !== null && isEqual(value, parts.token)) {
      context.set('user', 'local administrator')
      context.set('principal', null)
      await next()
      return undefined
    }
    const session = scheme === '' ? sessions.find(request) : null
    if (session !== null) {
      if (!READING.includes(request.method) && !isFromPage(request, session)) {
        return refuse('ACCESS_REFUSED', 'the request does not come from the console')
      }
      context.set('user', session.user)
      context.set('principal', session.principal)
      await next()
      return undefined
    }
    const login = loginOf(scheme.toLowerCase(), value)
    if (login === null) return refuse('UNAUTHENTICATED', 'log in with a user name and a password')
    try {
      const user = await parts.authenticator.login(login, peer)
      if (!user.tags.some((tag) => tags.includes(tag))) {
        const { method, path } = context.req
        recordRefusal(parts, user.name, { method, path, peer: peer.address })
        const text = `user '${user.name}' is not tagged ${tags.join(' or ')}`
        return refuse('ACCESS_REFUSED', text)
      }
      context.set('user', user.name)
      context.set('principal', principalOf(user))
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'ACCESS_REFUSED') throw error
      const reason = error.cause instanceof Error ? error.cause.message : error.message
      parts.log.warn({ user: login.username, peer: peer.address, reason }, 'HTTP login refused')
      return refuse('UNAUTHENTICATED', 'the user name or the password is wrong')
    }
    await next()
    return undefined
  }
}

/** A browser sends stored credentials along with what any page asks for, and says which page. */
export function isForeignOrigin(request: Request): boolean {
  const origin = request.headers.get('origin')
  if (origin === null) return false
  return !URL.canParse(origin) || new URL(origin).host !== request.headers.get('host')
}

/** By HTTP Basic, or with a token of an identity provider. */
export function loginOf(scheme: string, value: string): Credentials | null {
  if (scheme === 'bearer') return { mechanism: 'Bearer', username: '', token: value }
  const login = scheme === 'basic' ? decodeBasic(value) : null
  return login === null ? null : { mechanism: 'PLAIN', ...login }
}

function decodeBasic(value: string): { username: string; password: string } | null {
  const text = Buffer.from(value, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1) return null
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

function isEqual(given: string, expected: string): boolean {
  const left = Buffer.from(given)
  const right = Buffer.from(expected)
  return left.length === right.length && timingSafeEqual(left, right)
}
