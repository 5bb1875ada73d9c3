/** Of a registration that says none. */
export const LEASE_MS_DEFAULT = 30_000

/** Renewed more often, registrations would cost more than calls. */
export const LEASE_MS_MIN = 1000

/** What nobody has renewed for a day is gone. */
export const LEASE_MS_MAX = 86_400_000

/** Registrations of one virtual host. */
export const LEASES_MAX = 16_384

/** Octets of one registration: names, address and labels. */
export const LEASE_BYTES_MAX = 8192

/** Events in one message, so that it stays far below the smallest limit of a client. */
export const EVENTS_PER_MESSAGE_MAX = 64

/** Watches of one connection's login; one more is refused. */
export const WATCHES_MAX = 256

/** Instances in the answer of List; with more, Watch tells them in parts. */
export const LIST_MAX = 4096
