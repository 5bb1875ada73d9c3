/** Limits of listeners and sockets; none of them depends on a protocol. */

/** Sockets one listener holds at once; one more is closed at once and logged. */
export const CONNECTIONS_MAX_DEFAULT = 65_536

/** Sockets the kernel may queue for us while the process is busy. */
export const BACKLOG_SIZE = 1024

/** A peer that does not finish its TLS handshake holds a socket and nothing else this long. */
export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000

/** How long a socket lives after `end`: time for the peer to read our last words. */
export const LINGER_MS = 5_000

/** Smallest output buffer; most turns of most connections fit into it. */
export const SLAB_BYTES_MIN = 16_384

/** Output beyond it is given to the socket at once instead of at the end of the turn. */
export const FLUSH_BYTES = 262_144

/** Largest output buffer that is kept for reuse; what needs more is rare. */
export const SLAB_BYTES_MAX: number = 4 * 1024 * 1024

/** Bytes of free output buffers kept: enough small ones for the sockets that one turn serves. */
export const SLABS_POOLED_BYTES_MAX: number = 32 * 1024 * 1024

/** A client that has not asked for a WebSocket by then is closed. */
export const HTTP_REQUEST_TIMEOUT_MS = 10_000

/** How often a WebSocket is asked whether its peer is there: proxies close what is quiet longer. */
export const WEB_SOCKET_PING_MS = 30_000

/** A packet of the largest size goes into one message; it is held until it is whole. */
export const WEB_SOCKET_MESSAGE_BYTES_MAX: number = 16 * 1024 * 1024 + 128 * 1024

/** Frames of one WebSocket message; each costs an object until the message is whole. */
export const MESSAGE_FRAGMENTS_MAX = 16_384

/** Protocols that share a port are told apart by fewer bytes than these. */
export const FIRST_BYTES_MAX = 64

/** A connection to such a port that has not said by then what it speaks is closed. */
export const FIRST_BYTES_TIMEOUT_MS = 10_000

/** A connection of HTTP/1.1 without an open request is closed after once or twice this time. */
export const HTTP_IDLE_MS = 30_000

/** Content of a request that may wait in the process; beyond it the client is not read. */
export const HTTP_UNTAKEN_BYTES_MAX: number = 256 * 1024

/** The first wait for an answer of a name server. */
export const NAMES_TIMEOUT_MS = 2000
