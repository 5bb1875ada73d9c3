/** Streams of Attach of one login on one connection. */
export const ATTACHMENTS_MAX = 256

/** What a provider says of itself, but for its descriptors, which have limits of their own. */
export const REGISTER_BYTES_MAX = 262_144

/** What libraries of gRPC take when nothing else is said; with all that is around a request. */
export const TO_PROVIDER_BYTES_MAX: number = 4 * 1024 * 1024

/** A larger message cannot be one of calls that we allow. */
export const TO_PROVIDER_BYTES_LIMIT: number = 256 * 1024 * 1024

/** What waits for a provider that does not read; a call with one more request ends. */
export const QUEUED_BYTES_MAX: number = 16 * 1024 * 1024

/** What a message of Attach may have around the reply in it: metadata, details, numbers. */
export const ENVELOPE_BYTES_MAX = 262_144
