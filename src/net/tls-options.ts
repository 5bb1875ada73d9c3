import { readFile, stat } from 'node:fs/promises'
import { type SecureContextOptions, createSecureContext } from 'node:tls'

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
  /** How often to look whether the files changed; 0, the default: only when told to. */
  readonly reloadEveryMs?: number
}

/** Reads the files and proves that they fit together; throws with the cause when they don't. */
export async function loadTls(options: TlsOptions): Promise<SecureContextOptions> {
  const mode = options.clientCertificate ?? 'none'
  if (mode !== 'none' && options.caFile === undefined) {
    throw new Error(`clientCertificate is '${mode}' but no caFile says who may sign them`)
  }
  const [cert, key] = await Promise.all([readFile(options.certFile), readFile(options.keyFile)])
  const context: SecureContextOptions = {
    cert,
    key,
    minVersion: options.minVersion ?? 'TLSv1.2',
    ...(options.caFile === undefined ? {} : { ca: await readFile(options.caFile) }),
    ...(options.passphrase === undefined ? {} : { passphrase: options.passphrase }),
    ...(options.ciphers === undefined ? {} : { ciphers: options.ciphers }),
  }
  createSecureContext(context)
  return context
}

/** Changes when one of the files does; polled, because certificate managers swap symlinks. */
export async function tlsFilesVersion(options: TlsOptions): Promise<string> {
  const files = [options.certFile, options.keyFile, options.caFile]
  const parts: string[] = []
  for (const file of files) {
    if (file === undefined) continue
    const { mtimeMs, size, ino } = await stat(file)
    parts.push(`${mtimeMs}:${size}:${ino}`)
  }
  return parts.join(' ')
}
