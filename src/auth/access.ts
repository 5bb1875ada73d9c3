/** The refusals of permission checks, in RabbitMQ's words. */
import { BrokerError } from '../model/errors.ts'
import type { PermissionKind, TopicQuestion } from './permission-table.ts'
import { nameOfPrincipal } from './token-users.ts'
import type { UserStore } from './user-store.ts'

/** The default exchange has no name; permissions call it so. */
const DEFAULT_EXCHANGE_NAME = 'amq.default'

export interface AccessQuestion {
  /** Or the principal of a token. */
  readonly user: string
  readonly vhost: string
  readonly resource: 'exchange' | 'queue'
  readonly name: string
  readonly kind: PermissionKind
}

/** Throws `ACCESS_REFUSED`. */
export function requirePermission(users: UserStore, question: AccessQuestion): void {
  const { user, vhost, resource, kind } = question
  const name =
    resource === 'exchange' && question.name === '' ? DEFAULT_EXCHANGE_NAME : question.name
  if (users.allowed(user, vhost, name, kind)) return
  const what = `${resource} '${name}'`
  throw refused(users, { user, vhost, action: kind, object: what }, `${kind} access to ${what} in`)
}

/** Throws `ACCESS_REFUSED`. Asked beside `requirePermission` when topic exchanges are used. */
export function requireTopicPermission(users: UserStore, question: TopicQuestion): void {
  if (users.topicAllowed(question)) return
  const { user, vhost, exchange, routingKey, kind } = question
  const what = `topic '${routingKey}' in exchange '${exchange}'`
  throw refused(users, { user, vhost, action: kind, object: what }, `${kind} access to ${what} in`)
}

/** Throws `NOT_ALLOWED`. */
export function requireVhost(users: UserStore, user: string, vhost: string): void {
  if (users.mayEnter(user, vhost)) return
  const { message } = refused(users, { user, vhost, action: 'enter' }, 'access to')
  throw new BrokerError('NOT_ALLOWED', message)
}

function refused(
  users: UserStore,
  about: {
    readonly user: string
    readonly vhost: string
    readonly action: string
    readonly object?: string
  },
  beginning: string,
): BrokerError {
  const user = nameOfPrincipal(about.user)
  users.audit.record({ event: 'refused', ...about, user })
  const text = `${beginning} vhost '${about.vhost}' refused for user '${user}'`
  return new BrokerError('ACCESS_REFUSED', text)
}
