/** Limits of the HTTP API. */

/** A request body above it is refused unread: nothing the API takes comes near it. */
export const BODY_BYTES_MAX: number = 1024 * 1024

/** Longest name of a virtual host, user, policy: what AMQP's short strings carry. */
export const NAME_LENGTH_MAX = 255

/** Longer passwords gain nothing and make hashing them an attack. */
export const PASSWORD_LENGTH_MAX = 1024

/** Longest regular expression for permissions and policies. */
export const PATTERN_LENGTH_MAX = 4096

/** Messages on one page of those that wait: each is read from disk. */
export const SCHEDULES_PAGE_MAX = 1000
/** Traced messages that one answer shows: each may have a hundred steps. */
export const TRACES_SHOWN_MAX = 100

/** Of a page in RabbitMQ's management API, which has the same. */
export const PAGE_SIZE_DEFAULT = 100
export const PAGE_SIZE_MAX = 500

/** A regular expression that narrows a list runs over thousands of names. */
export const LIST_PATTERN_LENGTH_MAX = 255

/** Definitions of some ten thousand queues; RabbitMQ's own limit for them. */
export const DEFINITIONS_BYTES_MAX: number = 20 * 1024 * 1024

/** Global parameters, which nobody but their writers reads. */
export const PARAMETERS_MAX = 1000

/** Messages that one `get` over HTTP takes out, and octets of them: all are in memory at once. */
export const MESSAGES_GOT_MAX = 10_000
export const MESSAGES_GOT_BYTES_MAX: number = 64 * 1024 * 1024

/** Connections whose rates are remembered for RabbitMQ's tools: some 3 MB. */
export const RATES_NAMED_MAX = 10_000

/** Who consumes over HTTP at a time: people and scripts, each with a megabyte ahead of it. */
export const DELIVERY_STREAMS_MAX = 100
/** Octets of deliveries that wait for a client that reads slowly; then it is given no more. */
export const DELIVERY_BYTES_AHEAD: number = 1024 * 1024
/** Unsettled deliveries of one such client. */
export const DELIVERIES_UNSETTLED_MAX = 10_000

/** Queues and topics on a page of metrics: a dozen series each. */
export const METRICS_PAGE_SIZE = 1000
export const METRICS_PAGE_MAX = 10_000

/** Definitions that are declared at once: as many wait for one sync of the disk. */
export const IMPORTED_AT_ONCE = 256

/**
 * Bindings that a list sorts and answers with at once: some 10 ms. Longer lists come in the order in
 * which they are kept, piece by piece.
 */
export const BINDINGS_SORTED_MAX = 10_000
/** What is looked at of a long list until others go on: a few milliseconds. */
export const LIST_STEP_COUNT = 5000
/** Characters of a long list that are made at once: a millisecond. */
export const LIST_TEXT_LENGTH: number = 64 * 1024
