/** A message of a call; as much as gRPC takes when nothing else is said. */
export const MESSAGE_BYTES_MAX_DEFAULT: number = 4 * 1024 * 1024

/** Any other frame: metadata, details and descriptions of services. */
export const CONTROL_BYTES_MAX = 262_144

/** Before somebody has logged in: enough for any mechanism of SASL, with a token of 16 KiB. */
export const LOGIN_BYTES_MAX = 20_480

/** What a provider hands over of the descriptors of its services: some hundred files of `.proto`. */
export const DESCRIPTORS_BYTES_MAX: number = 1024 * 1024

/** ATTACH, which has descriptors beside what any other frame may have. */
export const ATTACH_BYTES_MAX: number = CONTROL_BYTES_MAX + DESCRIPTORS_BYTES_MAX

/** Entries of one frame: each costs an object or two. */
export const METADATA_ENTRIES_MAX = 1024

/** Details of one status. */
export const DETAILS_MAX = 64

/** First room for a frame that a read has cut; it grows with what comes. */
export const KEPT_BYTES_FIRST = 4096
