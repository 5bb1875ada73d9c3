import type { Server } from 'node:net'
import type { SecureContext, Server as TlsServer, TlsOptions as TlsServerOptions } from 'node:tls'
import { TLS_HANDSHAKE_TIMEOUT_MS } from './limits.ts'
import { chosenByName, type TlsOptions, loadTls, tlsFilesVersion } from './tls-options.ts'
import type { NetLog } from './transport.ts'

/** The certificates of one TLS listener: read at its start, and again when told or when they change. */
export class TlsReloader {
  readonly #options: TlsOptions
  readonly #log: NetLog
  #server: TlsServer | null = null
  #listener = ''
  #timer: NodeJS.Timeout | null = null
  #version: string | null = null
  #byName: ReadonlyMap<string, SecureContext> = new Map()

  constructor(options: TlsOptions, log: NetLog) {
    this.#options = options
    this.#log = log
  }

  /** For the server that `start` is then given. Rejects when the files are bad. */
  async serverOptions(): Promise<TlsServerOptions> {
    const mode = this.#options.clientCertificate ?? 'none'
    const { context, byName } = await loadTls(this.#options)
    this.#byName = byName
    return {
      ...context,
      handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS,
      requestCert: mode !== 'none',
      rejectUnauthorized: mode === 'require',
      SNICallback: (name, answer) => {
        answer(null, chosenByName(this.#byName, name) ?? undefined)
      },
    }
  }

  start(server: Server, listener: string): void {
    this.#server = server as TlsServer
    this.#listener = listener
    const everyMs = this.#options.reloadEveryMs ?? 0
    if (everyMs <= 0) return
    void this.#poll()
    this.#timer = setInterval(() => void this.#poll(), everyMs).unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#server = null
  }

  /** Rejects, and changes nothing, when the files are bad. */
  async reload(): Promise<void> {
    const { context, byName } = await loadTls(this.#options)
    if (this.#server === null) return
    this.#server.setSecureContext(context)
    this.#byName = byName
    this.#log.info({ listener: this.#listener }, 'TLS certificates read again')
  }

  async #poll(): Promise<void> {
    try {
      const version = await tlsFilesVersion(this.#options)
      const changed = this.#version !== null && this.#version !== version
      this.#version = version
      if (changed) await this.reload()
    } catch (error) {
      // Files that are being replaced are missing or half written for a moment.
      const fields = { listener: this.#listener, err: error }
      this.#log.warn(fields, 'TLS certificates cannot be read again, the old ones stay in use')
    }
  }
}
