/** Octets around a payload (section 4.2.3): type, channel, size in front, frame end behind. */
export const FRAME_OVERHEAD_BYTES = 8

/** Octets in front of a payload: type (1), channel (2), payload size (4). */
export const FRAME_HEADER_BYTES = 7

/** The smallest frame_max that may be agreed on (section 1.2, frame-min-size). */
export const FRAME_SIZE_MIN = 4096

/**
 * The largest frame taken before tune: RabbitMQ 4 allows 8,192, so that tokens fit into start-ok.
 * It also bounds what a stranger who has not logged in makes us keep.
 */
export const FRAME_SIZE_BEFORE_TUNE = 8192

/** What RabbitMQ offers in tune; every client copes with it. */
export const FRAME_SIZE_MAX_DEFAULT = 131_072

/** Stands for `frame_max` 0 ("no limit"): a peer's 32-bit size must never decide on our memory. */
export const FRAME_SIZE_HARD_MAX: number = 16 * 1024 * 1024

/** Tables and arrays nest this deep at most; x-death takes three. It bounds our recursion. */
export const FIELD_DEPTH_MAX = 32

/** Octets of a table that is decoded into values, each of which costs some ten times its octets. */
export const FIELD_TABLE_BYTES_MAX: number = 1024 * 1024

/** A short string's length is one octet. */
export const SHORT_STRING_BYTES_MAX = 255
