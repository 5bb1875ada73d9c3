import type { Socket } from 'node:net'
import { type PeerCertificate, TLSSocket } from 'node:tls'
import type { PeerInfo, PeerTls } from './transport.ts'

export function peerInfoOf(socket: Socket, listener: string): PeerInfo {
  return {
    remoteAddress: plainAddress(socket.remoteAddress),
    remotePort: socket.remotePort ?? 0,
    localAddress: plainAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
    listener,
    tls: socket instanceof TLSSocket ? peerTlsOf(socket) : null,
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
    certificateName: tls !== null && tls.peerVerified ? tls.commonName : null,
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

function peerTlsOf(socket: TLSSocket): PeerTls {
  const certificate = certificateOf(socket)
  return {
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().name,
    peerVerified: certificate !== null && socket.authorized,
    subject: certificate === null ? null : nameText(certificate.subject),
    commonName: certificate === null ? null : firstOf(certificate.subject.CN),
    issuer: certificate === null ? null : nameText(certificate.issuer),
  }
}

type NameParts = PeerCertificate['subject']

/** A distinguished name in the order of RFC 4514: the most specific part first. */
function nameText(name: NameParts): string {
  const parts: string[] = []
  for (const [key, value] of Object.entries(name as unknown as Record<string, unknown>)) {
    const values: unknown[] = Array.isArray(value) ? value : [value]
    for (const one of values) parts.push(`${key}=${escapeNamePart(String(one))}`)
  }
  return parts.toReversed().join(',')
}

function escapeNamePart(text: string): string {
  return text.replace(/([,+"\\<>;=])/g, '\\$1')
}

function firstOf(value: unknown): string | null {
  if (Array.isArray(value)) return value.length > 0 ? String(value[0]) : null
  return typeof value === 'string' ? value : null
}

/** `::ffff:127.0.0.1` is how a dual-stack socket shows an IPv4 peer. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
