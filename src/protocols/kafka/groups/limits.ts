/** What a group may take and how long it waits. Every limit says what happens when it is reached. */
export interface GroupLimits {
  /** Shortest session a classic member may ask for; below it the join is refused with 26. */
  readonly sessionTimeoutMsMin: number
  /** Longest session a classic member may ask for; above it the join is refused with 26. */
  readonly sessionTimeoutMsMax: number
  /**
   * How long the first rebalance of an empty group waits for more members; each one that comes
   * meanwhile makes it wait as long again, up to the rebalance timeout. 0: not at all.
   */
  readonly initialRebalanceDelayMs: number
  /** How long a join of a new member may be parked; its client is told to try again. */
  readonly newMemberJoinTimeoutMs: number
  /** Members of one group, with those that were only given an id; one more is refused with 81. */
  readonly membersMax: number
  /** Members of one share group; one more is refused with 81. */
  readonly shareMembersMax: number
  /** Share consumers that read at the same time; one more is refused with 133. */
  readonly shareSessionsMax: number
  /** What members of one group may have us keep; beyond it a join is refused with 81. */
  readonly groupBytesMax: number
  /** The same over all groups of a virtual host. */
  readonly bytesMax: number
  /** Groups of one virtual host; one more is refused with 15. */
  readonly groupsMax: number
  /** A member of a consumer or share group that is silent so long is gone. */
  readonly memberSessionTimeoutMs: number
  /** Shortest heartbeat members of consumer and share groups are told to keep. */
  readonly heartbeatIntervalMsMin: number
  /** Longest heartbeat members of consumer and share groups are told to keep. */
  readonly heartbeatIntervalMsMax: number
  /** Different regular expressions in one group; one more is refused with 81. */
  readonly patternsMax: number
  /** Characters of a regular expression; a longer one is refused with 128. */
  readonly patternLengthMax: number
  /** How long a group without members is remembered; its offsets are kept by the broker. */
  readonly emptyGroupMs: number
}

/** Kafka's defaults where it has one and no word here says otherwise. */
export const DEFAULT_GROUP_LIMITS: GroupLimits = {
  sessionTimeoutMsMin: 6_000,
  sessionTimeoutMsMax: 1_800_000,
  // Kafka waits 3 s, which every test suite pays for each group. Consumers that start together
  // join within milliseconds of one another, and each of them prolongs the wait.
  initialRebalanceDelayMs: 100,
  newMemberJoinTimeoutMs: 300_000,
  // Kafka has no limit; a member costs about a kilobyte beside what it sends.
  membersMax: 10_000,
  shareMembersMax: 200,
  shareSessionsMax: 2_000,
  // 100 members that subscribe to 1,000 topics by name send 3 MB.
  groupBytesMax: 64 * 1024 * 1024,
  bytesMax: 256 * 1024 * 1024,
  groupsMax: 100_000,
  memberSessionTimeoutMs: 45_000,
  // Kafka has 5 s, and a member learns of a rebalance no sooner. Ours grows with the group, so that
  // one group sends no more than 100 heartbeats a second: 1 s up to 100 members, 5 s from 500 on.
  heartbeatIntervalMsMin: 1_000,
  heartbeatIntervalMsMax: 5_000,
  patternsMax: 100,
  patternLengthMax: 1_024,
  emptyGroupMs: 600_000,
}

/** A group sends about so many heartbeats a second, whatever its size. */
const HEARTBEATS_PER_SECOND_MAX = 100

/** What members of a consumer or share group are told about time. */
export interface MemberTimes {
  readonly heartbeatIntervalMs: number
  readonly sessionTimeoutMs: number
}

/** Where nobody has said otherwise for the group. */
export function defaultTimes(limits: GroupLimits, memberCount: number): MemberTimes {
  const { heartbeatIntervalMsMin, heartbeatIntervalMsMax, memberSessionTimeoutMs } = limits
  const fairMs = Math.ceil((memberCount * 1000) / HEARTBEATS_PER_SECOND_MAX)
  return {
    heartbeatIntervalMs: Math.min(Math.max(fairMs, heartbeatIntervalMsMin), heartbeatIntervalMsMax),
    sessionTimeoutMs: memberSessionTimeoutMs,
  }
}
