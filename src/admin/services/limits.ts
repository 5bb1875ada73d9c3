/** Limits of what is shown of services, and of calls that are made by hand. */

/** Instances of one service that a page shows. */
export const INSTANCES_SHOWN_MAX = 200

/** Versions of one service in a row of the list. */
export const VERSIONS_SHOWN_MAX = 5

/** Rows of a page where nothing else is asked for. */
export const SERVICES_PAGE_ROWS = 50

/** Calls by hand that are open at once, of all who look; one more is refused. */
export const CALLS_BY_HAND_MAX = 32

/** Nobody waits longer with a page open; a deadline above it is refused. */
export const CALL_DEADLINE_MS_MAX = 300_000

/** Messages of one call by hand. */
export const CALL_REQUESTS_MAX = 100

/** What comes back of one call, in messages and octets; one that goes on is cancelled. */
export const CALL_REPLIES_MAX = 1000
export const CALL_REPLY_BYTES_MAX: number = 1024 * 1024

/** Entries of the metadata of one call. */
export const CALL_METADATA_MAX = 64

/** Of an instance beside others. */
export const INSTANCE_WEIGHT_MAX = 1_000_000
