import type { AuditEvent } from '../../model/audit.ts'
import type { Channel } from './channel.ts'

/** Tells the audit log what a client has changed. */
export function auditChange(channel: Channel, action: string, object: string): void {
  channel.connection.users.audit.record(changeOf(channel, action, object))
}

/** Tells it of one of many changes, of which those alike are counted. */
export function auditOneOfMany(channel: Channel, action: string, object: string): void {
  const event = changeOf(channel, action, object)
  channel.connection.users.audit.record({ ...event, isOneOfMany: true })
}

function changeOf({ connection, vhost }: Channel, action: string, object: string): AuditEvent {
  return {
    event: 'changed',
    user: connection.user.name,
    protocol: 'AMQP 0-9-1',
    peer: connection.name,
    vhost: vhost.name,
    action,
    object,
  }
}
