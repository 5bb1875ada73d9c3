import { readFileSync } from 'node:fs'
import {
  type CertificateNaming as Naming,
  parsePrincipalRules,
  type TlsOptions,
} from '../net/index.ts'
import type {
  AuditInput,
  ConfigInput,
  KafkaInput,
  LimitsInput,
  MetricsInput,
  MqttInput,
  OAuth2Input,
  RpcInput,
  TlsInput,
  TracingInput,
} from './config-schema.ts'
import type { ListenAddress } from './listen-address.ts'
import { PORTS, type ListenerName, type PortSpec } from './protocol-ports.ts'
import { StartupError } from './startup-error.ts'

/** The data directory that stands for none. */
export const MEMORY = 'memory'

/** One port to open. */
export interface ListenerConfig {
  readonly port: PortSpec
  readonly address: ListenAddress
  /** False: the default, which nobody asked for by name. */
  readonly isExplicit: boolean
}

/** The first user, made where the store has none but the built-in one. */
export interface DefaultUser {
  readonly name: string
  readonly password: string
}

/** Everything the composition root needs to know, with no default left open. */
export interface ServerConfig {
  /** An absolute path, or `memory`. */
  readonly data: string
  readonly listeners: readonly ListenerConfig[]
  readonly tls: TlsOptions | null
  /** null: `guest` with password `guest`, from this machine only. */
  readonly defaultUser: DefaultUser | null
  /** Absent ones are at the default of the part they belong to. */
  readonly limits: LimitsInput
  readonly mqtt: MqttInput
  /** Origins of web pages that may connect besides those of this host; `*`: all. */
  readonly webSocketOrigins: readonly string[]
  readonly kafka: KafkaInput
  readonly rpc: RpcInput
  readonly tracing: TracingInput
  readonly audit: AuditInput
  /** null: no token opens the door. */
  readonly oauth2: OAuth2Input | null
  readonly metrics: MetricsInput
  /** Seconds; null: the protocol's default. */
  readonly heartbeatSeconds: number | null
  /** How long clients have to say goodbye when the broker stops. */
  readonly stopTimeoutMs: number
}

export interface ConfigDefaults {
  readonly data: string
  /** Listeners that are on when nothing is said of them. */
  readonly isOnByDefault: (port: PortSpec) => boolean
  /** The port where nothing is said. */
  readonly defaultPort: (port: PortSpec) => number
}

type PrincipalRules = NonNullable<Naming['rules']>

export const STOP_TIMEOUT_MS = 10_000
export const DEFAULT_USER_NAME = 'guest'
const LOOPBACK = '127.0.0.1'

/** Fills in defaults and reads the files that hold secrets; throws `StartupError`. */
export function resolveConfig(input: ConfigInput, defaults: ConfigDefaults): ServerConfig {
  return {
    data: input.data ?? defaults.data,
    listeners: resolveListeners(input.listen ?? {}, defaults),
    tls: resolveTls(input.tls),
    defaultUser: resolveDefaultUser(input.defaultUser),
    limits: input.limits ?? {},
    mqtt: input.mqtt ?? {},
    webSocketOrigins: input.webSocket?.origins ?? [],
    kafka: input.kafka ?? {},
    rpc: input.rpc ?? {},
    tracing: input.tracing ?? {},
    audit: input.audit ?? {},
    oauth2: input.oauth2 ?? null,
    metrics: input.metrics ?? {},
    heartbeatSeconds:
      input.heartbeat === undefined ? null : Math.max(Math.round(input.heartbeat / 1000), 0),
    stopTimeoutMs: input.stopTimeout ?? STOP_TIMEOUT_MS,
  }
}

function resolveListeners(
  listen: NonNullable<ConfigInput['listen']>,
  defaults: ConfigDefaults,
): ListenerConfig[] {
  const listeners: ListenerConfig[] = []
  for (const port of PORTS) {
    const given = listen[port.name satisfies ListenerName]
    if (given === null) continue
    if (given !== undefined) listeners.push({ port, address: given, isExplicit: true })
    else if (defaults.isOnByDefault(port)) {
      const address = { host: LOOPBACK, port: defaults.defaultPort(port) }
      listeners.push({ port, address, isExplicit: false })
    }
  }
  return listeners
}

function resolveTls(tls: TlsInput | undefined): TlsOptions | null {
  if (tls?.certFile === undefined || tls.keyFile === undefined) return null
  const { certFile, keyFile, caFile, clientCertificate, minVersion, ciphers, certificates } = tls
  return {
    certFile,
    keyFile,
    ...(caFile === undefined ? {} : { caFile }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(tls.reloadEvery === undefined ? {} : { reloadEveryMs: tls.reloadEvery }),
    naming: namingOf(tls),
    ...(certificates === undefined
      ? {}
      : { others: certificates.map((file) => ({ certFile: file, keyFile: file })) }),
    ...(tls.passphraseFile === undefined
      ? {}
      : { passphrase: readSecret('tls.passphraseFile', tls.passphraseFile) }),
  }
}

function namingOf({ loginFrom, loginSanType, loginSanIndex, principalRules }: TlsInput): Naming {
  return {
    ...(loginFrom === undefined ? {} : { from: loginFrom }),
    ...(loginSanType === undefined ? {} : { sanType: loginSanType }),
    ...(loginSanIndex === undefined ? {} : { sanIndex: loginSanIndex }),
    ...(principalRules === undefined ? {} : { rules: rulesOf(principalRules) }),
  }
}

function rulesOf(text: string): PrincipalRules {
  const rules = parsePrincipalRules(text)
  if (rules !== null) return rules
  throw new StartupError('config', `tls.principalRules: expected Kafka's form, got '${text}'`)
}

function resolveDefaultUser(user: ConfigInput['defaultUser']): DefaultUser | null {
  if (user === undefined) return null
  const { name = DEFAULT_USER_NAME, passwordFile } = user
  const password =
    passwordFile === undefined
      ? user.password
      : readSecret('defaultUser.passwordFile', passwordFile)
  if (password === undefined) {
    const message = `defaultUser.name is '${name}', but no password is set for it`
    throw new StartupError('config', `${message}\nset defaultUser.passwordFile as well`)
  }
  return { name, password }
}

/** The first line of the file: editors end it with a newline that nobody means. */
function readSecret(key: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').split(/\r?\n/, 1)[0] ?? ''
  } catch (cause) {
    const message = `${key}: ${file} cannot be read: ${(cause as Error).message}`
    throw new StartupError('config', message, { cause })
  }
}
