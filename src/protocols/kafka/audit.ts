import type { RequestContext } from './request-context.ts'

/** Tells the audit log what a client has changed. */
export function auditChange(context: RequestContext, action: string, object: string): void {
  const { shared, user, vhost, connection } = context
  shared.users.audit.record({
    event: 'changed',
    user,
    protocol: 'Kafka',
    peer: connection.actor.connection,
    vhost: vhost.name,
    action,
    object,
  })
}

/** The same of what it may not do. */
export function auditRefusal(context: RequestContext, action: string, object: string): void {
  const { shared, user, vhost, connection } = context
  shared.users.audit.record({
    event: 'refused',
    user,
    protocol: 'Kafka',
    peer: connection.actor.connection,
    vhost: vhost.name,
    action,
    object,
  })
}
