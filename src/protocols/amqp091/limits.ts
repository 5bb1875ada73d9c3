/** What one connection may use. Every limit says what happens when it is reached. */
export interface Amqp091Limits {
  /** Highest channel number offered in tune; a higher one closes the connection with 530. */
  readonly channelMax: number
  /** Largest frame offered in tune, in bytes with its overhead. */
  readonly frameSizeMax: number
  /** Heartbeat interval offered in tune, in seconds; 0: none. The client's answer rules. */
  readonly heartbeatSeconds: number
  /** Largest body; a larger one closes the channel with 406. */
  readonly messageSizeMax: number
  /** Bodies of one connection that are announced and not complete; beyond it, 506. */
  readonly partialBytesMax: number
  /** Unacknowledged deliveries of one channel; beyond it, its consumers wait for acks. */
  readonly unackedMax: number
  /** Consumers of one channel; one more closes the channel with 406. */
  readonly consumersMax: number
  /** Bytes a client does not read; beyond it, its own requests are not read either. */
  readonly outputBytesMax: number
  /** Output not read, such as direct replies, which nothing else can hold back; beyond it, 506. */
  readonly replyBytesMax: number
  /**
   * Bytes that the open transactions of one connection keep in memory; the publish or settlement
   * that is too many closes its channel with 406.
   */
  readonly transactionBytesMax: number
  /** From accept to connection.open; then the socket is closed without a word. */
  readonly handshakeTimeoutMs: number
  /** How long a client may take to answer connection.close. */
  readonly closeTimeoutMs: number
  /** Addresses whose route one connection remembers; others are looked up each time. */
  readonly routesCachedMax: number
}

export const DEFAULT_LIMITS: Amqp091Limits = {
  // RabbitMQ's defaults, which client libraries are tested against.
  channelMax: 2047,
  frameSizeMax: 131_072,
  heartbeatSeconds: 60,
  // RabbitMQ 4's default; 3.x allowed 128 MiB, and nobody's broker liked it.
  messageSizeMax: 16 * 1024 * 1024,
  // Four of the largest messages at once: more is no honest client.
  partialBytesMax: 64 * 1024 * 1024,
  // 21 bytes each here and some in the broker: 40 MiB for a client that never acknowledges.
  unackedMax: 1 << 20,
  consumersMax: 65_536,
  outputBytesMax: 4 * 1024 * 1024,
  replyBytesMax: 64 * 1024 * 1024,
  transactionBytesMax: 128 * 1024 * 1024,
  handshakeTimeoutMs: 10_000,
  closeTimeoutMs: 10_000,
  // Enough for a publisher to a thousand queues; about 300 bytes each.
  routesCachedMax: 2048,
}

/** Server-properties name the longest thing clients print; the rest of their answer is bounded too. */
export const CLIENT_NAME_CHARS_MAX = 200
