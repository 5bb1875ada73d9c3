import { Authenticator, type TokenSource, UserStore } from '../auth/index.ts'
import { Broker } from '../broker/broker.ts'
import { EngineError } from '../engine/contract.ts'
import { openEmbeddedEngine, type EmbeddedEngine } from '../engine/embedded/index.ts'
import type { Clock } from '../lib/clock.ts'
import type { RandomSource } from '../lib/random.ts'
import { Turn } from '../lib/turn.ts'
import { RpcCore } from '../rpc/core.ts'
import { DurableHosts } from '../rpc/durable/durable-host.ts'
import type { Disk } from '../storage/disk.ts'
import { listen, ListenError, type ProtocolHandler } from '../net/index.ts'
import { openAdmin } from './admin-server.ts'
import { cronCalendar } from './cron-calendar.ts'
import { PACKET_HEAD_BYTES } from './mqtt-settings.ts'
import { openCallMessages } from './call-messages.ts'
import type { AuditInput, LimitsInput, OAuth2Input, RpcInput } from './config-schema.ts'
import { AUDIT_BYTES_DEFAULT, AUDIT_FILES_DEFAULT, AuditFile } from './audit-file.ts'
import { AuditLog } from './audit-log.ts'
import { prepareDataDirectory } from './data-directory.ts'
import { applyDefaultUser, hasBuiltInPassword, refuseKnownPassword } from './default-user.ts'
import { MemoryWatch, type MemoryUse, PROCESS_MEMORY, WATERMARK_DEFAULT } from './memory-watch.ts'
import { LogRing } from './log-ring.ts'
import type { Log } from './log.ts'
import { ProcessMeter } from './process-meter.ts'
import { PROTOCOLS, type ServedProtocol } from './protocols.ts'
import { RunningBroker, type OpenListener } from './running-broker.ts'
import { MEMORY, type ListenerConfig, type ServerConfig } from './server-config.ts'
import { StartupError } from './startup-error.ts'
import { openMetrics, openTracing } from './telemetry.ts'

/** The world, as parameters. */
export interface Surroundings {
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: Log
  /** Time as connections feel it: handshakes, heartbeats, logins. Default `clock`. */
  readonly connectionClock?: Clock
  /** Where the store is. Default: what the configuration says. */
  readonly disk?: Disk
  /** What stands between a protocol and its listeners. Default: nothing. */
  readonly carry?: (protocol: ProtocolHandler) => ProtocolHandler
  /** Given the parts once all is open: for tests that look inside. */
  readonly onOpen?: (parts: OpenParts) => void
}

/** What a broker is made of, for whoever runs one under test. */
export interface OpenParts {
  readonly broker: Broker
  readonly engine: EmbeddedEngine
  readonly turn: Turn
  readonly rpcCore: RpcCore
  readonly listeners: readonly OpenListener[]
}

/**
 * Puts the broker together: engine, users, core, protocols, listeners, in this order; whatever
 * was opened is closed again when a later step fails. Throws `StartupError`.
 */
export async function openBroker(
  config: ServerConfig,
  world: Surroundings,
): Promise<RunningBroker> {
  const { clock, random, connectionClock = clock } = world
  const isServed = config.listeners.some(({ port }) => /^https?$/.test(port.name))
  const logTail = isServed ? new LogRing(world.log, clock) : null
  const log = logTail?.log ?? world.log
  await using opened = new AsyncDisposableStack()
  const startedAtMs = clock.now()
  const turn = new Turn()
  const engine = opened.use(await openEngine(config, clock, world.disk))
  const audit = openAudit(config.audit, { clock, log, opened })
  const users = await UserStore.open(engine.kv, { random, audit })
  if (config.defaultUser !== null) await applyDefaultUser(users, config.defaultUser)
  await refuseKnownPassword(users, config.listeners)
  const tokens = await openTokens(config.oauth2, connectionClock)
  const authenticator = new Authenticator(users, { clock: connectionClock, tokens })
  const broker = await Broker.open({ engine, clock, random, turn, log, calendar: cronCalendar })
  opened.defer(async () => broker.close())
  opened.defer(holdUsersToLimits(users, broker))
  await openTracing(config.tracing, broker.tracer, { opened, log })
  for (const cut of engine.cuts) log.warn(cut, 'the torn end of the last write was cut off')

  const { rpcCore, durable } = openRpc(config.rpc, { broker, random, clock: connectionClock })
  opened.defer(() => rpcCore.close())
  const calls = openCallMessages({ broker, core: rpcCore, users, config: config.rpc })
  opened.defer(() => calls.close())
  const around = { turn, clock: connectionClock, random, log }
  const parts = { config, broker, rpcCore, users, authenticator, ...around }
  const listeners: OpenListener[] = []
  // Not waited for long: nobody has connected when a later step fails.
  opened.defer(async () => closeAll(listeners, 0))
  const protocols: ServedProtocol[] = []
  for (const { listeners: names, create } of PROTOCOLS) {
    const protocol = create(parts)
    protocols.push(protocol)
    for (const listener of config.listeners) {
      if (!names.includes(listener.port.name)) continue
      const handler = world.carry?.(protocol) ?? protocol
      const open = await openListener(listener, handler, config, log)
      if (open !== null) listeners.push(open)
    }
  }
  // Only now: what it moves may be of any protocol.
  broker.redrives.goOn()
  durable.resume((vhost) => rpcCore.host(vhost))
  opened.defer(users.onChange((name) => closeConnectionsOf(name, users, protocols)))
  const memory = opened.use(watchMemory(config.limits, broker, log))
  const memoryLimit = (): number => memory.limitBytes
  const isMeasured = isServed || config.metrics.otlp !== undefined
  const figures = isMeasured ? opened.use(new ProcessMeter(engine.syncTimes)) : null
  const times = { startedAtMs, memoryLimit }
  const seen = { ...parts, ...times, engine, protocols, listeners, logTail, figures }
  const admin = await openAdmin(seen)
  if (admin !== null) {
    opened.use(admin)
    listeners.push(...admin.listeners)
  }
  await openMetrics(config, { seen, opened, log })
  const resources = opened.move()
  world.onOpen?.({ broker, engine, turn, rpcCore, listeners })
  return new RunningBroker({
    config,
    listeners,
    log,
    hasBuiltInPassword: async () => hasBuiltInPassword(users),
    close: async (graceMs) => {
      durable.stop()
      await closeAll(listeners, graceMs)
      await resources.disposeAsync()
    },
  })
}

/** Calls, and those of them that are stored. */
function openRpc(
  { waitingCalls, deadlineMax, durableCalls, durableResultsSize, durableKeep }: RpcInput,
  { broker, clock, random }: Pick<OpenParts, 'broker'> & Pick<Surroundings, 'clock' | 'random'>,
): { readonly rpcCore: RpcCore; readonly durable: DurableHosts } {
  const durable = new DurableHosts({
    broker,
    limits: {
      ...(durableCalls === undefined ? {} : { callsMax: durableCalls }),
      ...(durableResultsSize === undefined ? {} : { outcomeBytesMax: durableResultsSize }),
      ...(durableKeep === undefined ? {} : { keepMs: durableKeep }),
    },
    ...(deadlineMax === undefined ? {} : { deadlineMsMax: deadlineMax }),
  })
  const rpcCore = new RpcCore({
    ...{ clock, random, durable: durable.open },
    limits: waitingCalls === undefined ? {} : { waitingCallsMax: waitingCalls },
  })
  return { rpcCore, durable }
}

/** Publishers wait while memory runs out, and nothing new is declared. */
function watchMemory(
  { memoryHighWatermark: watermark = WATERMARK_DEFAULT }: LimitsInput,
  { pressure }: Broker,
  log: Log,
): MemoryWatch {
  const changed = (isLow: boolean, use: MemoryUse): void => {
    pressure.setMemoryLow(isLow)
    if (isLow) log.warn({ ...use, watermark }, 'memory is low: publishers must wait')
    else log.info({ ...use, watermark }, 'memory is not low any more')
  }
  return new MemoryWatch({ source: PROCESS_MEMORY, watermark, changed })
}

/** Refusals and changes go into a file of their own, or into the log under the name `audit`. */
function openAudit(
  { file, fileSize = AUDIT_BYTES_DEFAULT, fileCount = AUDIT_FILES_DEFAULT }: AuditInput,
  world: {
    readonly clock: Clock
    readonly log: Log
    readonly opened: AsyncDisposableStack
  },
): AuditLog {
  const { clock, log, opened } = world
  if (file === undefined) {
    return closing(new AuditLog(clock, (audit) => log.info({ audit }, 'audit')), opened)
  }
  const options = { file, sizeMax: Math.ceil(fileSize / fileCount), countMax: fileCount, log }
  const audit = opened.use(new AuditFile(options))
  return closing(new AuditLog(clock, (line) => audit.write(line)), opened)
}

function closing(audit: AuditLog, opened: AsyncDisposableStack): AuditLog {
  opened.defer(() => audit.flush())
  return audit
}

async function openTokens(oauth2: OAuth2Input | null, clock: Clock): Promise<TokenSource | null> {
  if (oauth2 === null) return null
  // Loaded when wanted: most brokers know their users themselves.
  const { openTokenSource } = await import('./token-verifier.ts')
  return openTokenSource(oauth2, clock)
}

async function openEngine(
  config: ServerConfig,
  clock: Clock,
  disk: Disk | undefined,
): Promise<EmbeddedEngine> {
  const { freeDiskSpace } = config.limits
  if (disk !== undefined) return openEmbeddedEngine({ disk, clock })
  if (config.data === MEMORY) return openEmbeddedEngine({ memory: true, clock })
  prepareDataDirectory(config.data)
  try {
    return await openEmbeddedEngine({
      directory: config.data,
      clock,
      ...(freeDiskSpace === undefined ? {} : { diskFreeBytesMin: freeDiskSpace }),
    })
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause
    const { kind, message } = cause
    if (kind === 'locked') {
      throw new StartupError('locked', `${message}\nchoose one with --data DIR`, { cause })
    }
    const advice = kind === 'corrupt' ? `\nlook at it with: waystation fsck ${config.data}` : ''
    throw new StartupError('data', `${message}${advice}`, { cause })
  }
}

/** So that the largest packet fits into one WebSocket message, as clients send it. */
function messageLimit({ messageSize }: LimitsInput): { readonly messageBytesMax?: number } {
  return messageSize === undefined ? {} : { messageBytesMax: messageSize + PACKET_HEAD_BYTES }
}

/** Of one listener, else of all. */
function connectionLimits(
  name: string,
  limits: LimitsInput,
): { readonly connectionsMax?: number; readonly connectionRate?: number } {
  const own = limits.listeners?.[name]
  const connectionsMax = own?.connections ?? limits.connections
  const connectionRate = own?.connectionRate ?? limits.connectionRate
  return {
    ...(connectionsMax === undefined ? {} : { connectionsMax }),
    ...(connectionRate === undefined ? {} : { connectionRate }),
  }
}

async function openListener(
  { port, address, isExplicit }: ListenerConfig,
  protocol: ProtocolHandler,
  { tls, limits, webSocketOrigins: origins }: ServerConfig,
  log: Log,
): Promise<OpenListener | null> {
  if (port.tls && tls === null) {
    throw new StartupError('config', `${port.name} needs tls.certFile and tls.keyFile`)
  }
  try {
    const listener = await listen({
      name: port.name,
      host: address.host,
      port: address.port,
      protocol,
      log,
      ...(port.tls && tls !== null ? { tls } : {}),
      ...(port.alpn === null ? {} : { alpn: port.alpn }),
      ...connectionLimits(port.name, limits),
      ...(port.webSocket === null
        ? {}
        : { webSocket: { ...port.webSocket, origins, ...messageLimit(limits) } }),
    })
    return {
      port,
      address: { host: address.host, port: listener.port },
      connectionCount: () => listener.connectionCount,
      reloadTls: async () => listener.reloadTls(),
      cutConnections: () => listener.cutConnections(),
      close: async (graceMs) => listener.close(graceMs),
    }
  } catch (cause) {
    if (!(cause instanceof ListenError)) throw cause
    if (cause.code === 'BAD_TLS') {
      throw new StartupError('config', `${port.name}: ${cause.message}`, { cause })
    }
    if (cause.code === 'PORT_TAKEN' && !isExplicit && port.givesWay) {
      log.warn({ listener: port.name }, `${port.name}: ${cause.message}, so it is off`)
      return null
    }
    const advice = `choose another address with --listen ${port.name}=HOST:PORT, or 'off'`
    throw new StartupError('port', `${port.name}: ${cause.message}\n${advice}`, { cause })
  }
}

async function closeAll(listeners: readonly OpenListener[], graceMs: number): Promise<void> {
  await Promise.all(listeners.map(async (listener) => listener.close(graceMs)))
}

/** The broker knows no users but by their limits. Returns how to end that. */
function holdUsersToLimits(users: UserStore, broker: Broker): () => void {
  for (const { name, limits } of users.list()) broker.flows.setUserLimits(name, limits)
  return users.onChange((name) => {
    const user = users.get(name)
    if (user === null) broker.flows.forgetUser(name)
    else broker.flows.setUserLimits(name, user.limits)
  })
}

/** Who was removed must not go on as if nothing had happened. */
function closeConnectionsOf(
  name: string,
  users: UserStore,
  protocols: readonly ServedProtocol[],
): void {
  if (users.get(name) !== null) return
  for (const protocol of protocols) {
    for (const { id, user } of protocol.connections()) {
      if (user === name) protocol.closeConnection(id, `user '${name}' was removed`)
    }
  }
}
