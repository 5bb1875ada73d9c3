import type { Metadata, MetadataValue } from '../rpc/metadata.ts'

/** What one call may say beside its input. */
export interface CallOptions {
  /** From now; default what the method says, or 10 s. Never longer than that of the call around it. */
  readonly deadlineMs?: number
  /** Cancels the call, also at the provider. */
  readonly signal?: AbortSignal
  /** Names ending in `-bin` have bytes, others text. */
  readonly metadata?:
    | Iterable<readonly [string, MetadataValue]>
    | Readonly<Record<string, MetadataValue>>
  /** What calls that belong together have in common, where the service balances by it. */
  readonly key?: string
  /** What the provider says ahead of its first answer, if anything. */
  readonly onHead?: (metadata: Metadata) => void
  readonly onTrailers?: (trailers: Metadata) => void
}
