/** A message; as much as gRPC takes when nothing else is said. */
export const MESSAGE_BYTES_MAX_DEFAULT: number = 4 * 1024 * 1024

/** First room for a message that a read has cut; it grows with what comes. */
export const KEPT_BYTES_FIRST = 1024

/** What is left of a text that a trailer carries: header lists are limited, on both sides. */
export const STATUS_MESSAGE_BYTES_MAX = 4096

/** Details that do not fit are left out, as the header list would be refused with them. */
export const STATUS_DETAILS_BYTES_MAX = 6144
