import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { type SecureContext, type SecureContextOptions, createSecureContext } from 'node:tls'
import { alternativeNames, type CertificateNaming } from './certificate-name.ts'

export interface TlsOptions {
  /** PEM file with our certificate, optionally followed by its chain. */
  readonly certFile: string
  readonly keyFile: string
  /** PEM file with the authorities that may sign client certificates. */
  readonly caFile?: string
  /** Of the key file, when it is encrypted. */
  readonly passphrase?: string
  /** `request`: checked when given; `require`: no connection without one. Default `none`. */
  readonly clientCertificate?: 'none' | 'request' | 'require'
  /** Default TLSv1.2. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's list form; default Node's. */
  readonly ciphers?: string
  /** Which name in a client certificate is its user's; default: the common name. */
  readonly naming?: CertificateNaming
  /** Shown to clients that ask for a name in one of them (SNI), in the place of the first. */
  readonly others?: readonly OtherCertificate[]
  /** How often to look whether the files changed; 0, the default: only when told to. */
  readonly reloadEveryMs?: number
}

export interface OtherCertificate {
  readonly certFile: string
  /** May be the same file. */
  readonly keyFile: string
}

/** What a listener shows its clients. */
export interface LoadedTls {
  readonly context: SecureContextOptions
  /** By the names in each certificate, in lower case; `*.example.com` stands for any one label. */
  readonly byName: ReadonlyMap<string, SecureContext>
}

/** Reads the files and proves that they fit together; throws with the cause when they don't. */
export async function loadTls(options: TlsOptions): Promise<LoadedTls> {
  const mode = options.clientCertificate ?? 'none'
  if (mode !== 'none' && options.caFile === undefined) {
    throw new Error(`clientCertificate is '${mode}' but no caFile says who may sign them`)
  }
  const shared: SecureContextOptions = {
    minVersion: options.minVersion ?? 'TLSv1.2',
    ...(options.caFile === undefined ? {} : { ca: await readFile(options.caFile) }),
    ...(options.passphrase === undefined ? {} : { passphrase: options.passphrase }),
    ...(options.ciphers === undefined ? {} : { ciphers: options.ciphers }),
  }
  const read = async ({ certFile, keyFile }: OtherCertificate): Promise<SecureContextOptions> => {
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)])
    return { ...shared, cert, key }
  }
  const context = await read(options)
  createSecureContext(context)
  const byName = new Map<string, SecureContext>()
  for (const other of options.others ?? []) {
    const own = await read(other)
    const names = namesIn(own.cert as Buffer)
    if (names.length === 0) throw new Error(`${other.certFile} has no DNS name to choose it by`)
    for (const name of names) byName.set(name.toLowerCase(), createSecureContext(own))
  }
  return { context, byName }
}

/** Null: none of the others; the first certificate is shown. */
export function chosenByName(
  byName: ReadonlyMap<string, SecureContext>,
  serverName: string,
): SecureContext | null {
  const name = serverName.toLowerCase()
  return byName.get(name) ?? byName.get(name.replace(/^[^.]+/, '*')) ?? null
}

function namesIn(pem: Buffer): string[] {
  const { subjectAltName, subject } = new X509Certificate(pem)
  const names = alternativeNames({ subjectaltname: subjectAltName }, 'dns')
  const commonName = /^CN=(.+)$/m.exec(subject)?.[1]
  return names.length > 0 || commonName === undefined ? names : [commonName]
}

/** Changes when one of the files does; polled, because certificate managers swap symlinks. */
export async function tlsFilesVersion(options: TlsOptions): Promise<string> {
  const files = new Set([options.certFile, options.keyFile, options.caFile])
  for (const { certFile, keyFile } of options.others ?? []) files.add(certFile).add(keyFile)
  const parts: string[] = []
  for (const file of files) {
    if (file === undefined) continue
    const { mtimeMs, size, ino } = await stat(file)
    parts.push(`${mtimeMs}:${size}:${ino}`)
  }
  return parts.join(' ')
}
