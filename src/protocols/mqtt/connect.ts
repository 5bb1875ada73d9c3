import type { Claim } from '../../broker/index.ts'
import {
  type ConnectPacket,
  encodeConnack,
  type Properties,
  REASON,
} from '../../codec/mqtt/index.ts'
import { ConnectRefusal } from './faults.ts'
import type { MqttLimits } from './limits.ts'
import { isKey } from './topic-key.ts'
import { packetIdQueueName, type SessionState, sessionQueueName } from './subscriber.ts'

/** Stands for a session that never ends (section 3.1.2.11.2). */
const NEVER_SECONDS = 0xffff_ffff

/** Section 3.1.2.4 and 3.1.2.11.2: whether a session is taken up and how long it is kept. */
export function claimOf(
  { version, cleanStart, properties, clientId: given, will }: ConnectPacket,
  {
    clientId,
    user,
    limits,
  }: { readonly clientId: string; readonly user: string; readonly limits: MqttLimits },
): Claim {
  if (given === '' && (version === 3 || (version === 4 && !cleanStart))) {
    throw new ConnectRefusal(REASON.CLIENT_IDENTIFIER_NOT_VALID, 'a session without a client id')
  }
  if (!isKey(packetIdQueueName(clientId))) {
    const text = `a client id of ${clientId.length} characters`
    throw new ConnectRefusal(REASON.CLIENT_IDENTIFIER_NOT_VALID, text)
  }
  if (will !== null && will.qos > limits.maximumQos) {
    const text = `a will with QoS ${will.qos}, ${limits.maximumQos} is the highest`
    throw new ConnectRefusal(REASON.QOS_NOT_SUPPORTED, text)
  }
  if (will?.retain === true && !limits.isRetainAvailable) {
    throw new ConnectRefusal(REASON.RETAIN_NOT_SUPPORTED, 'nothing is retained here')
  }
  const asked = properties.sessionExpiryInterval ?? 0
  const seconds = version === 5 ? asked : cleanStart ? 0 : NEVER_SECONDS
  const expiryMs = expiryMsOf(seconds, limits)
  const durable = expiryMs > 0
  return {
    spec: {
      name: clientId,
      user,
      durable,
      destinations: [sessionQueueName(clientId), ...(durable ? [packetIdQueueName(clientId)] : [])],
    },
    fresh: cleanStart,
    expiryMs,
    state: { subscriptions: [] } satisfies SessionState,
  }
}

export function expiryMsOf(seconds: number, { sessionExpirySecondsMax }: MqttLimits): number {
  const asked = seconds >= NEVER_SECONDS ? Infinity : seconds
  return Math.min(asked, sessionExpirySecondsMax) * 1000
}

/** What the client is told of the limits here; before version 5 there is no place for it. */
export function connackProperties(
  { properties }: ConnectPacket,
  told: {
    readonly limits: MqttLimits
    readonly assigned: string | null
    readonly serverKeepAlive: number | null
  },
): Properties {
  const { limits, assigned, serverKeepAlive } = told
  const asked = properties.sessionExpiryInterval ?? 0
  const isCut = (asked >= NEVER_SECONDS ? Infinity : asked) > limits.sessionExpirySecondsMax
  return {
    receiveMaximum: limits.receiveMaximum,
    topicAliasMaximum: limits.topicAliasMaximum,
    // Absent: 2, and the value 2 itself is not allowed (section 3.2.2.3.4).
    ...(limits.maximumQos === 2 ? {} : { maximumQos: limits.maximumQos }),
    ...(limits.isRetainAvailable ? {} : { retainAvailable: 0 }),
    maximumPacketSize: limits.packetSizeMax,
    ...(isCut ? { sessionExpiryInterval: limits.sessionExpirySecondsMax } : {}),
    ...(assigned === null ? {} : { assignedClientIdentifier: assigned }),
    ...(serverKeepAlive === null ? {} : { serverKeepAlive }),
  }
}

/** The return code of MQTT 3 that says most nearly what a reason code says. */
export function connackCode(reasonCode: number): number {
  switch (reasonCode) {
    case REASON.UNSUPPORTED_PROTOCOL_VERSION:
      return 1
    case REASON.CLIENT_IDENTIFIER_NOT_VALID:
      return 2
    case REASON.BAD_USER_NAME_OR_PASSWORD:
      return 4
    case REASON.NOT_AUTHORIZED:
    case REASON.BANNED:
      return 5
    default:
      return 3
  }
}

/** What CONNACK may say of it (table 3-1). */
const CONNACK_CODES: ReadonlySet<number> = new Set([
  0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99,
  0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
])

/** For a CONNECT that could not be read, or whose version is unknown: in the form it may know. */
export function refusalOf(reasonCode: number, reasonString?: string): Buffer {
  if (reasonCode === REASON.UNSUPPORTED_PROTOCOL_VERSION) {
    return encodeConnack({ version: 4, sessionPresent: false, reasonCode: 1 })
  }
  const properties = { reasonString }
  const code = CONNACK_CODES.has(reasonCode) ? reasonCode : REASON.UNSPECIFIED_ERROR
  return encodeConnack({ version: 5, sessionPresent: false, reasonCode: code, properties })
}
