/** Limits of the console. */

/** How long a login lasts: a working day, and RabbitMQ's default. */
export const SESSION_MS: number = 8 * 60 * 60 * 1000

/** Logins at a time, each some hundred bytes; one more ends the oldest. */
export const SESSIONS_MAX = 1000

/** Pages that are kept up to date at a time; one more is refused. */
export const STREAMS_MAX = 100

/** What a page may leave unread before it misses a beat. */
export const STREAM_BYTES_MAX: number = 64 * 1024

/** How often counters are read while somebody looks. */
export const SAMPLE_MS = 1000

/** Beats that a page gets when it begins to look: five minutes. */
export const SAMPLES_KEPT_MAX = 300

/** Rows on one page of a list. */
export const PAGE_ROWS_MAX = 200

/** Longest text that a list is searched for. */
export const SEARCH_LENGTH_MAX = 255

/** Messages on one page of those that wait: each is read from disk. */
export const BROWSE_COUNT_MAX = 50

/** Of a longer body the beginning is shown. */
export const BROWSE_BODY_BYTES_MAX: number = 16 * 1024

/** Bodies of messages that are published by hand, below what a request may carry in base64. */
export const PUBLISH_BODY_BYTES_MAX: number = 512 * 1024

/** Nodes of the picture of one virtual host: more cannot be told apart on a screen. */
export const PICTURE_NODES_MAX = 200

/** Lines of the log in one answer. */
export const LOG_LINES_MAX = 500

/** Bindings shown of one destination; there may be a million. */
export const BINDINGS_SHOWN_MAX = 500
/** Pairs of exchange and target that a picture looks at: some 20 ms. */
export const ARROWS_LOOKED_MAX = 100_000
