/** How a topic is compacted: of each key the last message is kept. */
export interface CompactionPolicy {
  /** It is worth it when this part of the log or more was never compacted. 0..1 */
  readonly dirtyRatioMin: number
  /** And when that is so many bytes: a topic is not written again for a handful of messages. */
  readonly dirtyBytesMin: number
  /** It is done all the same when the oldest message that waits for it waits so long. */
  readonly lagMsMax: number
  /** Messages are left alone for so long. */
  readonly lagMsMin: number
  /** How long a message without a body, which deletes its key, stays once it was compacted. */
  readonly tombstoneMs: number
}
