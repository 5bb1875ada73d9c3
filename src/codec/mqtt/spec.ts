/** Types of control packets (MQTT 5 section 2.1.2). */
export const PACKET = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14,
  AUTH: 15,
} as const

/** The protocol level of CONNECT: 3 is MQTT 3.1, 4 is 3.1.1. */
export type Version = 3 | 4 | 5

/** A packet type whose properties are meant, or `WILL`: those of the will in CONNECT. */
export type PropertyScope = number

/** No packet has the type 0, so it stands for the will. */
export const WILL = 0

export type PropertyKind = 'byte' | 'uint16' | 'uint32' | 'varint' | 'utf8' | 'binary' | 'utf8-pair'

/** What section 2.2.2.2 says of a property. */
export interface PropertySpec {
  readonly id: number
  readonly name: keyof Properties
  readonly kind: PropertyKind
  /** Bit `1 << type` for each packet type it may stand in. */
  readonly scopes: number
  readonly min: number
  readonly max: number
}

/** Properties by the names of the specification; what is absent was not sent. */
export interface Properties {
  readonly payloadFormatIndicator?: number | undefined
  readonly messageExpiryInterval?: number | undefined
  readonly contentType?: string | undefined
  readonly responseTopic?: string | undefined
  readonly correlationData?: Buffer | undefined
  readonly subscriptionIdentifiers?: readonly number[] | undefined
  readonly sessionExpiryInterval?: number | undefined
  readonly assignedClientIdentifier?: string | undefined
  readonly serverKeepAlive?: number | undefined
  readonly authenticationMethod?: string | undefined
  readonly authenticationData?: Buffer | undefined
  readonly requestProblemInformation?: number | undefined
  readonly willDelayInterval?: number | undefined
  readonly requestResponseInformation?: number | undefined
  readonly responseInformation?: string | undefined
  readonly serverReference?: string | undefined
  readonly reasonString?: string | undefined
  readonly receiveMaximum?: number | undefined
  readonly topicAliasMaximum?: number | undefined
  readonly topicAlias?: number | undefined
  readonly maximumQos?: number | undefined
  readonly retainAvailable?: number | undefined
  readonly userProperties?: readonly (readonly [string, string])[] | undefined
  readonly maximumPacketSize?: number | undefined
  readonly wildcardSubscriptionAvailable?: number | undefined
  readonly subscriptionIdentifierAvailable?: number | undefined
  readonly sharedSubscriptionAvailable?: number | undefined
}

/** Section 2.2.2.2, table 2-4, with the bounds the sections of the packets give. */
const SPECS: readonly PropertySpec[] = [
  { id: 1, name: 'payloadFormatIndicator', kind: 'byte', scopes: 0x0009, min: 0, max: 1 },
  { id: 2, name: 'messageExpiryInterval', kind: 'uint32', scopes: 0x0009, min: 0, max: 4294967295 },
  { id: 3, name: 'contentType', kind: 'utf8', scopes: 0x0009, min: 0, max: 0 },
  { id: 8, name: 'responseTopic', kind: 'utf8', scopes: 0x0009, min: 0, max: 0 },
  { id: 9, name: 'correlationData', kind: 'binary', scopes: 0x0009, min: 0, max: 0 },
  {
    id: 11,
    name: 'subscriptionIdentifiers',
    kind: 'varint',
    scopes: 0x0108,
    min: 1,
    max: 268435455,
  },
  {
    id: 17,
    name: 'sessionExpiryInterval',
    kind: 'uint32',
    scopes: 0x4006,
    min: 0,
    max: 4294967295,
  },
  { id: 18, name: 'assignedClientIdentifier', kind: 'utf8', scopes: 0x0004, min: 0, max: 0 },
  { id: 19, name: 'serverKeepAlive', kind: 'uint16', scopes: 0x0004, min: 0, max: 65535 },
  { id: 21, name: 'authenticationMethod', kind: 'utf8', scopes: 0x8006, min: 0, max: 0 },
  { id: 22, name: 'authenticationData', kind: 'binary', scopes: 0x8006, min: 0, max: 0 },
  { id: 23, name: 'requestProblemInformation', kind: 'byte', scopes: 0x0002, min: 0, max: 1 },
  { id: 24, name: 'willDelayInterval', kind: 'uint32', scopes: 0x0001, min: 0, max: 4294967295 },
  { id: 25, name: 'requestResponseInformation', kind: 'byte', scopes: 0x0002, min: 0, max: 1 },
  { id: 26, name: 'responseInformation', kind: 'utf8', scopes: 0x0004, min: 0, max: 0 },
  { id: 28, name: 'serverReference', kind: 'utf8', scopes: 0x4004, min: 0, max: 0 },
  { id: 31, name: 'reasonString', kind: 'utf8', scopes: 0xcaf4, min: 0, max: 0 },
  { id: 33, name: 'receiveMaximum', kind: 'uint16', scopes: 0x0006, min: 1, max: 65535 },
  { id: 34, name: 'topicAliasMaximum', kind: 'uint16', scopes: 0x0006, min: 0, max: 65535 },
  { id: 35, name: 'topicAlias', kind: 'uint16', scopes: 0x0008, min: 1, max: 65535 },
  { id: 36, name: 'maximumQos', kind: 'byte', scopes: 0x0004, min: 0, max: 1 },
  { id: 37, name: 'retainAvailable', kind: 'byte', scopes: 0x0004, min: 0, max: 1 },
  { id: 38, name: 'userProperties', kind: 'utf8-pair', scopes: 0xcfff, min: 0, max: 0 },
  { id: 39, name: 'maximumPacketSize', kind: 'uint32', scopes: 0x0006, min: 1, max: 4294967295 },
  { id: 40, name: 'wildcardSubscriptionAvailable', kind: 'byte', scopes: 0x0004, min: 0, max: 1 },
  { id: 41, name: 'subscriptionIdentifierAvailable', kind: 'byte', scopes: 0x0004, min: 0, max: 1 },
  { id: 42, name: 'sharedSubscriptionAvailable', kind: 'byte', scopes: 0x0004, min: 0, max: 1 },
]

/** Properties by id; there are none above 42. */
export const PROPERTIES: readonly (PropertySpec | undefined)[] = Array.from(
  { length: 43 },
  (_, id) => SPECS.find((spec) => spec.id === id),
)

/** Ids of the properties that a PUBLISH is looked through for. */
export const PROPERTY = {
  PAYLOAD_FORMAT_INDICATOR: 1,
  MESSAGE_EXPIRY_INTERVAL: 2,
  CONTENT_TYPE: 3,
  RESPONSE_TOPIC: 8,
  CORRELATION_DATA: 9,
  SUBSCRIPTION_IDENTIFIER: 11,
  SESSION_EXPIRY_INTERVAL: 17,
  ASSIGNED_CLIENT_IDENTIFIER: 18,
  SERVER_KEEP_ALIVE: 19,
  AUTHENTICATION_METHOD: 21,
  AUTHENTICATION_DATA: 22,
  REQUEST_PROBLEM_INFORMATION: 23,
  WILL_DELAY_INTERVAL: 24,
  REQUEST_RESPONSE_INFORMATION: 25,
  RESPONSE_INFORMATION: 26,
  SERVER_REFERENCE: 28,
  REASON_STRING: 31,
  RECEIVE_MAXIMUM: 33,
  TOPIC_ALIAS_MAXIMUM: 34,
  TOPIC_ALIAS: 35,
  MAXIMUM_QOS: 36,
  RETAIN_AVAILABLE: 37,
  USER_PROPERTY: 38,
  MAXIMUM_PACKET_SIZE: 39,
  WILDCARD_SUBSCRIPTION_AVAILABLE: 40,
  SUBSCRIPTION_IDENTIFIER_AVAILABLE: 41,
  SHARED_SUBSCRIPTION_AVAILABLE: 42,
} as const

/** Reason codes (section 2.4). */
export const REASON = {
  SUCCESS: 0x00,
  NORMAL_DISCONNECTION: 0x00,
  GRANTED_QOS0: 0x00,
  GRANTED_QOS1: 0x01,
  GRANTED_QOS2: 0x02,
  DISCONNECT_WITH_WILL_MESSAGE: 0x04,
  NO_MATCHING_SUBSCRIBERS: 0x10,
  NO_SUBSCRIPTION_EXISTED: 0x11,
  CONTINUE_AUTHENTICATION: 0x18,
  RE_AUTHENTICATE: 0x19,
  UNSPECIFIED_ERROR: 0x80,
  MALFORMED_PACKET: 0x81,
  PROTOCOL_ERROR: 0x82,
  IMPLEMENTATION_SPECIFIC_ERROR: 0x83,
  UNSUPPORTED_PROTOCOL_VERSION: 0x84,
  CLIENT_IDENTIFIER_NOT_VALID: 0x85,
  BAD_USER_NAME_OR_PASSWORD: 0x86,
  NOT_AUTHORIZED: 0x87,
  SERVER_UNAVAILABLE: 0x88,
  SERVER_BUSY: 0x89,
  BANNED: 0x8a,
  SERVER_SHUTTING_DOWN: 0x8b,
  BAD_AUTHENTICATION_METHOD: 0x8c,
  KEEP_ALIVE_TIMEOUT: 0x8d,
  SESSION_TAKEN_OVER: 0x8e,
  TOPIC_FILTER_INVALID: 0x8f,
  TOPIC_NAME_INVALID: 0x90,
  PACKET_IDENTIFIER_IN_USE: 0x91,
  PACKET_IDENTIFIER_NOT_FOUND: 0x92,
  RECEIVE_MAXIMUM_EXCEEDED: 0x93,
  TOPIC_ALIAS_INVALID: 0x94,
  PACKET_TOO_LARGE: 0x95,
  MESSAGE_RATE_TOO_HIGH: 0x96,
  QUOTA_EXCEEDED: 0x97,
  ADMINISTRATIVE_ACTION: 0x98,
  PAYLOAD_FORMAT_INVALID: 0x99,
  RETAIN_NOT_SUPPORTED: 0x9a,
  QOS_NOT_SUPPORTED: 0x9b,
  USE_ANOTHER_SERVER: 0x9c,
  SERVER_MOVED: 0x9d,
  SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: 0x9e,
  CONNECTION_RATE_EXCEEDED: 0x9f,
  MAXIMUM_CONNECT_TIME: 0xa0,
  SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED: 0xa1,
  WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED: 0xa2,
} as const
