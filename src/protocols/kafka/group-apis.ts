import { api, type Api } from './api-table.ts'
import {
  handleConsumerGroupDescribe,
  handleConsumerGroupHeartbeat,
} from './handlers/consumer-groups.ts'
import {
  handleDeleteGroups,
  handleDescribeGroups,
  handleHeartbeat,
  handleJoinGroup,
  handleLeaveGroup,
  handleListGroups,
  handleSyncGroup,
} from './handlers/groups.ts'
import { handleOffsetCommit, handleOffsetDelete, handleOffsetFetch } from './handlers/offsets.ts'
import { handleShareAcknowledge, handleShareFetch } from './handlers/share-fetch.ts'
import {
  handleAlterShareGroupOffsets,
  handleDeleteShareGroupOffsets,
  handleDescribeShareGroupOffsets,
  handleShareGroupDescribe,
  handleShareGroupHeartbeat,
} from './handlers/share-groups.ts'
import {
  handleAddOffsetsToTxn,
  handleAddPartitionsToTxn,
  handleDescribeProducers,
  handleDescribeTransactions,
  handleEndTxn,
  handleInitProducerId,
  handleListTransactions,
  handleTxnOffsetCommit,
} from './handlers/transactions.ts'

/** What coordinators serve: groups of all kinds with their offsets, and transactions. */
export const GROUP_APIS: readonly Api[] = [
  api('OffsetCommit', handleOffsetCommit),
  api('OffsetFetch', handleOffsetFetch),
  api('JoinGroup', handleJoinGroup),
  api('Heartbeat', handleHeartbeat),
  api('LeaveGroup', handleLeaveGroup),
  api('SyncGroup', handleSyncGroup),
  api('DescribeGroups', handleDescribeGroups),
  api('ListGroups', handleListGroups),
  api('InitProducerId', handleInitProducerId),
  api('AddPartitionsToTxn', handleAddPartitionsToTxn),
  api('AddOffsetsToTxn', handleAddOffsetsToTxn),
  api('EndTxn', handleEndTxn),
  api('TxnOffsetCommit', handleTxnOffsetCommit),
  api('DeleteGroups', handleDeleteGroups),
  api('OffsetDelete', handleOffsetDelete),
  api('DescribeProducers', handleDescribeProducers),
  api('DescribeTransactions', handleDescribeTransactions),
  api('ListTransactions', handleListTransactions),
  api('ConsumerGroupHeartbeat', handleConsumerGroupHeartbeat),
  api('ConsumerGroupDescribe', handleConsumerGroupDescribe),
  api('ShareGroupHeartbeat', handleShareGroupHeartbeat),
  api('ShareGroupDescribe', handleShareGroupDescribe),
  api('ShareFetch', handleShareFetch),
  api('ShareAcknowledge', handleShareAcknowledge),
  api('DescribeShareGroupOffsets', handleDescribeShareGroupOffsets),
  api('AlterShareGroupOffsets', handleAlterShareGroupOffsets),
  api('DeleteShareGroupOffsets', handleDeleteShareGroupOffsets),
]
