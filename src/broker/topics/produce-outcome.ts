/**
 * What became of a batch. Only `appended` changed anything.
 *
 * - `duplicate`: it was stored before, at `baseOffset`; what it waits for may not be on disk yet
 * - `out-of-order`: its sequence does not follow the last one of its producer
 * - `fenced`: a newer epoch of its producer has written or ended a transaction here
 * - `in-transaction`: its producer has a transaction open here, and it is not part of one
 */
export type ProduceOutcome =
  | { readonly kind: 'appended' | 'duplicate'; readonly baseOffset: number }
  | { readonly kind: 'out-of-order' | 'fenced' | 'in-transaction' }

export const OUT_OF_ORDER: ProduceOutcome = { kind: 'out-of-order' }
export const FENCED: ProduceOutcome = { kind: 'fenced' }
export const IN_TRANSACTION: ProduceOutcome = { kind: 'in-transaction' }
