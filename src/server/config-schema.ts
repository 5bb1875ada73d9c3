import { z } from 'zod'
import { parsePrincipalRules } from '../net/index.ts'
import { isLoopback, type ListenAddress } from './listen-address.ts'
import { PORTS } from './protocol-ports.ts'
import {
  address,
  durationMs,
  file,
  flag,
  integer,
  oneOf,
  part,
  type SettingKind,
  sizeBytes,
  text,
  texts,
  watermark,
} from './setting-kinds.ts'

/** Keys that come in the clear could be anybody's. */
function isSafeUrl(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, hostname } = new URL(url)
  return protocol === 'https:' || isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))
}

const listen = z.strictObject(
  Object.fromEntries(PORTS.map((port) => [port.name, address(port).optional()])),
)

const tls = z.strictObject({
  certFile: file('the path of a PEM file with the certificate and its chain').optional(),
  keyFile: file('the path of a PEM file with the private key').optional(),
  caFile: file(
    'the path of a PEM file with the authorities that sign client certificates',
  ).optional(),
  passphraseFile: file('the path of a file with the passphrase of the private key').optional(),
  clientCertificate: oneOf(['none', 'request', 'require']).optional(),
  minVersion: oneOf(['TLSv1.2', 'TLSv1.3']).optional(),
  ciphers: text('a list of ciphers as OpenSSL writes it').optional(),
  reloadEvery: durationMs(
    0,
    86_400_000,
    "a duration up to 1d such as '1h'; 0 only on SIGHUP",
  ).optional(),
  certificates: texts('a list of PEM files, each with a certificate and its key').optional(),
  loginFrom: oneOf(['common_name', 'distinguished_name', 'subject_alternative_name']).optional(),
  loginSanType: oneOf(['dns', 'ip', 'email', 'uri']).optional(),
  loginSanIndex: integer(0, 1000).optional(),
  principalRules: z
    .string()
    .refine((value) => parsePrincipalRules(value) !== null)
    .meta({ description: "rules such as 'RULE:^CN=(.*?),.*$/$1/L,DEFAULT'", type: 'text' })
    .optional(),
})

const MIB = 1024 * 1024

/** What MQTT clients are told when they connect, and held to. */
const mqttListener = {
  receiveMaximum: integer(1, 65_535).optional(),
  topicAliasMaximum: integer(0, 65_535).optional(),
  maximumQos: z
    .union([z.string(), z.number()])
    .refine((value) => ['0', '1', '2'].includes(String(value)))
    .transform((value) => Number(value) as 0 | 1 | 2)
    .meta({ description: '0, 1 or 2', type: 'one of', limits: '0, 1, 2' })
    .optional(),
  retainAvailable: flag().optional(),
  packetSize: sizeBytes(
    1024,
    256 * MIB - 1,
    "a size from 1KiB to below 256MiB such as '1MiB'",
  ).optional(),
  inFlight: integer(1, 65_535).optional(),
  keepAliveMax: durationMs(
    1000,
    65_535_000,
    "a duration from 1s to 65535s such as '10m'",
  ).optional(),
  sessionExpiryMax: durationMs(
    0,
    4_294_967_294_000,
    "a duration such as '30d'; 0 keeps no session",
  ).optional(),
}

/** What a listener may be asked of, all of them or one. */
const listenerLimits = {
  connections: integer(1, 1_000_000).optional(),
  connectionRate: integer(1, 1_000_000).optional(),
}

const mqttPorts = PORTS.filter(({ name }) => name.startsWith('mqtt'))

/** The file's form, validated after file, environment and flags were put together. */
export const configSchema: z.ZodType<ConfigInput> = z.strictObject({
  data: file("the path of a directory, or 'memory'").optional(),
  listen: listen.optional(),
  tls: tls.optional(),
  defaultUser: z
    .strictObject({
      name: text('the name of the first user').optional(),
      password: text('the password of the first user').optional(),
      passwordFile: file('the path of a file with the password of the first user').optional(),
    })
    .optional(),
  limits: z
    .strictObject({
      ...listenerLimits,
      messageSize: sizeBytes(
        1024,
        128 * MIB,
        "a size from 1KiB to 128MiB such as '16MiB'",
      ).optional(),
      channelsPerConnection: integer(1, 65_535).optional(),
      frameSize: sizeBytes(4096, 16 * MIB, "a size from 4KiB to 16MiB such as '128KiB'").optional(),
      freeDiskSpace: sizeBytes(
        0,
        2 ** 50,
        "a size such as '1GiB'; 0 turns the alarm off",
      ).optional(),
      memoryHighWatermark: watermark(
        "a part of the memory such as 0.6, or a size such as '4GiB'; 0 turns it off",
      ).optional(),
      listeners: z
        .strictObject(
          Object.fromEntries(
            PORTS.map(({ name }) => [name, z.strictObject(listenerLimits).optional()]),
          ),
        )
        .optional(),
    })
    .optional(),
  mqtt: z
    .strictObject({
      ...mqttListener,
      useIdentityAsUsername: flag().optional(),
      listeners: z
        .strictObject(
          Object.fromEntries(
            mqttPorts.map(({ name }) => [name, z.strictObject(mqttListener).optional()]),
          ),
        )
        .optional(),
    })
    .optional(),
  webSocket: z
    .strictObject({
      origins: texts("a list of origins such as 'https://example.com', or '*'").optional(),
    })
    .optional(),
  kafka: z
    .strictObject({
      advertised: text('the host or HOST:PORT under which clients find the broker').optional(),
      virtualHost: text('the name of a virtual host').optional(),
      autoCreateTopics: flag().optional(),
      partitions: integer(1, 10_000).optional(),
    })
    .optional(),
  oauth2: z
    .strictObject({
      resourceServerId: text('the name of this broker in the audience of tokens').optional(),
      issuer: text('the issuer of tokens, as it stands in them').optional(),
      keysUrl: z
        .url({ protocol: /^https?$/ })
        .refine(isSafeUrl)
        .meta({
          description: "a URL such as 'https://example.com/jwks.json', http on this machine only",
          type: 'URL',
        })
        .optional(),
      keysFile: file('the path of a file with a JSON Web Key Set or a public key').optional(),
      scopePrefix: z
        .string()
        .meta({ description: 'what the scopes of this broker begin with', type: 'text' })
        .optional(),
      scopeClaims: texts("a list of claims with scopes such as 'scope'").optional(),
      scopeAliases: texts("a list such as 'admin=waystation.tag:administrator'")
        .refine((list) => list.every((one) => /^[^=]+=\S/.test(one)))
        .meta({ description: "a list such as 'admin=waystation.tag:administrator'", type: 'list' })
        .optional(),
      userClaims: texts("a list of claims with the user's name such as 'sub'").optional(),
      verifyAudience: flag().optional(),
    })
    .optional(),
  rpc: z
    .strictObject({
      messageSize: sizeBytes(
        1024,
        128 * MIB,
        "a size from 1KiB to 128MiB such as '4MiB'",
      ).optional(),
      callsPerConnection: integer(1, 1_000_000).optional(),
      deadlineMax: durationMs(1000, 86_400_000, "a duration from 1s to 1d such as '1h'").optional(),
      waitingCalls: integer(0, 1_000_000).optional(),
      durableCalls: integer(1, 10_000_000).optional(),
      durableResultsSize: sizeBytes(
        1024,
        16 * 1024 * MIB,
        "a size from 1KiB to 16GiB such as '64MiB'",
      ).optional(),
      durableKeep: durationMs(
        1000,
        30 * 86_400_000,
        "a duration from 1s to 30d such as '1d'",
      ).optional(),
    })
    .optional(),
  tracing: z
    .strictObject({
      otlp: z
        .url({ protocol: /^https?$/ })
        .meta({ description: "a URL such as 'http://127.0.0.1:4318/v1/traces'", type: 'URL' })
        .optional(),
      sample: part().optional(),
      serviceName: text('the name under which spans appear').optional(),
    })
    .optional(),
  metrics: z
    .strictObject({
      public: flag().optional(),
      otlp: z
        .url({ protocol: /^https?$/ })
        .meta({ description: "a URL such as 'http://127.0.0.1:4318/v1/metrics'", type: 'URL' })
        .optional(),
      exportEvery: durationMs(1000, 86_400_000, "a duration from 1s to 1d such as '1m'").optional(),
    })
    .optional(),
  audit: z
    .strictObject({
      file: file('the path of a file for the audit log').optional(),
      fileSize: sizeBytes(4096, 2 ** 40, "a size from 4KiB such as '10MiB'").optional(),
      fileCount: integer(1, 1000).optional(),
    })
    .optional(),
  heartbeat: durationMs(
    0,
    65_535_000,
    "a duration such as '60s'; 0 turns heartbeats off",
  ).optional(),
  stopTimeout: durationMs(0, 600_000, "a duration up to 10m such as '10s'").optional(),
  log: z
    .strictObject({
      level: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent']).optional(),
      format: oneOf(['auto', 'pretty', 'json']).optional(),
    })
    .optional(),
})

/** What was set, validated and in the units of the broker; what was not set is absent. */
export interface ConfigInput {
  readonly data?: string | undefined
  /** null: off. */
  readonly listen?: Readonly<Record<string, ListenAddress | null | undefined>> | undefined
  readonly tls?: TlsInput | undefined
  readonly defaultUser?:
    | {
        readonly name?: string | undefined
        readonly password?: string | undefined
        readonly passwordFile?: string | undefined
      }
    | undefined
  readonly limits?: LimitsInput | undefined
  readonly mqtt?: MqttInput | undefined
  readonly webSocket?: { readonly origins?: readonly string[] | undefined } | undefined
  readonly kafka?: KafkaInput | undefined
  readonly oauth2?: OAuth2Input | undefined
  readonly rpc?: RpcInput | undefined
  readonly tracing?: TracingInput | undefined
  readonly metrics?: MetricsInput | undefined
  readonly audit?: AuditInput | undefined
  /** Milliseconds. */
  readonly heartbeat?: number | undefined
  /** Milliseconds. */
  readonly stopTimeout?: number | undefined
  readonly log?:
    | { readonly level?: LogLevel | undefined; readonly format?: LogFormat | undefined }
    | undefined
}

/** What calls are held to. */
export interface RpcInput {
  /** Largest message of a call, in bytes. */
  readonly messageSize?: number | undefined
  /** Calls open at once on a connection, in each direction. */
  readonly callsPerConnection?: number | undefined
  /** Milliseconds; a longer deadline is cut to it. */
  readonly deadlineMax?: number | undefined
  /** Calls of one service that wait because every provider is busy. */
  readonly waitingCalls?: number | undefined
  /** Durable calls of a virtual host that wait, and outcomes that are kept. */
  readonly durableCalls?: number | undefined
  /** Bytes of all outcomes of a virtual host. */
  readonly durableResultsSize?: number | undefined
  /** How long an outcome is kept where its caller says nothing, in milliseconds. */
  readonly durableKeep?: number | undefined
}

export interface TlsInput {
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly caFile?: string | undefined
  readonly passphraseFile?: string | undefined
  readonly clientCertificate?: 'none' | 'request' | 'require' | undefined
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  readonly ciphers?: string | undefined
  /** Milliseconds. */
  readonly reloadEvery?: number | undefined
  /** More of them, each file with certificate, chain and key: shown to who asks for their names. */
  readonly certificates?: readonly string[] | undefined
  readonly loginFrom?: 'common_name' | 'distinguished_name' | 'subject_alternative_name' | undefined
  readonly loginSanType?: 'dns' | 'ip' | 'email' | 'uri' | undefined
  readonly loginSanIndex?: number | undefined
  readonly principalRules?: string | undefined
}

/** Of each listener. */
export interface ListenerLimitsInput {
  readonly connections?: number | undefined
  /** In a second. */
  readonly connectionRate?: number | undefined
}

export interface LimitsInput extends ListenerLimitsInput {
  readonly listeners?: Readonly<Record<string, ListenerLimitsInput | undefined>> | undefined
  /** Bytes. */
  readonly messageSize?: number | undefined
  readonly channelsPerConnection?: number | undefined
  /** Bytes. */
  readonly frameSize?: number | undefined
  /** Bytes. */
  readonly freeDiskSpace?: number | undefined
  /** Up to 1: a part of the memory there is; above: bytes; 0: none. */
  readonly memoryHighWatermark?: number | undefined
}

/** Where refusals and changes are written; without a file: into the log. */
export interface AuditInput {
  readonly file?: string | undefined
  /** Bytes. */
  readonly fileSize?: number | undefined
  readonly fileCount?: number | undefined
}

/** How tokens of an identity provider are checked; absent: none is taken. */
export interface OAuth2Input {
  readonly resourceServerId?: string | undefined
  readonly issuer?: string | undefined
  readonly keysUrl?: string | undefined
  readonly keysFile?: string | undefined
  readonly scopePrefix?: string | undefined
  readonly scopeClaims?: readonly string[] | undefined
  /** `ALIAS=SCOPE SCOPE`, each. */
  readonly scopeAliases?: readonly string[] | undefined
  readonly userClaims?: readonly string[] | undefined
  readonly verifyAudience?: boolean | undefined
}

export interface MetricsInput {
  readonly public?: boolean | undefined
  /** A URL; all metrics go there every now and then. */
  readonly otlp?: string | undefined
  /** Milliseconds. */
  readonly exportEvery?: number | undefined
}

export interface TracingInput {
  /** A URL; spans of traced messages go there. */
  readonly otlp?: string | undefined
  /** From the start on, this part of all messages is traced; 1: all. */
  readonly sample?: number | undefined
  readonly serviceName?: string | undefined
}

export interface KafkaInput {
  /** `HOST` or `HOST:PORT`. */
  readonly advertised?: string | undefined
  readonly virtualHost?: string | undefined
  readonly autoCreateTopics?: boolean | undefined
  readonly partitions?: number | undefined
}

export interface MqttListenerInput {
  readonly receiveMaximum?: number | undefined
  readonly topicAliasMaximum?: number | undefined
  readonly maximumQos?: 0 | 1 | 2 | undefined
  readonly retainAvailable?: boolean | undefined
  /** Bytes. */
  readonly packetSize?: number | undefined
  readonly inFlight?: number | undefined
  /** Milliseconds. */
  readonly keepAliveMax?: number | undefined
  /** Milliseconds. */
  readonly sessionExpiryMax?: number | undefined
}

/** For all listeners, and what is different on single ones. */
export interface MqttInput extends MqttListenerInput {
  /** The user is whom the certificate names, whatever CONNECT says. */
  readonly useIdentityAsUsername?: boolean | undefined
  readonly listeners?: Readonly<Record<string, MqttListenerInput | undefined>> | undefined
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
export type LogFormat = 'auto' | 'pretty' | 'json'

/** A setting: the keys that lead to it, what a good value is and what it may be. */
export interface Setting extends Partial<SettingKind> {
  readonly path: readonly string[]
  readonly expected: string
}

/** Every setting there is, in the schema's order. */
export function allSettings(): readonly Setting[] {
  const settings: Setting[] = []
  collectSettings(configSchema, [], settings)
  return settings
}

function collectSettings(schema: unknown, path: readonly string[], into: Setting[]): void {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) {
    for (const [key, value] of Object.entries(inner.shape)) {
      collectSettings(value, [...path, key], into)
    }
  } else {
    const { description = 'another value', type, limits } = metaOf(schema)
    into.push({
      path,
      expected: description,
      ...(type === undefined ? {} : { type }),
      ...(limits === undefined ? {} : { limits }),
    })
  }
}

/** The keys allowed below `path`; null when `path` is no group of settings. */
export function keysBelow(path: readonly string[]): readonly string[] | null {
  let schema: unknown = unwrap(configSchema)
  for (const key of path) {
    if (!(schema instanceof z.ZodObject)) return null
    schema = unwrap((schema.shape as Record<string, unknown>)[key])
  }
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : null
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? schema.unwrap() : schema
}

/** What `setting-kinds.ts` and the schema above put there. */
function metaOf(schema: unknown): Partial<SettingKind> & { readonly description?: string } {
  for (let current = schema; ; current = unwrap(current)) {
    const meta = current instanceof z.ZodType ? current.meta() : undefined
    if (meta?.description !== undefined) return meta as ReturnType<typeof metaOf>
    if (!(current instanceof z.ZodOptional)) return {}
  }
}
