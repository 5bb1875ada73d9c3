import { systemClock, type Clock } from '../lib/clock.ts'
import { systemRandom, type RandomSource } from '../lib/random.ts'
import path from 'node:path'
import { LISTEN_ADDRESS_FORM, parseListenAddress, type ListenAddress } from './listen-address.ts'
import { openLog, silentLog, type Log } from './log.ts'
import { openBroker } from './open-broker.ts'
import { PORTS, type ListenerName } from './protocol-ports.ts'
import type { RunningBroker } from './running-broker.ts'
import { MEMORY, resolveConfig, type DefaultUser } from './server-config.ts'
import { StartupError } from './startup-error.ts'
import type {
  AuditInput,
  KafkaInput,
  LimitsInput,
  LogLevel,
  MqttInput,
  OAuth2Input,
  RpcInput,
  TlsInput,
} from './config-schema.ts'

/** What an embedded broker can be told. Everything has a default. */
export interface StartOptions {
  /** A directory, made where it is missing, or `memory`: nothing survives. Default `memory`. */
  readonly data?: string
  /**
   * Addresses such as `127.0.0.1:5672`, ports on loopback, or `false` for off. Default: AMQP on a
   * free port of loopback, everything else off.
   */
  readonly listen?: Readonly<Partial<Record<ListenerName, string | number | false>>>
  /** For listeners over TLS: paths of PEM files. */
  readonly tls?: TlsInput
  /** In the place of `guest` with password `guest`, where the store has no other user yet. */
  readonly defaultUser?: DefaultUser
  readonly limits?: LimitsInput
  /** What MQTT clients are told and held to; times are in milliseconds, sizes in bytes. */
  readonly mqtt?: MqttInput
  readonly kafka?: KafkaInput
  /** Default: refusals and changes are told in `log`. */
  readonly audit?: AuditInput
  /** Takes tokens of an identity provider for logins. */
  readonly oauth2?: OAuth2Input
  /** What calls are held to; times are in milliseconds, sizes in bytes. */
  readonly rpc?: RpcInput
  /** Seconds; 0: none. Default: what the protocol suggests. */
  readonly heartbeatSeconds?: number
  /** How long `close` lets clients say goodbye, in milliseconds. Default 1000. */
  readonly stopTimeoutMs?: number
  /** A level writes to standard output; or a logger of yours. Default `silent`. */
  readonly log?: LogLevel | Log
  /** Default the machine's. */
  readonly clock?: Clock
  /** Default the machine's. */
  readonly random?: RandomSource
}

const STOP_TIMEOUT_MS = 1000

/**
 * Starts a broker in this process: no signal handler, no exit, nothing outside its data
 * directory and its ports. Throws `StartupError`.
 */
export async function startBroker(options: StartOptions = {}): Promise<RunningBroker> {
  const { data = MEMORY, tls, defaultUser, limits, mqtt, kafka, rpc, heartbeatSeconds } = options
  const config = resolveConfig(
    {
      data: data === MEMORY ? MEMORY : path.resolve(data),
      listen: readAddresses(options.listen ?? {}),
      ...(tls === undefined ? {} : { tls }),
      ...(defaultUser === undefined ? {} : { defaultUser }),
      ...(limits === undefined ? {} : { limits }),
      ...(mqtt === undefined ? {} : { mqtt }),
      ...(kafka === undefined ? {} : { kafka }),
      ...(options.audit === undefined ? {} : { audit: options.audit }),
      ...(options.oauth2 === undefined ? {} : { oauth2: options.oauth2 }),
      ...(rpc === undefined ? {} : { rpc }),
      ...(heartbeatSeconds === undefined ? {} : { heartbeat: heartbeatSeconds * 1000 }),
      stopTimeout: options.stopTimeoutMs ?? STOP_TIMEOUT_MS,
    },
    {
      data: MEMORY,
      isOnByDefault: ({ name }) => name === 'amqp',
      defaultPort: () => 0,
    },
  )
  return openBroker(config, {
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    log: await readLog(options.log),
  })
}

async function readLog(log: StartOptions['log']): Promise<Log> {
  if (log === undefined) return silentLog
  return typeof log === 'string' ? openLog({ level: log, format: 'auto' }) : log
}

function readAddresses(
  listen: NonNullable<StartOptions['listen']>,
): Record<string, ListenAddress | null> {
  const addresses: Record<string, ListenAddress | null> = {}
  for (const [name, value] of Object.entries(listen)) {
    const port = PORTS.find((candidate) => candidate.name === name)
    const address = parseListenAddress(value)
    if (port === undefined) {
      const known = PORTS.map((candidate) => candidate.name).join(', ')
      throw new StartupError('config', `unknown listener '${name}', expected one of ${known}`)
    }
    if (address === undefined) {
      const message = `listen.${name}: expected ${LISTEN_ADDRESS_FORM}, got ${JSON.stringify(value)}`
      throw new StartupError('config', message)
    }
    if (address !== null && !port.available) {
      throw new StartupError('config', `this version does not speak ${port.title}`)
    }
    addresses[name] = address
  }
  return addresses
}
