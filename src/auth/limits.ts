/** What one verification of a password costs; see `scrypt` in node:crypto. */
export interface ScryptCost {
  /** Rounds are 2 to this power; with `blockSize` 8 each one takes 1 KiB of memory. */
  readonly log2Rounds: number
  readonly blockSize: number
  readonly parallelism: number
}

/** 32 MiB and some 60 ms on a small machine: dear to guess with, bearable for a login. */
export const PASSWORD_COST: ScryptCost = { log2Rounds: 15, blockSize: 8, parallelism: 1 }

/** Everybody knows the password of the first user, so hiding it would only slow the start. */
export const KNOWN_PASSWORD_COST: ScryptCost = { log2Rounds: 10, blockSize: 8, parallelism: 1 }

/** A stored hash may ask for no more than this: 1 GiB. */
export const LOG2_ROUNDS_MAX = 20

/** RFC 7677, and what Kafka's clients refuse to go below. */
export const SCRAM_ITERATIONS_MIN = 4096

/** The most that Kafka has: who steals the store should have to work, and browsers can still. */
export const SCRAM_ITERATIONS = 16_384

/** A stored verifier may ask a client for no more: a second or so. */
export const SCRAM_ITERATIONS_MAX = 1_000_000

export const SCRAM_SALT_BYTES = 16

/** A name of the longest kind, every character escaped, and two nonces. */
export const SCRAM_MESSAGE_BYTES_MAX = 4096

/** Hashing shares Node's four worker threads with the disk; half of them stay free for it. */
export const HASHINGS_AT_ONCE_MAX = 2

/** Logins that wait for a thread. Above it they are refused: no client waits a minute. */
export const HASHINGS_WAITING_MAX = 1000

/** Of those from one address: a fleet behind one gateway has room, and others have as much. */
export const HASHINGS_WAITING_PER_ADDRESS_MAX = 500

/** Different passwords of one user from one address; equal ones are hashed once. */
export const HASHINGS_WAITING_PER_USER_MAX = 4

/** Passwords found right and remembered, so that reconnecting costs no hashing. */
export const VERIFICATIONS_CACHED_MAX = 10_000

/** Room for a token of an identity provider. */
export const PASSWORD_BYTES_MAX = 16_384

export const USER_NAME_LENGTH_MAX = 255

/** Names remembered for each user, virtual host and kind of permission; more start afresh. */
export const PERMISSION_NAMES_CACHED_MAX = 1000

/** Longer names, such as some topics are, are looked at each time. */
export const PERMISSION_NAME_CACHED_LENGTH_MAX = 255

/** Pairs of user and address whose failures are remembered; the oldest is forgotten first. */
export const FAILURES_REMEMBERED_MAX = 10_000

/** So many wrong passwords are nobody's attack. */
export const FAILURES_FREE = 3

/** The first delay; each further failure doubles it. */
export const FAILURE_DELAY_MS_MIN = 250
export const FAILURE_DELAY_MS_MAX = 5000

/** An attempt that would have to wait longer is refused unseen. */
export const FAILURE_WAIT_MS_MAX = 10_000

/** How often a login that has an end is looked at, since the machine's clock may be set. */
export const EXPIRY_CHECK_MS = 5000

/** Names and scopes of tokens that are in use; more are refused once none of them has expired. */
export const TOKEN_GRANTS_MAX = 100_000

/** What a token allowed is kept so long behind its end: for the last will of who had it. */
export const TOKEN_GRANT_KEPT_MS = 300_000

/** Failures are forgotten when none was added for so long. */
export const FAILURE_MEMORY_MS = 900_000

/** Logins held back at one time, over all users; above it they are refused unseen. */
export const LOGINS_DELAYED_MAX = 1000
