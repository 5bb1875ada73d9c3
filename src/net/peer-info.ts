import type { Socket } from 'node:net'
import { type PeerCertificate, TLSSocket } from 'node:tls'
import {
  certificateNameOf,
  type CertificateNaming,
  distinguishedName,
  firstOf,
} from './certificate-name.ts'
import type { PeerInfo, PeerTls } from './transport.ts'

export function peerInfoOf(
  socket: Socket,
  listener: string,
  naming: CertificateNaming = {},
): PeerInfo {
  return {
    remoteAddress: plainAddress(socket.remoteAddress),
    remotePort: socket.remotePort ?? 0,
    localAddress: plainAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
    listener,
    tls: socket instanceof TLSSocket ? peerTlsOf(socket, naming) : null,
  }
}

/** What a login needs to know of the peer. */
export function loginPeerOf(peer: PeerInfo): {
  readonly address: string
  readonly loopback: boolean
  readonly certificateName: string | null
} {
  const { remoteAddress, tls } = peer
  return {
    address: remoteAddress,
    loopback: isLoopbackHost(remoteAddress),
    // A name that nobody we trust signed for proves nothing.
    certificateName: tls !== null && tls.peerVerified ? tls.userName : null,
  }
}

/** An address, or a name as it stands in a URL. */
export function isLoopbackHost(host: string): boolean {
  const plain = plainAddress(host.replace(/^\[(.*)\]$/, '$1'))
  return plain === 'localhost' || plain === '::1' || /^127(\.\d+){3}$/.test(plain)
}

/** Whether the peer showed a certificate at all, signed by whomever. */
export function hasPeerCertificate(socket: TLSSocket): boolean {
  return certificateOf(socket) !== null
}

function certificateOf(socket: TLSSocket): PeerCertificate | null {
  // Node answers with an empty object where there is no certificate.
  const certificate = socket.getPeerCertificate() as PeerCertificate | Record<string, never> | null
  return certificate !== null && 'subject' in certificate ? (certificate as PeerCertificate) : null
}

function peerTlsOf(socket: TLSSocket, naming: CertificateNaming): PeerTls {
  const certificate = certificateOf(socket)
  return {
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().name,
    peerVerified: certificate !== null && socket.authorized,
    subject: certificate === null ? null : distinguishedName(certificate.subject),
    commonName: certificate === null ? null : firstOf(certificate.subject.CN),
    userName: certificate === null ? null : certificateNameOf(certificate, naming),
    issuer: certificate === null ? null : distinguishedName(certificate.issuer),
  }
}

/** `::ffff:127.0.0.1` is how a dual-stack socket shows an IPv4 peer. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
