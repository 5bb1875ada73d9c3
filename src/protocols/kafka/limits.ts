/**
 * What the records of one compressed batch may take when they are opened. A batch of a megabyte,
 * the most a topic takes by default, opens to some ten of text; what opens to more than this is a
 * bomb. It bounds what one batch makes the broker hold and how long it holds up the others.
 */
export const OPENED_BYTES_MAX: number = 64 * 1024 * 1024

/** So many bad records of a batch are named to their producer; the first few are all he needs. */
export const RECORD_ERRORS_MAX: number = 1_000

/**
 * And what a stored batch may take when it is opened. It was held to the limit above when it came,
 * and that may have been higher then, so this one only keeps a broken batch from taking all there is.
 */
export const STORED_BYTES_MAX: number = 1024 * 1024 * 1024

/** What one Kafka listener allows; the names in comments are those of Kafka's own configuration. */
export interface KafkaLimits {
  /** `socket.request.max.bytes`: a larger request closes the connection. */
  readonly requestBytesMax: number
  /** `sasl.server.max.receive.size`: so much may a request hold before anybody has logged in. */
  readonly loginBytesMax: number
  /** Requests of one connection that wait for their answer; beyond it the socket is not read. */
  readonly inFlightMax: number
  /** Bytes of answers that a client has not taken; beyond it the socket is not read. */
  readonly outputBytesMax: number
  /** `connections.max.idle.ms` */
  readonly idleMs: number
  /** How long a connection may be open without having logged in or asked anything. */
  readonly loginMs: number
  /** `connection.failed.authentication.delay.ms` */
  readonly failedLoginDelayMs: number
  /** `fetch.max.bytes`: what one Fetch answers at most, whatever the client asks. */
  readonly fetchBytesMax: number
  /** A longer `max_wait_ms` is cut to this, so that no parked Fetch outlives its client for long. */
  readonly fetchWaitMsMax: number
  /** `auto.create.topics.enable` */
  readonly autoCreateTopics: boolean
  /** `num.partitions` */
  readonly partitionsDefault: number
  /** Partitions of one topic; each has a log of its own, so they are not free. */
  readonly partitionsMax: number
  /** `message.max.bytes`: the largest batch a topic takes unless its configuration says otherwise. */
  readonly messageBytesMax: number
  /** What one compressed batch may open to. */
  readonly openedBytesMax: number
}

const MIB = 1024 * 1024

/**
 * What is read from disk at once: what a consumer asks of one partition unless told otherwise
 * (`max.partition.fetch.bytes`).
 */
export const BLOCK_BYTES_MAX: number = MIB

/** Reads begun before they are asked for; each holds a buffer until then. */
export const READS_AHEAD_MAX = 32

/** Kafka 4's defaults, where it has one. */
export const DEFAULT_LIMITS: KafkaLimits = {
  requestBytesMax: 100 * MIB,
  loginBytesMax: 512 * 1024,
  inFlightMax: 1000,
  outputBytesMax: 64 * MIB,
  idleMs: 600_000,
  loginMs: 30_000,
  failedLoginDelayMs: 100,
  fetchBytesMax: 55 * MIB,
  fetchWaitMsMax: 60_000,
  autoCreateTopics: true,
  partitionsDefault: 1,
  partitionsMax: 10_000,
  messageBytesMax: MIB + 12,
  openedBytesMax: OPENED_BYTES_MAX,
}

/** `max.topic.name.length`; a longer name is refused with INVALID_TOPIC_EXCEPTION. */
export const TOPIC_NAME_LENGTH_MAX = 249

/** The one broker that a client sees: it leads every partition and coordinates every group. */
export const NODE_ID = 0

/** Leadership never moves, so its epoch never does. */
export const LEADER_EPOCH = 0
