import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import type { AdminApp, AdminParts, StatusView } from '../admin/index.ts'
import { EMBEDDED_LIMITS, type EmbeddedEngine } from '../engine/embedded/index.ts'
import { ListenError } from '../net/index.ts'
import type { RandomSource } from '../lib/random.ts'
import { AMQP091_TERMS } from '../protocols/amqp091/index.ts'
import { removeAdminEndpoint, writeAdminEndpoint } from './data-directory.ts'
import { listenHttp, type HttpListener } from './http-listener.ts'
import { connectAddress, formatListenAddress } from './listen-address.ts'
import type { Log } from './log.ts'
import { openPageFiles } from './page-files.ts'
import type { ProcessMeter } from './process-meter.ts'
import type { OpenListener } from './running-broker.ts'
import { MEMORY, type ListenerConfig, type ServerConfig } from './server-config.ts'
import { StartupError } from './startup-error.ts'
import { storeBackups } from './store-backups.ts'
import { packageVersion } from './version.ts'

type FoundHere = 'token' | 'log' | 'status' | 'backups' | 'pageFiles' | 'figures'

export interface AdminOptions extends Omit<AdminParts, FoundHere> {
  readonly config: ServerConfig
  readonly engine: EmbeddedEngine
  readonly startedAtMs: number
  /** Bytes above which publishers are held back. */
  readonly memoryLimit: () => number
  /** Everything that listens; looked at when somebody asks. */
  readonly listeners: readonly OpenListener[]
  readonly random: RandomSource
  readonly log: Log
  /** Null where nobody looks at it. */
  readonly figures: ProcessMeter | null
}

export interface OpenAdmin extends AsyncDisposable {
  readonly listeners: readonly OpenListener[]
}

const TOKEN_BYTES = 32

/**
 * Opens the HTTP API and leaves the address of the plain one and a fresh token in the data
 * directory, so that commands of the same system user need no password. null: it is off.
 */
export async function openAdmin(options: AdminOptions): Promise<OpenAdmin | null> {
  const { config, random } = options
  const wanted = config.listeners.filter(({ port }) => /^https?$/.test(port.name))
  if (wanted.length === 0) return null
  const token = random.bytes(TOKEN_BYTES).toString('base64url')
  // Loaded when wanted: an embedded broker without it starts faster.
  const { createAdminApp } = await import('../admin/index.ts')
  const backups = storeBackups(options.engine)
  await using opened = new AsyncDisposableStack()
  const { figures, ...others } = options
  const app = createAdminApp({
    ...others,
    token,
    backups,
    status: () => statusView(options),
    pageFiles: openPageFiles(),
    terms: AMQP091_TERMS,
    ...(figures === null ? {} : { figures }),
    areMetricsPublic: config.metrics.public ?? false,
  })
  const listeners: OpenListener[] = []
  for (const listener of wanted) {
    const http = await open(listener, options, app)
    opened.defer(async () => http.close(0))
    listeners.push(openListenerOf(listener, http, app))
    if (listener.port.tls || config.data === MEMORY) continue
    const url = `http://${formatListenAddress(connectAddress(http.address))}`
    writeAdminEndpoint(config.data, { url, token, pid: process.pid })
    opened.defer(() => removeAdminEndpoint(config.data))
  }
  const resources = opened.move()
  return { listeners, [Symbol.asyncDispose]: async () => resources.disposeAsync() }
}

function openListenerOf({ port }: ListenerConfig, http: HttpListener, app: AdminApp): OpenListener {
  return {
    port,
    address: http.address,
    connectionCount: () => http.connectionCount,
    reloadTls: async () => http.reloadTls(),
    cutConnections: () => http.cutConnections(),
    close: async (graceMs) => {
      app.close()
      await http.close(graceMs)
    },
  }
}

/**
 * A default port that is taken must not keep the broker from its work, and a second broker on a
 * machine finds it taken each time; a port that somebody asked for by name must be that port.
 */
async function open(
  { port, address, isExplicit }: ListenerConfig,
  { config, log }: AdminOptions,
  app: AdminApp,
): Promise<HttpListener> {
  const { name } = port
  if (port.tls && config.tls === null) {
    throw new StartupError('config', `${name} needs tls.certFile and tls.keyFile`)
  }
  const tls = port.tls ? config.tls : null
  const limits = config.limits.listeners?.[name] ?? {}
  const options = { name, address, tls, log, limits }
  try {
    return await listenHttp(app, options)
  } catch (cause) {
    if (!(cause instanceof ListenError)) throw cause
    if (cause.code === 'BAD_TLS') {
      throw new StartupError('config', `${name}: ${cause.message}`, { cause })
    }
    if (isExplicit || cause.code !== 'PORT_TAKEN') {
      const advice = `choose another address with --listen ${name}=HOST:PORT, or 'off'`
      throw new StartupError('port', `${name}: ${cause.message}\n${advice}`, { cause })
    }
    const http = await listenHttp(app, { ...options, address: { ...address, port: 0 } })
    const fields = { wanted: formatListenAddress(address), got: formatListenAddress(http.address) }
    log.warn(fields, 'the default port of the HTTP API is taken, another one was chosen')
    return http
  }
}

/** What `admin` and metrics know of the whole. */
export function statusView(options: AdminOptions): StatusView {
  const { config, engine, startedAtMs, listeners, memoryLimit } = options
  const { name, durability } = engine.capabilities
  return {
    version: packageVersion(),
    pid: process.pid,
    startedAtMs,
    data: config.data,
    memoryBytes: process.memoryUsage.rss(),
    memoryLimitBytes: memoryLimit(),
    diskFreeBytes: freeBytes(config.data === MEMORY ? tmpdir() : config.data),
    diskFreeLimitBytes: config.limits.freeDiskSpace ?? EMBEDDED_LIMITS.diskFreeBytesMin,
    store: { engine: name, durability, state: engine.state },
    listeners: listeners.map(({ port, address, connectionCount }) => ({
      name: port.name,
      address: formatListenAddress(address),
      tls: port.tls,
      connections: connectionCount(),
    })),
  }
}

function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize
}
