import type { Server } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { hasPeerCertificate } from './peer-info.ts'
import type { NetLog } from './transport.ts'

/**
 * Ends what a TLS server must not serve, and logs it. Returns nothing: whoever serves looks at
 * `socket.destroyed`, since its own listener is called behind this one.
 */
export function refuseForeignCertificates(
  server: Server,
  { listener, log }: { readonly listener: string; readonly log: NetLog },
): void {
  server.on('secureConnection', (socket: TLSSocket) => {
    // Asked for but not demanded: none is fine, one that nobody we trust signed is not.
    if (socket.authorized || !hasPeerCertificate(socket)) return
    const fields = { listener, peer: socket.remoteAddress }
    log.warn(fields, `client certificate refused: ${String(socket.authorizationError)}`)
    socket.destroy()
  })
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    const fields = { listener, peer: socket.remoteAddress, reason: error.message }
    log.info(fields, 'TLS handshake failed')
  })
}
