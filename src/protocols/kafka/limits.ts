/**
 * What the records of one compressed batch may take when they are opened. A batch of a megabyte,
 * the most a topic takes by default, opens to some ten of text; what opens to more than this is a
 * bomb. It bounds what one batch makes the broker hold and how long it holds up the others.
 */
export const OPENED_BYTES_MAX: number = 64 * 1024 * 1024

/** So many bad records of a batch are named to their producer; the first few are all he needs. */
export const RECORD_ERRORS_MAX: number = 1_000

/**
 * And what a stored batch may take when it is opened. It was held to the limit above when it came,
 * and that may have been higher then, so this one only keeps a broken batch from taking all there is.
 */
export const STORED_BYTES_MAX: number = 1024 * 1024 * 1024
