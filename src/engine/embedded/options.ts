import type { Clock } from '../../lib/clock.ts'
import type { Disk } from '../../storage/disk.ts'

const MIB = 1024 * 1024

/** Every bound of the embedded engine, with its default and the reason for it. */
export interface EmbeddedLimits {
  /**
   * A segment takes no new group beyond this. Smaller ones free space sooner, larger ones keep
   * fewer files. Default 32 MiB: with 10 GB stored, 320 files, and a crash re-reads one of them.
   */
  readonly segmentBytes: number
  /** At this size the segments are synced and the journal begins again. Default 64 MiB. */
  readonly journalBytesMax: number
  /** The newest entries of all durable logs kept for `peek`. Default 32 MiB. */
  readonly tailCacheBytesMax: number
  /** Entries read from disk, the longest unused of which go first. Default 32 MiB. */
  readonly readCacheBytesMax: number
  /** What is read from disk in one go at least, for the reads that follow. Default 256 KiB. */
  readonly readAheadBytes: number
  /** Entries of all volatile logs in memory; older ones go to a scratch file. Default 128 MiB. */
  readonly volatileBytesMax: number
  /** With less free space the state is `low-space`. Default 256 MiB. */
  readonly diskFreeBytesMin: number
  /** Default 130 MiB: AMQP clients may send 128 MiB, and whoever stores it adds some header. */
  readonly entryBytesMax: number
}

export const DEFAULT_LIMITS: EmbeddedLimits = {
  segmentBytes: 32 * MIB,
  journalBytesMax: 64 * MIB,
  tailCacheBytesMax: 32 * MIB,
  readCacheBytesMax: 32 * MIB,
  readAheadBytes: 256 * 1024,
  volatileBytesMax: 128 * MIB,
  diskFreeBytesMin: 256 * MIB,
  entryBytesMax: 130 * MIB,
}

/** Positions in a segment are 32 bits; a group may go past the limit by one group. */
export const SEGMENT_BYTES_MAX: number = 1024 * MIB

/** How often a full device is tried again. */
export const FULL_RETRY_MS = 1000
/** So many files are made or closed side by side; more only queue up for the disk. */
export const FILES_AT_ONCE = 16
/** Whoever makes a backup and is not heard of for so long is taken for dead. */
export const FREEZE_LEASE_MS: number = 10 * 60 * 1000
/** How often free space and the lock are looked at. */
export const WATCH_INTERVAL_MS = 5000
/** After so many bytes written, free space is looked at without waiting for the interval. */
export const WATCH_BYTES: number = 64 * MIB

/** One of `directory`, `memory` and `disk` says where the store is. */
export interface EmbeddedOptions extends Partial<EmbeddedLimits> {
  readonly clock: Clock
  /** A directory of the machine; made when it is not there. */
  readonly directory?: string
  /** Nothing survives the process. */
  readonly memory?: boolean
  /** For tests: a disk that cuts the power, fills up or breaks. */
  readonly disk?: Disk
}
