/**
 * X.509 certificates made on the spot, so that no private key and no expiry date lies in the
 * repository. Just enough of RFC 5280 for TLS between two programs of ours.
 */
import { type KeyObject, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export interface TestAuthority {
  readonly certPem: string
  readonly key: KeyObject
  readonly name: string
}

export interface TestCertificate {
  readonly certPem: string
  readonly keyPem: string
}

const DAY_MS = 86_400_000

/** An authority that may sign the others. */
export function makeAuthority(name: string): TestAuthority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certPem = certify({
    subject: [['CN', name]],
    issuer: [['CN', name]],
    publicKey,
    signer: privateKey,
    authority: true,
    hosts: [],
  })
  return { certPem, key: privateKey, name }
}

/** For a server (with `hosts`) or a client, signed by the authority; a host may be an address. */
export function makeCertificate(
  authority: TestAuthority,
  subject: readonly (readonly [part: 'CN' | 'O' | 'OU', text: string])[],
  hosts: readonly string[] = [],
): TestCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certPem = certify({
    subject,
    issuer: [['CN', authority.name]],
    publicKey,
    signer: authority.key,
    authority: false,
    hosts,
  })
  return { certPem, keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/** As the others of a client, but its time is over. */
export function makeExpiredCertificate(authority: TestAuthority, name: string): TestCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certPem = certify({
    subject: [['CN', name]],
    issuer: [['CN', authority.name]],
    publicKey,
    signer: authority.key,
    authority: false,
    hosts: [],
    validDays: [-20, -10],
  })
  return { certPem, keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

interface CertifyOptions {
  readonly subject: readonly (readonly [string, string])[]
  readonly issuer: readonly (readonly [string, string])[]
  readonly publicKey: KeyObject
  readonly signer: KeyObject
  readonly authority: boolean
  readonly hosts: readonly string[]
  /** From and to, counted from today. Default yesterday and in a month. */
  readonly validDays?: readonly [from: number, to: number]
}

function certify(options: CertifyOptions): string {
  const now = Date.now()
  const [from, to] = options.validDays ?? [-1, 30]
  const ecdsaWithSha256 = sequence(oid([1, 2, 840, 10045, 4, 3, 2]))
  const body = sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(1), randomBytes(8)])),
    ecdsaWithSha256,
    distinguishedName(options.issuer),
    sequence(utcTime(now + from * DAY_MS), utcTime(now + to * DAY_MS)),
    distinguishedName(options.subject),
    options.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions(options))),
  )
  const signature = sign('sha256', body, options.signer)
  const whole = sequence(body, ecdsaWithSha256, der(0x03, Buffer.concat([Buffer.of(0), signature])))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function extensions({ authority, hosts }: CertifyOptions): Buffer[] {
  const yes = der(0x01, Buffer.of(0xff))
  const constraints = authority ? sequence(yes) : sequence()
  const list = [sequence(oid([2, 5, 29, 19]), yes, der(0x04, constraints))]
  if (hosts.length > 0) {
    const names = hosts.map((host) => {
      const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(host)
      if (host.includes('@')) return der(0x81, host)
      return isAddress ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, host)
    })
    list.push(sequence(oid([2, 5, 29, 17]), der(0x04, sequence(...names))))
  }
  return list
}

const NAME_PARTS: Readonly<Record<string, readonly number[]>> = {
  CN: [2, 5, 4, 3],
  O: [2, 5, 4, 10],
  OU: [2, 5, 4, 11],
}

function distinguishedName(parts: readonly (readonly [string, string])[]): Buffer {
  return sequence(
    ...parts.map(([part, text]) => der(0x31, sequence(oid(NAME_PARTS[part]!), der(0x0c, text)))),
  )
}

function utcTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)
  return der(0x17, `${digits}Z`)
}

function oid(arcs: readonly number[]): Buffer {
  const bytes = [arcs[0]! * 40 + arcs[1]!]
  for (const arc of arcs.slice(2)) {
    const digits = [arc & 0x7f]
    for (let rest = arc >>> 7; rest > 0; rest >>>= 7) digits.unshift(0x80 | (rest & 0x7f))
    bytes.push(...digits)
  }
  return der(0x06, Buffer.from(bytes))
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes)
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function der(tag: number, content: Buffer | string): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content
  const size = bytes.length
  // In as few bytes as go: Go and Java take nothing else.
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff]
  return Buffer.concat([Buffer.of(tag, ...length), bytes])
}
