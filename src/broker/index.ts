export { parseRetrySetting, RETRY_KEYS } from './retry-policy.ts'
export { type Annotations, type DeathReason, type DeathRecord } from './annotations.ts'
export { type ArgumentDialect } from './argument-dialect.ts'
export { type BindingSpec } from './binding.ts'
export { Broker, type BrokerOptions, DEFAULT_VHOST } from './broker.ts'
export { type BrokerLog } from './broker-log.ts'
export { type CommitListener } from './commit-cycle.ts'
export { type Consumer, type DeliverySink, type Standing } from './consumer.ts'
export {
  type ConsumeOptions,
  type Destination,
  type DestinationSpec,
  type GetDone,
  type StreamStart,
} from './destination.ts'
export { Exchange, type ExchangeSpec } from './exchange.ts'
export { FILTER_ARGUMENTS, filteredOf, FilterFields, MessageFilter } from './filter/index.ts'
export { Flow, type FlowPeer, type HeldBack, INTAKE, Meter } from './flow/index.ts'
export { Inbox, type InboxSink } from './inbox.ts'
export { type KeySharing, keySharingOf } from './message-key.ts'
export { MessageReader } from './message-reader.ts'
export { type Pressure, type PressureListener } from './pressure.ts'
export { type DestinationPolicy } from './policy.ts'
export { CALL_EXCHANGE } from './predeclared-exchanges.ts'
export { Queue } from './queue.ts'
export { type RetainedDone, type RetainedMatch, type RetainedVisitor } from './retained-match.ts'
export { type RetainedSet } from './retained-set.ts'
export { PUBLISH, type PublishResult, type Route } from './route.ts'
export { type Session, type SessionOwner } from './session.ts'
export { type Claim, type SessionListener } from './sessions.ts'
export { StoredMessage } from './stored-message.ts'
export { type TimerIndex, type TimerTarget } from './timer-index.ts'
export { type StateTable } from './state-table.ts'
export { BatchDraft } from './topics/batch-draft.ts'
export {
  type Partition,
  type PartitionProducer,
  type PartitionWatcher,
} from './topics/partition.ts'
export { type Piece, type PiecesDone } from './topics/piece.ts'
export { type ProduceOutcome } from './topics/produce-outcome.ts'
export {
  type LeasedRange,
  type ReadStretch,
  type SettledRange,
  type SharedPartition,
  type SharedPartitionWatcher,
  type SharedSettlement,
  type SharingOptions,
} from './topics/shared-partition.ts'
export { type SharedSubscription, type SharedSubscriptions } from './topics/shared-subscriptions.ts'
export {
  type NewPosition,
  type OffsetSubscription,
  type PartitionPlace,
  type Position,
} from './topics/subscription.ts'
export { type Subscriptions } from './topics/subscriptions.ts'
export { type TimedOffset } from './topics/time-search.ts'
export { Topic } from './topics/topic.ts'
export { type ProducerIdentity, type Transaction } from './topics/transaction.ts'
export {
  type ProducerOutcome,
  type TransactionResult,
  type Transactions,
} from './topics/transactions.ts'
export { traceBatch, traceRange } from './tracing/topic-trace.ts'
export { vhostNotes } from './vhost-notes.ts'
export { VirtualHost } from './virtual-host.ts'
