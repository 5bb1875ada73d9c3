import type { AdminParts } from './admin-parts.ts'
import { forgetVhostNotes } from '../broker/vhost-notes.ts'

/** Deletes a virtual host with all that stands in it, and sends its clients away. */
export async function removeVhost(parts: AdminParts, name: string): Promise<void> {
  for (const protocol of parts.protocols) {
    for (const connection of protocol.connections()) {
      if (connection.vhost !== name) continue
      protocol.closeConnection(connection.id, `vhost '${name}' was deleted`)
    }
  }
  await parts.broker.deleteVhost(name)
  await parts.users.removeVhost(name)
  forgetVhostNotes(parts.broker, name)
}
