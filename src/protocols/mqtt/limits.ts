/** What one connection may use. Every limit says what happens when it is reached. */
export interface MqttLimits {
  /** Largest packet, in bytes with its header; a larger one ends the connection with 0x95. */
  readonly packetSizeMax: number
  /** Messages of QoS 1 and 2 that a client may have under way to us; one more ends it: 0x93. */
  readonly receiveMaximum: number
  /** Topic aliases a client may use; a higher one ends the connection with 0x94. */
  readonly topicAliasMaximum: number
  /** The highest QoS; a publish or a will of a higher one ends the connection with 0x9B. */
  readonly maximumQos: 0 | 1 | 2
  /** False: a retained publish or will ends the connection with 0x9A, and nothing is retained. */
  readonly isRetainAvailable: boolean
  /** Messages of QoS 1 and 2 under way to a client, if it does not ask for fewer; others wait. */
  readonly inFlightMax: number
  /** Longest keep-alive in seconds; MQTT 5 clients are told, for others it counts unsaid. */
  readonly keepAliveSecondsMax: number
  /** Longest session expiry in seconds; a longer one is cut to it. Infinity: no limit. */
  readonly sessionExpirySecondsMax: number
  /** Subscriptions of one session; one more is refused with 0x97. */
  readonly subscriptionsMax: number
  /** Levels of a topic or filter; more are refused with 0x90 and 0x8F. */
  readonly levelsMax: number
  /** Output a client does not read; beyond it QoS 0 is dropped and its requests wait. */
  readonly outputBytesMax: number
  /** How often `$SYS` topics that changed are published, in seconds; 0: never. */
  readonly sysIntervalSeconds: number
  /** From accept to CONNECT; then the socket is closed without a word. */
  readonly connectTimeoutMs: number
  /** Topics whose route or match one connection remembers; others are looked up each time. */
  readonly topicsCachedMax: number
}

/** Mosquitto's defaults where it has one. */
export const DEFAULT_LIMITS: MqttLimits = {
  // The largest body of any protocol here, with room for topic and properties.
  packetSizeMax: 16 * 1024 * 1024 + 128 * 1024,
  receiveMaximum: 20,
  topicAliasMaximum: 10,
  maximumQos: 2,
  isRetainAvailable: true,
  // Mosquitto has 20, which costs a round trip for every 20 messages.
  inFlightMax: 1000,
  keepAliveSecondsMax: 65_535,
  sessionExpirySecondsMax: Infinity,
  subscriptionsMax: 65_536,
  levelsMax: 200,
  outputBytesMax: 4 * 1024 * 1024,
  sysIntervalSeconds: 10,
  connectTimeoutMs: 10_000,
  topicsCachedMax: 2048,
}

/** Topics that are longer are looked up each time: 2048 of them could take 200 MiB. */
export const REMEMBERED_BYTES_MAX = 1024

/** All topics that have an alias, for each way of a connection; none is made, or taken, beyond. */
export const ALIASED_BYTES_MAX: number = 1024 * 1024

/** All filters of a session, as UTF-16; one that does not fit is refused with 0x97. */
export const FILTERS_LENGTH_MAX: number = 4 * 1024 * 1024

/** Before a client is known: a CONNECT with every field at its longest fits. */
export const CONNECT_BYTES_MAX: number = 512 * 1024
