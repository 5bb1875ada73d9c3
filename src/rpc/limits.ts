/** Calls of one service that wait because every provider is busy; one more is refused. */
export const WAITING_CALLS_MAX = 1024

/** Requests held in a virtual host for calls that wait or may go to another provider. */
export const KEPT_BYTES_MAX: number = 64 * 1024 * 1024

/** A call with a longer request is not made again by the broker: its caller is told instead. */
export const KEPT_BYTES_PER_CALL_MAX = 65_536

/** Providers that may turn one call away before its caller is told. */
export const REROUTES_MAX = 3

/** Calls one provider may ask to have at once. */
export const CAPACITY_MAX = 65_536

/** Providers of one service: each pick looks at them. */
export const PROVIDERS_PER_SERVICE_MAX = 4096

/** Services of one virtual host; a name that nobody serves any more is forgotten. */
export const SERVICES_MAX = 16_384

/** Paths whose service is remembered; the memory begins anew when it is full. */
export const PATHS_CACHED_MAX = 4096

/** Calls that messages made in a virtual host and that have not ended; one more is refused. */
export const MESSAGE_CALLS_MAX = 8192

/** Calls that the consumers of one queue may have, or that wait for them in it, at once. */
export const QUEUE_CALLS_MAX = 1024

/** How often it is looked whether those who called by messages can still be answered. */
export const CALLER_CHECK_MS = 1000

/** Text of a status among the headers of an answer; the body has the whole of it. */
export const HEADER_TEXT_MAX = 1024

/** Names and values of one call's metadata, or of its trailers. */
export const METADATA_BYTES_MAX = 65_536

/** Details of a status; with a longer one it is sent without any. */
export const DETAILS_BYTES_MAX = 131_072

/** Characters of what a provider says of its contract: some hundred methods with their messages. */
export const CONTRACT_LENGTH_MAX = 65_536

/** Of all contracts in a virtual host, instances that say the same counted once. */
export const CONTRACTS_LENGTH_MAX: number = 16 * 1024 * 1024

/** Numbers and names of a service's providers, as somebody who calls all of them is told. */
export const PROVIDERS_TEXT_MAX = 32_768

/** How often it is looked whether a token has ended, by the clock on the wall. */
export const EXPIRY_CHECK_MS = 5000

/** Files of one set of descriptors, and what they define by a name of its own. */
export const DESCRIPTOR_FILES_MAX = 1024
export const DESCRIPTOR_SYMBOLS_MAX = 16_384

/** Of all sets in a virtual host, instances that hand over the same counted once. */
export const ALL_DESCRIPTORS_BYTES_MAX: number = 16 * 1024 * 1024
export const DESCRIPTOR_SETS_MAX = 1024
