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
