import { EMBEDDED_LIMITS } from '../engine/embedded/index.ts'
import { CONNECTIONS_MAX_DEFAULT } from '../net/limits.ts'
import { DEFAULT_LIMITS as AMQP } from '../protocols/amqp091/limits.ts'
import { DEFAULT_LIMITS as KAFKA } from '../protocols/kafka/limits.ts'
import { DEFAULT_LIMITS as MQTT } from '../protocols/mqtt/limits.ts'
import { DEFAULT_LIMITS as RPC } from '../protocols/rpc/limits.ts'
import { DURABLE_LIMITS } from '../rpc/durable/limits.ts'
import { WAITING_CALLS_MAX } from '../rpc/limits.ts'
import { AUDIT_BYTES_DEFAULT, AUDIT_FILES_DEFAULT } from './audit-file.ts'
import { HTTP_CONNECTIONS_MAX } from './http-sockets.ts'
import { WATERMARK_DEFAULT } from './memory-watch.ts'
import { PORTS, type PortSpec } from './protocol-ports.ts'
import { formatDuration, formatSize } from './quantity.ts'
import { DEFAULT_USER_NAME, STOP_TIMEOUT_MS } from './server-config.ts'

/** What a person wants to know of a setting that its schema does not say. */
export interface SettingNote {
  /** What it does. */
  readonly about: string
  /** What holds where nothing is set; empty: nothing does. */
  readonly fallback: string
}

/** By key, in no order; those of `listen` and `mqtt.listeners` are made of these. */
const NOTES: Readonly<Record<string, readonly [fallback: string | number, about: string]>> = {
  data: [
    "the user's data directory",
    'Directory of the store, made where it is missing; `memory`: nothing survives the process.',
  ],
  'tls.certFile': [
    '',
    'PEM file with our certificate and its chain. Every listener over TLS needs it.',
  ],
  'tls.keyFile': ['', 'PEM file with the private key of that certificate.'],
  'tls.caFile': ['', 'PEM file with the authorities that may sign client certificates.'],
  'tls.passphraseFile': ['', 'File whose first line is the passphrase of the private key.'],
  'tls.clientCertificate': [
    'none',
    '`request`: a certificate is checked when a client shows one; `require`: nobody without. Needs `tls.caFile`.',
  ],
  'tls.minVersion': ['TLSv1.2', 'The oldest version of TLS that clients may speak.'],
  'tls.ciphers': ["Node's", 'Ciphers of TLS, as OpenSSL writes them.'],
  'tls.reloadEvery': [
    '0',
    'How often to look whether certificate files changed; `0`: on SIGHUP only.',
  ],
  'tls.certificates': [
    '',
    'More certificates, each a PEM file with chain and key, chosen by the name that a client asks for (SNI).',
  ],
  'tls.loginFrom': ['common_name', 'Which name in a client certificate is the user.'],
  'tls.loginSanType': ['dns', 'Which alternative names count, with `subject_alternative_name`.'],
  'tls.loginSanIndex': ['0', 'Which of these alternative names, from 0.'],
  'tls.principalRules': [
    '',
    "Makes users of distinguished names, in the form of Kafka's `ssl.principal.mapping.rules`; in the place of the three above.",
  ],
  'defaultUser.name': [DEFAULT_USER_NAME, 'The first user, made where the store has no other yet.'],
  'defaultUser.password': [
    'guest',
    'Its password; better in a file. The default one is for this machine only.',
  ],
  'defaultUser.passwordFile': ['', 'File whose first line is its password.'],
  'limits.connections': [
    CONNECTIONS_MAX_DEFAULT,
    `Connections of each listener; more are closed. HTTP has ${HTTP_CONNECTIONS_MAX} of its own.`,
  ],
  'limits.connectionRate': [
    '',
    'New connections a second of each listener but HTTP; more are closed at once.',
  ],
  'limits.memoryHighWatermark': [
    WATERMARK_DEFAULT,
    'With more of the heap or the memory in use, publishers must wait; `0`: never.',
  ],
  'limits.messageSize': [
    formatSize(AMQP.messageSizeMax),
    'Largest message that a client may publish.',
  ],
  'limits.channelsPerConnection': [AMQP.channelMax, 'Channels that an AMQP connection may open.'],
  'limits.frameSize': [formatSize(AMQP.frameSizeMax), 'Largest AMQP frame.'],
  'limits.freeDiskSpace': [
    formatSize(EMBEDDED_LIMITS.diskFreeBytesMin),
    'With less free space on the disk, publishers must wait; `0`: never.',
  ],
  'mqtt.receiveMaximum': [
    MQTT.receiveMaximum,
    'Messages of QoS 1 and 2 that an MQTT 5 client may have under way to the broker.',
  ],
  'mqtt.topicAliasMaximum': [
    MQTT.topicAliasMaximum,
    'Topic aliases that an MQTT 5 client may use; `0`: none.',
  ],
  'mqtt.maximumQos': [
    MQTT.maximumQos,
    'A publish of a higher QoS ends the connection, a subscription gets less.',
  ],
  'mqtt.retainAvailable': [
    String(MQTT.isRetainAvailable),
    '`false`: a retained publish ends the connection.',
  ],
  'mqtt.packetSize': ['`limits.messageSize` and 128KiB', 'Largest MQTT packet.'],
  'mqtt.inFlight': [
    MQTT.inFlightMax,
    'Messages of QoS 1 and 2 under way to a client at once; others wait.',
  ],
  'mqtt.keepAliveMax': [
    formatDuration(MQTT.keepAliveSecondsMax * 1000),
    'Longest keep-alive; clients that ask for a longer one or none are told this one.',
  ],
  'mqtt.sessionExpiryMax': ['', 'Longest time that a session is kept without its client.'],
  'mqtt.useIdentityAsUsername': [
    'false',
    'Over TLS the user is whom the certificate names, whatever CONNECT says. Needs `tls.clientCertificate`.',
  ],
  'webSocket.origins': [
    '',
    'Origins of web pages that may connect besides those of this host; `*`: every page.',
  ],
  'kafka.advertised': [
    'the address they used',
    '`HOST` or `HOST:PORT` that Kafka clients are told to connect to.',
  ],
  'kafka.virtualHost': ['/', 'The virtual host that Kafka clients see.'],
  'kafka.autoCreateTopics': [
    String(KAFKA.autoCreateTopics),
    'Whether a topic that a Kafka client asks for is made.',
  ],
  'kafka.partitions': [
    KAFKA.partitionsDefault,
    'Partitions of a topic that is made without a number of them.',
  ],
  'oauth2.resourceServerId': ['', 'The name of this broker in the audience of tokens.'],
  'oauth2.issuer': ['', 'Who must have issued tokens; without it, whoever has the keys.'],
  'oauth2.keysUrl': ['', 'URL of a JSON Web Key Set; either this or `oauth2.keysFile`.'],
  'oauth2.keysFile': ['', 'File with a JSON Web Key Set, or with a public key in PEM.'],
  'oauth2.scopePrefix': [
    '`oauth2.resourceServerId` and `.`',
    'What the scopes for this broker begin with.',
  ],
  'oauth2.scopeClaims': ['scope', 'Claims with scopes; `a.b` is inside another.'],
  'oauth2.scopeAliases': [
    '',
    'What else stands for scopes, such as `admin=waystation.tag:administrator`.',
  ],
  'oauth2.userClaims': ['sub,client_id', "Claims with the user's name; the first that is there."],
  'oauth2.verifyAudience': ['true', '`false`: tokens for anybody are taken.'],
  'rpc.messageSize': [formatSize(RPC.messageBytesMax), 'Largest message of a call.'],
  'rpc.callsPerConnection': [
    RPC.callsMax,
    'Calls open at once on a connection, in each direction.',
  ],
  'rpc.deadlineMax': [
    formatDuration(RPC.deadlineMsMax),
    'A call with a longer deadline gets this one.',
  ],
  'rpc.durableCalls': [
    DURABLE_LIMITS.callsMax,
    'Durable calls of a virtual host that wait, and outcomes that are kept.',
  ],
  'rpc.durableResultsSize': [
    formatSize(DURABLE_LIMITS.outcomeBytesMax),
    'All outcomes of a virtual host, which are in memory.',
  ],
  'rpc.durableKeep': [
    formatDuration(DURABLE_LIMITS.keepMs),
    'How long an outcome is kept where its caller says nothing.',
  ],
  'rpc.waitingCalls': [
    WAITING_CALLS_MAX,
    'Calls of a service that wait at once because all its providers are busy.',
  ],
  'tracing.otlp': ['', 'URL that spans of traced messages are sent to, by OTLP over HTTP.'],
  'tracing.sample': ['', 'The part of all messages that is traced from the start on.'],
  'tracing.serviceName': ['waystation', 'The name under which spans and metrics appear.'],
  'metrics.public': ['false', 'Whether `/metrics` is told without a login.'],
  'metrics.otlp': ['', 'URL that all metrics are sent to, by OTLP over HTTP.'],
  'metrics.exportEvery': ['1m', 'How often they are sent.'],
  'audit.file': ['the log', 'File for the audit log.'],
  'audit.fileSize': [formatSize(AUDIT_BYTES_DEFAULT), 'Size of all its files together.'],
  'audit.fileCount': [AUDIT_FILES_DEFAULT, 'How many files there are: `FILE`, `FILE.1` and so on.'],
  heartbeat: [
    formatDuration(AMQP.heartbeatSeconds * 1000),
    'Heartbeat suggested to AMQP clients, in whole seconds; `0`: none.',
  ],
  stopTimeout: [
    formatDuration(STOP_TIMEOUT_MS),
    'How long clients have to say goodbye when the broker stops.',
  ],
  'log.level': ['info', 'The least important lines that the log has.'],
  'log.format': ['auto', '`json` lines, or `pretty` ones to read; `auto`: pretty on a terminal.'],
}

const OF_ONE_LISTENER = /^(limits|mqtt)\.listeners\.([\w-]+)\.(\w+)$/

/** Throws for a key that nobody wrote a note for: a test asks for all of them. */
export function noteOf(key: string): SettingNote {
  if (key.startsWith('listen.')) return noteOfListener(key.slice('listen.'.length))
  const [, group, listener = '', own] = OF_ONE_LISTENER.exec(key) ?? []
  if (group !== undefined) {
    const hasOwn = group === 'limits' && listener.startsWith('http')
    const ofHttp = own === 'connections' ? String(HTTP_CONNECTIONS_MAX) : ''
    const fallback = hasOwn ? ofHttp : `\`${group}.${own}\``
    return { about: `The same for listener \`${listener}\` only.`, fallback }
  }
  const note = NOTES[key]
  if (note === undefined) throw new Error(`no note says what '${key}' does`)
  return { fallback: String(note[0]), about: note[1] }
}

/** Keys of notes that are there for no setting, for a test. */
export function notedKeys(): readonly string[] {
  return Object.keys(NOTES)
}

function noteOfListener(name: string): SettingNote {
  const port = PORTS.find((candidate) => candidate.name === name)
  if (port === undefined) throw new Error(`there is no listener '${name}'`)
  return { fallback: addressOf(port), about: `${aboutPort(port)}.` }
}

function addressOf({ onByDefault, standardPort }: PortSpec): string {
  return onByDefault ? `127.0.0.1:${standardPort}` : 'off'
}

function aboutPort({ title, webSocket, onByDefault, available, standardPort }: PortSpec): string {
  if (!available) return `${title}, in a later version; may be set to \`off\``
  const path = webSocket === null ? '' : `, path \`${webSocket.path}\``
  return `${title}${path}${onByDefault ? '' : `, usually ${standardPort}`}`
}
