/**
 * What a store gives the broker, the same from a local disk, a cluster or a database.
 *
 * The data path takes arrays of bytes and callbacks, because a promise a message costs most of
 * the rate; the control path returns promises. An engine knows bytes, offsets and times, nothing
 * of queues, exchanges or protocols: whoever needs a new fact about a message puts it into the
 * bytes, never into this interface.
 */

/**
 * Why the engine could not do what was asked.
 *
 * - `ambiguous`: the outcome is unknown; never reported as success or as failure
 * - `fenced`: a writer with a newer epoch owns the log; this one can append nothing more
 * - `conflict`: a compare-and-set saw another revision than the one expected
 * - `not-found`: the offset is below the start or beyond the end of what is kept
 * - `too-large`: the entry is above `entryBytesMax`; nothing was stored
 * - `corrupt`: stored bytes do not carry their checksum; the message names file and position
 * - `io`: the device refused; the engine is unusable until it is opened again
 * - `locked`: another process has the store open
 * - `closed`: the engine was closed
 */
export type EngineErrorKind =
  | 'ambiguous'
  | 'fenced'
  | 'conflict'
  | 'not-found'
  | 'too-large'
  | 'corrupt'
  | 'io'
  | 'locked'
  | 'closed'

export class EngineError extends Error {
  readonly kind: EngineErrorKind

  constructor(kind: EngineErrorKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EngineError'
    this.kind = kind
  }
}

/** What a successful `synced` commit means: `memory` survives nothing, `fsync` a power cut. */
export type Durability = 'memory' | 'fsync'

/** What the engine truly gives; measured by the shared suite and shown to the operator. */
export interface Capabilities {
  readonly name: string
  readonly durability: Durability
  /** Largest entry that `Log.append` takes, in bytes. */
  readonly entryBytesMax: number
  /** How many operations one `Kv.commit` applies all or nothing. */
  readonly kvOpsMax: number
  /** Whether one commit over several logs is all or nothing. */
  readonly atomicAcrossLogs: boolean
}

/** One stored entry: opaque bytes that stand for `count` consecutive offsets. */
export interface LogEntry {
  readonly baseOffset: number
  readonly count: number
  /** Milliseconds since the epoch, given by the engine's clock when it was appended. */
  readonly timestampMs: number
  /** Never to be changed; stays valid as long as it is referenced. */
  readonly data: Buffer
}

export type Done = (error: EngineError | null) => void
export type ReadDone = (error: EngineError | null, entries: readonly LogEntry[]) => void

/** Head trimming by age and size; whole entries only, checked when segments roll and on demand. */
export interface Retention {
  readonly ageMsMax?: number
  readonly bytesMax?: number
}

export interface LogOptions {
  /** Where a writer with this epoch opens, every writer with a smaller one is fenced. */
  readonly epoch: number
  /**
   * A volatile log lives in memory up to a limit and then in a scratch file; it is never synced
   * and is empty after a restart. Default false.
   */
  readonly volatile?: boolean
  readonly retention?: Retention
}

/**
 * An append-only log of opaque entries with exactly one fenced writer: the opener.
 *
 * Offsets start at 0, are consecutive over entries of any count, and are never reused.
 */
export interface Log {
  readonly name: string
  /** The lowest offset that may still be read. */
  readonly startOffset: number
  /** The offset that the next `append` returns; counts appends not yet committed. */
  readonly nextOffset: number
  /** Everything below it is committed: written and, on a durable log, synced. */
  readonly committedOffset: number
  /** Bytes held on disk or, for a volatile log, in memory and scratch file. */
  readonly storedBytes: number

  /**
   * Stages an entry for the engine's next `commit` and returns its first offset. Takes the
   * buffer over: the caller must not change the bytes afterwards. Throws `too-large`, `closed`.
   *
   * `free` is called when the log needs the bytes no more and nobody was given them; if somebody
   * was, never.
   */
  append(data: Buffer, count: number, free?: () => void): number

  /**
   * The entry that contains `offset`, if it is in memory (staged, in flight or cached), else
   * null: then `read` brings it. Never touches the disk.
   */
  peek(offset: number): LogEntry | null

  /**
   * Reads entries in order, from the one that contains `offset` (or the next one kept) on, until
   * `bytesMax` is reached; always at least one entry unless at the end. What was read is in the
   * cache for `peek` afterwards. Staged entries are included. `not-found` below `startOffset`.
   *
   * With a `target`, what has to come from the disk is put there if there is room for it and some
   * 64 KiB more, and is in no cache: those entries are good until the caller writes there again.
   */
  read(offset: number, bytesMax: number, done: ReadDone, target?: Buffer): void

  /** First offset whose entry was appended at or after `timeMs`; `nextOffset` when none was. */
  offsetForTime(timeMs: number): Promise<number>

  /**
   * Says that the offsets from `from` up to, not including, `to` are needed no more. A hint: space
   * is freed when everything beside them is discarded too; repeated after a restart by the owner.
   */
  discard(from: number, to: number): void

  /** Applies the retention now (it is applied by itself when a segment fills up). */
  setRetention(retention: Retention): void

  /** Called after each commit that moved `committedOffset`. Replaces the listener. */
  onCommitted(listener: ((committedOffset: number) => void) | null): void

  close(): Promise<void>
}

/**
 * `written` answers when the operating system has the bytes (survives a crash of the process),
 * `synced` when the device has them (survives a power cut).
 */
export type CommitLevel = 'written' | 'synced'

export interface KvEntry {
  readonly key: string
  readonly value: Buffer
  /** Grows with every commit; the commit that wrote this value. */
  readonly revision: number
}

export interface KvOp {
  readonly key: string
  /** null deletes. */
  readonly value: Buffer | null
  /** 0: must not exist; a revision: must stand at it; absent: any. */
  readonly expect?: number
}

/** Consistent metadata: topology, users, policies, group state. Small values, read at start. */
export interface Kv {
  get(key: string): Promise<KvEntry | null>
  /** All or nothing and synced; rejects with `conflict` when an `expect` fails. */
  commit(ops: readonly KvOp[]): Promise<number>
  /** Every key that starts with `prefix`, in key order. */
  list(prefix: string): Promise<readonly KvEntry[]>
}

/** Says who owns what. Epochs only grow; safety comes from fenced writers, never from the clock. */
export interface Lease {
  readonly name: string
  readonly epoch: number
  release(): Promise<void>
}

export interface Leases {
  acquire(name: string): Promise<Lease>
}

/**
 * `ready`: all is well. `low-space`: free disk space is under the limit; whoever publishes must
 * wait. `full`: the device refuses writes; commits wait and are tried again, nothing is lost.
 * `failed`: the device broke; every commit fails with `io` until the engine is opened again.
 */
export type EngineState = 'ready' | 'low-space' | 'full' | 'failed'

export interface Engine extends AsyncDisposable {
  readonly capabilities: Capabilities
  readonly kv: Kv
  readonly leases: Leases
  readonly state: EngineState
  /** Bytes staged or in flight and not yet answered: what a publisher must wait for. */
  readonly uncommittedBytes: number

  /** Creates the log where it is not there; fences every writer with a smaller epoch. */
  openLog(name: string, options: LogOptions): Promise<Log>
  listLogs(): Promise<readonly string[]>
  /** Closes and removes the log with all it holds; nothing happens when it is not there. */
  deleteLog(name: string): Promise<void>

  /**
   * Commits all that was staged on any log since the last call as one group. Groups are answered
   * in call order. While one group is on its way to the disk, later ones gather and go together,
   * with one sync for all of them, however many logs they touch. Volatile logs wait for nothing.
   * A group with nothing to wait for is answered in a later turn too, never inside the call.
   */
  commit(level: CommitLevel, done: Done): void

  /** Called on each change of `state`, with a sentence for the operator. Replaces the listener. */
  onState(listener: ((state: EngineState, reason: string) => void) | null): void

  /** Commits what is staged, releases the lock. */
  close(): Promise<void>
}
