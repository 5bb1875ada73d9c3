/** Limits of HTTP/2 connections: what a peer may make this side hold or do. */

/** Largest frame taken, the smallest that RFC 9113 allows to say (§4.2): a cut frame is held. */
export const FRAME_BYTES_MAX = 16_384

/** A header block is held until its last CONTINUATION; twice the largest list, for bad coding. */
export const HEADER_BLOCK_BYTES_MAX = 65_536

/** Header list as §6.5.2 counts it: gRPC metadata of 8 KiB is usual, cookies reach 16 KiB. */
export const HEADER_LIST_BYTES_MAX = 32_768

/** Frames of one header block: whoever cuts 64 KiB into more pieces wastes our time on purpose. */
export const CONTINUATIONS_MAX = 32

/** Dynamic table of each direction: the default of §6.5.2, which every peer has room for. */
export const HEADER_TABLE_BYTES_MAX = 4096

/** Streams a peer may have open at once; gRPC servers allow 100 to unlimited. */
export const STREAMS_MAX_DEFAULT = 1000

/** What a peer may send on one stream before it is taken. */
export const STREAM_WINDOW_BYTES_DEFAULT: number = 256 * 1024

/** What a peer may send on all streams before it is taken: the memory one connection can claim. */
export const CONNECTION_WINDOW_BYTES_DEFAULT: number = 1024 * 1024

/**
 * Streams that a peer may end early beyond those that end well. `replenish` gives back
 * `EARLY_ENDS_REPLENISHED` each second: rapid reset (CVE-2023-44487) makes many thousands.
 */
export const EARLY_ENDS_MAX = 1000
export const EARLY_ENDS_REPLENISHED = 200

/**
 * Frames that move nothing (PING, SETTINGS, PRIORITY, empty DATA and so on) beyond four for each
 * that does. gRPC clients that measure the path send a PING for every read.
 */
export const IDLE_FRAMES_MAX = 10_000
export const IDLE_FRAMES_REPLENISHED = 2000

/** Ended streams of which is known how they ended, for frames that were on their way. */
export const ENDED_STREAMS_KEPT = 256

/** Header lists whose coded form is kept for the next time. */
export const CODED_LISTS_MAX = 128
