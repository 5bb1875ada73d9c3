/** Calls that wait while the connection is being made; one more is refused. */
export const PENDING_CALLS_MAX = 10_000

/** Until a connection stands and somebody has logged in on it. */
export const CONNECT_TIMEOUT_MS = 10_000

/** The first wait before connecting again; each is longer than the one before. */
export const RECONNECT_FIRST_MS = 100
export const RECONNECT_MAX_MS = 10_000
export const RECONNECT_FACTOR = 1.6

/** Nothing came for so long: the server is asked whether it is there. */
export const IDLE_MS = 30_000

/** Calls that a server may have open with a provider; the capacity it granted is below it. */
export const INCOMING_CALLS_MAX = 65_536

/** Calls that a provider takes at once when nothing else is said. */
export const CONCURRENCY_DEFAULT = 128

/** How long a provider that closes waits for the calls it has. */
export const CLOSE_GRACE_MS = 10_000

/** gRPC servers end connections that ask whether they are there more than once in five minutes. */
export const GRPC_IDLE_MS = 330_000

/** Methods whose request heads are kept; the memory begins anew when it is full. */
export const PATHS_MAX = 1024
/** Calls that one caller may have open with a provider that listens. */
export const DIRECT_CALLS_MAX = 8192

/** How long is asked about a call that is stored, and how long one question may take. */
export const DURABLE_ASK_MS = 10_000

/** Before such a question is asked again; twice as long each time. */
export const DURABLE_RETRY_MS = 50
export const DURABLE_RETRY_MS_MAX = 2000

/** So long before the end of a token another one is asked for, if it is good for longer. */
export const TOKEN_RENEWAL_MS = 60_000

/** Whoever makes tokens is asked no more often. */
export const TOKEN_RETRY_MS = 1000

/** Instances of one service that are connected to; those beyond it are not. */
export const INSTANCES_MAX = 1024

/** A name is looked up again after so long, as gRPC does; sooner when its TTL is shorter, within bounds. */
export const DNS_INTERVAL_MS = 30_000
export const DNS_INTERVAL_MS_MIN = 5000

/** How often it is looked whether an instance that left the list has ended its calls. */
export const RETIRE_CHECK_MS = 1000

/** Before a watch that has ended is begun again; twice as long each time. */
export const WATCH_RETRY_MS = 200
export const WATCH_RETRY_MS_MAX = 10_000

/** Questions to a server about its services, and how long they may take in all before it is attached without. */
export const REFLECTION_MS = 5000
export const REFLECTION_QUESTIONS_MAX = 1024
