const KIB = 1024
const MIB = 1024 * 1024
/** Of what a consumer says when a message fails; more is cut, for headers have to bear it. */
export const FAILURE_TEXT_BYTES_MAX = 255

const DAY_MS = 86_400_000

/** The broker's sizes, with their defaults and the reason for each. Tests make them small. */
export interface BrokerLimits {
  /**
   * Queues, streams and topics of one virtual host that has no `max-queues`. Default 250,000: more
   * than one broker of any kind serves well.
   */
  readonly destinationCountMax: number
  /** Partitions of all its topics, without `max-partitions`. Default 100,000: a file each. */
  readonly partitionTotalMax: number
  /** Its exchanges, without `max-exchanges`. Default 100,000. */
  readonly exchangeCountMax: number
  /** Its bindings, without `max-bindings`. Default 1 million, at some 400 bytes of memory each. */
  readonly bindingCountMax: number
  /**
   * Bindings of one exchange that each message is compared with, by headers or by a filter. Default
   * 10,000: some 2 ms for a message.
   */
  readonly comparedBindingsMax: number
  /** Its sessions, without `max-sessions`. Default 1 million: as many devices. */
  readonly sessionCountMax: number
  /** Its consumers, without `max-consumers`. Default 1 million. */
  readonly consumerCountMax: number
  /**
   * A stretch of the durable log that is freed, or moved, as a whole. Default 8 MiB: 10 GB of
   * messages are some 1,200 stretches, and moving the survivors of one takes milliseconds.
   */
  readonly extentBytes: number
  /** The same for transient messages. Default 1 MiB: memory comes back sooner. */
  readonly transientExtentBytes: number
  /** How much a cold reader asks a log for at once. Default 512 KiB. */
  readonly readAheadBytes: number
  /**
   * Records of one turn that make up one entry, unless they must stay together. Default 256 KiB:
   * large enough for one checksum and one write, small enough to be read for a single message.
   */
  readonly entryBytes: number
  /** A restart replays no more than this, or a few times what a snapshot takes. Default 64 MiB. */
  readonly replayBytesMax: number
  /** Under load, space is given back when this much is dead. Default 64 MiB. */
  readonly deadBytesMax: number
  /** A snapshot is stored in pieces of this size. Default 1 MiB. */
  readonly snapshotPieceBytes: number
  /**
   * Keys with a retained message in one virtual host; a further one is refused. Default 10
   * million: their index takes about 1 GB of memory.
   */
  readonly retainedCountMax: number
  /**
   * The longest value of the state table; a longer one is refused. Default 4 MiB: the producers of
   * one partition, tens of thousands of them, are the largest there is.
   */
  readonly stateValueBytesMax: number
  /** With less dead bytes the state table is not written again. Default 1 MiB, read in no time. */
  readonly stateDeadBytesMin: number
  /**
   * Positions of all subscriptions of one virtual host; a further one is refused. Default 1
   * million, which take some 300 MB of memory: a thousand readers of a thousand partitions.
   */
  readonly positionCountMax: number
  /** How long an unused subscription keeps its positions. Default 7 days, as Kafka does. */
  readonly positionRetentionMs: number
  /** How often positions are looked at for those whose time is over. Default 10 minutes. */
  readonly positionCheckMs: number
  /** The longest text a reader may leave with a position. Default 4096 bytes, as in Kafka. */
  readonly positionMetadataBytesMax: number
  /** Default 32767 bytes, the longest name that Kafka's protocol can carry in every version. */
  readonly subscriptionNameBytesMax: number
  /**
   * Keys that one compaction of a partition knows at a time; for more it takes several. Default
   * 500,000: some 60 MB of memory while it runs, and one runs at a time.
   */
  readonly compactedKeysMax: number
  /** Partitions of one topic. Default 10,000: each takes a file and some kilobytes of memory. */
  readonly partitionCountMax: number
  /**
   * What a restart reads of a partition at most. Default 16 MiB: some milliseconds, and a snapshot
   * of some kilobytes for each is little.
   */
  readonly partitionReplayBytesMax: number
  /**
   * Producers that a partition remembers to know what they send twice; beyond, those that were
   * silent for longest are forgotten. Default 20,000: 5 MB of memory.
   */
  readonly partitionProducersMax: number
  /** A producer that was silent for so long is forgotten. Default 1 day, as Kafka has it. */
  readonly producerExpiryMs: number
  /** Stretches of a partition whose largest time is known. Default 512: 12 KiB of memory. */
  readonly partitionStretchesMax: number
  /** How much is in such a stretch until there are too many. Default 256 KiB. */
  readonly partitionStretchBytes: number
  /** Transactional ids of one virtual host; a further one is refused. Default 100,000: 100 MB. */
  readonly transactionalIdCountMax: number
  /** The longest time-out a producer may ask for. Default 15 minutes, as Kafka has it. */
  readonly transactionTimeoutMsMax: number
  /** A transactional id that nobody uses is forgotten after so long. Default 7 days, as in Kafka. */
  readonly transactionalIdExpiryMs: number
  /** How often it is looked for those. Default 1 hour. */
  readonly transactionCheckMs: number
  /** How long a member of a shared subscription has a message to itself. Default 30 s. */
  readonly sharedLeaseMs: number
  /** How often a message of a shared subscription is given out. Default 5 times, as in Kafka. */
  readonly sharedAttemptsMax: number
  /**
   * How far a shared subscription may be ahead of its first unsettled message in a partition.
   * Default 2,000 offsets, as in Kafka: what is known of each is a range at worst.
   */
  readonly sharedInFlightMax: number
  /** Partitions of all shared subscriptions of a virtual host. Default 100,000: 100 MB at worst. */
  readonly sharedPartitionCountMax: number
  /**
   * Messages that wait in a key-shared queue for others of their key, passed by those behind them.
   * Default 100,000, which take 7 MB. With so many the queue looks no further until some of them
   * went out: what is behind them waits, and nothing is lost.
   */
  readonly keyFollowersMax: number
  /**
   * Different filters that consumers of one queue may have; a consumer with a further one is
   * refused. Default 1,000: a message that nobody wants is looked at by each, some 0.5 ms in all.
   */
  readonly queueFiltersMax: number
  /**
   * Messages that came back to a queue whose consumers filter, remembered for each filter until
   * they are looked at again; with more, all behind the first of them is looked at again. Default
   * 10,000, which take 80 KB.
   */
  readonly filterReturnsMax: number
  /**
   * Ids that a queue with deduplication remembers; with more the oldest is forgotten before its
   * time, and counted. Default 1 million, which take 32 MiB of memory outside the heap: 3,000
   * messages a second for five minutes.
   */
  readonly deduplicationIdsMax: number
  /**
   * Messages of one virtual host that wait under an id of their publisher's; one more is refused.
   * Default 10 million, which take up to 1 GB of memory outside the heap.
   */
  readonly scheduleIdCountMax: number
  /** Recurring schedules of one virtual host; one more is refused. Default 10,000. */
  readonly recurringCountMax: number
  /** Octets of all their messages, which are kept in memory. Default 64 MiB. */
  readonly recurringBytesMax: number
  /**
   * Messages of a queue that failed and wait with what their consumers said of it. Default 10,000:
   * 10 MB at most. Of further ones that is not kept; they wait and die like the others.
   */
  readonly failureTextsMax: number
}

export const DEFAULT_LIMITS: BrokerLimits = {
  destinationCountMax: 250_000,
  partitionTotalMax: 100_000,
  exchangeCountMax: 100_000,
  bindingCountMax: 1_000_000,
  comparedBindingsMax: 10_000,
  sessionCountMax: 1_000_000,
  consumerCountMax: 1_000_000,
  extentBytes: 8 * MIB,
  transientExtentBytes: MIB,
  readAheadBytes: 512 * KIB,
  entryBytes: 256 * KIB,
  replayBytesMax: 64 * MIB,
  deadBytesMax: 64 * MIB,
  snapshotPieceBytes: MIB,
  retainedCountMax: 10_000_000,
  stateValueBytesMax: 4 * MIB,
  stateDeadBytesMin: MIB,
  positionCountMax: 1_000_000,
  positionRetentionMs: 7 * DAY_MS,
  positionCheckMs: 600_000,
  positionMetadataBytesMax: 4096,
  subscriptionNameBytesMax: 32_767,
  compactedKeysMax: 500_000,
  partitionCountMax: 10_000,
  partitionReplayBytesMax: 16 * MIB,
  partitionProducersMax: 20_000,
  producerExpiryMs: 86_400_000,
  partitionStretchesMax: 512,
  partitionStretchBytes: 256 * KIB,
  transactionalIdCountMax: 100_000,
  transactionTimeoutMsMax: 900_000,
  transactionalIdExpiryMs: 7 * DAY_MS,
  transactionCheckMs: 3_600_000,
  sharedLeaseMs: 30_000,
  sharedAttemptsMax: 5,
  sharedInFlightMax: 2000,
  sharedPartitionCountMax: 100_000,
  keyFollowersMax: 100_000,
  queueFiltersMax: 1000,
  filterReturnsMax: 10_000,
  deduplicationIdsMax: 1_000_000,
  scheduleIdCountMax: 10_000_000,
  recurringCountMax: 10_000,
  recurringBytesMax: 64 * MIB,
  failureTextsMax: 10_000,
}
