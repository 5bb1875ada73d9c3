import type { Channel } from './channel.ts'

/** Tells the audit log what a client has changed. */
export function auditChange({ connection, vhost }: Channel, action: string, object: string): void {
  connection.users.audit.record({
    event: 'changed',
    user: connection.user.name,
    protocol: 'AMQP 0-9-1',
    peer: connection.name,
    vhost: vhost.name,
    action,
    object,
  })
}
