import { timingSafeEqual } from 'node:crypto'
import type { Context, MiddlewareHandler } from 'hono'
import type { Credentials, PermissionKind } from '../../auth/index.ts'
import { principalOf, requirePermission } from '../../auth/index.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { BrokerError } from '../../model/errors.ts'
import type { AdminEnvironment, AdminParts } from '../admin-parts.ts'
import { isForeignOrigin, loginOf } from '../authentication.ts'
import { notAuthorised, notFound, Refusal } from './refusal.ts'

/** Who asks. */
export interface Operator {
  readonly name: string
  /** Whom to ask permissions for. */
  readonly principal: string
  readonly tags: readonly string[]
  /** By the token of the data directory: may do everything, and is no user. */
  readonly isLocal: boolean
}

export interface RabbitContext {
  Bindings: AdminEnvironment
  Variables: { operator: Operator }
}

export type Asked = Context<RabbitContext>

const CHALLENGE = 'Basic realm="RabbitMQ Management"'
const MANAGERS: readonly string[] = ['administrator', 'monitoring', 'policymaker', 'management']

const IMPLIED: Readonly<Record<string, readonly string[]>> = {
  administrator: ['administrator'],
  monitoring: ['administrator', 'monitoring'],
  policymaker: ['administrator', 'policymaker'],
}

/** Lets in who may use RabbitMQ's management, with its answers for all others. */
export function rabbitLogin(parts: AdminParts): MiddlewareHandler<RabbitContext> {
  return async (context, next) => {
    if (isForeignOrigin(context.req.raw)) {
      throw notAuthorised('pages of other sites may not use this API')
    }
    const [scheme = '', value = ''] = (context.req.header('authorization') ?? '').split(' ', 2)
    if (scheme.toLowerCase() === 'bearer' && isToken(value, parts.token)) {
      const operator = {
        ...{ name: 'local administrator', principal: '' },
        ...{ tags: ['administrator'], isLocal: true },
      }
      context.set('operator', operator)
      await next()
      return undefined
    }
    const login = loginOf(scheme.toLowerCase(), value)
    if (login === null) {
      context.header('www-authenticate', CHALLENGE)
      return context.body(null, 401)
    }
    context.set('operator', await operatorOf(parts, login, context.env.peer))
    await next()
    return undefined
  }
}

async function operatorOf(
  parts: AdminParts,
  login: Credentials,
  peer: AdminEnvironment['peer'],
): Promise<Operator> {
  let user
  try {
    user = await parts.authenticator.login(login, peer)
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'ACCESS_REFUSED') throw error
    const reason = error.cause instanceof Error ? error.cause.message : error.message
    parts.log.warn({ user: login.username, peer: peer.address, reason }, 'HTTP login refused')
    throw new Refusal(401, 'not_authorized', 'Not_Authorized')
  }
  const { name, tags } = user
  if (!tags.some((tag) => MANAGERS.includes(tag))) throw notAuthorised('Not management user')
  return { name, principal: principalOf(user), tags, isLocal: false }
}

export function hasTag(
  { tags }: Operator,
  tag: 'administrator' | 'monitoring' | 'policymaker',
): boolean {
  return tags.some((own) => IMPLIED[tag]!.includes(own))
}

const TAG_REFUSALS = {
  administrator: 'Not administrator user',
  monitoring: 'Not monitor user',
  policymaker: 'User not authorised',
} as const

/** Throws 401. */
export function requireTag(asked: Asked, tag: keyof typeof TAG_REFUSALS): void {
  if (!hasTag(asked.get('operator'), tag)) throw notAuthorised(TAG_REFUSALS[tag])
}

/** Those that somebody may look into. */
export function visibleVhosts({ broker, users }: AdminParts, operator: Operator): VirtualHost[] {
  const all = [...broker.vhosts()]
  if (operator.isLocal || hasTag(operator, 'monitoring')) return all
  return all.filter(({ name }) => users.mayEnter(operator.principal, name))
}

/** The virtual host of the path, to look into (`isChange` false) or to change something in it. */
export function vhostOf(parts: AdminParts, asked: Asked, isChange: boolean): VirtualHost {
  const operator = asked.get('operator')
  const vhost = parts.broker.vhost(asked.req.param('vhost') ?? '')
  if (vhost === undefined) throw notFound()
  const isFree = operator.isLocal || (!isChange && hasTag(operator, 'monitoring'))
  if (!isFree && !parts.users.mayEnter(operator.principal, vhost.name)) {
    throw notAuthorised('User not authorised to access virtual host')
  }
  return vhost
}

/** Throws `ACCESS_REFUSED`: over HTTP nobody may do what he may not do as a client. */
export function requireFor(
  parts: AdminParts,
  asked: Asked,
  question: {
    readonly vhost: VirtualHost
    readonly resource: 'exchange' | 'queue'
    readonly name: string
    readonly kind: PermissionKind
  },
): void {
  const operator = asked.get('operator')
  if (operator.isLocal) return
  const { vhost, ...rest } = question
  requirePermission(parts.users, { user: operator.principal, vhost: vhost.name, ...rest })
}

function isToken(given: string, token: string | null): boolean {
  if (token === null) return false
  const left = Buffer.from(given)
  const right = Buffer.from(token)
  return left.length === right.length && timingSafeEqual(left, right)
}
