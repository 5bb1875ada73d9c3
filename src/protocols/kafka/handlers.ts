import { api, type Api } from './api-table.ts'
import { GROUP_APIS } from './group-apis.ts'
import { handleCreateAcls, handleDeleteAcls, handleDescribeAcls } from './handlers/acls.ts'
import { handleApiVersions } from './handlers/api-versions.ts'
import {
  handleDescribeCluster,
  handleDescribeTopicPartitions,
  handleFindCoordinator,
  handleListPartitionReassignments,
} from './handlers/cluster.ts'
import {
  handleAlterConfigs,
  handleDescribeConfigs,
  handleIncrementalAlterConfigs,
  handleListConfigResources,
} from './handlers/configs.ts'
import { handleFetch } from './handlers/fetch.ts'
import { handleListOffsets } from './handlers/list-offsets.ts'
import { handleDescribeLogDirs } from './handlers/log-dirs.ts'
import { handleMetadata } from './handlers/metadata.ts'
import { handleOffsetForLeaderEpoch } from './handlers/offset-for-leader-epoch.ts'
import { handleProduce } from './handlers/produce.ts'
import { handleSaslAuthenticate, handleSaslHandshake } from './handlers/sasl.ts'
import { handleAlterClientQuotas, handleDescribeClientQuotas } from './handlers/quotas.ts'
import {
  handleCreatePartitions,
  handleCreateTopics,
  handleDeleteRecords,
  handleDeleteTopics,
} from './handlers/topics.ts'

const OPEN = { isOpen: true }

/** Every API that is served. A new one is a line here. */
export const HANDLERS: readonly Api[] = [
  api('Produce', handleProduce),
  api('Fetch', handleFetch),
  api('ListOffsets', handleListOffsets),
  api('Metadata', handleMetadata),
  api('FindCoordinator', handleFindCoordinator),
  api('SaslHandshake', handleSaslHandshake, OPEN),
  api('ApiVersions', handleApiVersions, OPEN),
  api('CreateTopics', handleCreateTopics),
  api('DeleteTopics', handleDeleteTopics),
  api('DeleteRecords', handleDeleteRecords),
  api('OffsetForLeaderEpoch', handleOffsetForLeaderEpoch),
  api('DescribeAcls', handleDescribeAcls),
  api('CreateAcls', handleCreateAcls),
  api('DeleteAcls', handleDeleteAcls),
  api('DescribeConfigs', handleDescribeConfigs),
  api('AlterConfigs', handleAlterConfigs),
  api('DescribeLogDirs', handleDescribeLogDirs),
  api('SaslAuthenticate', handleSaslAuthenticate, OPEN),
  api('IncrementalAlterConfigs', handleIncrementalAlterConfigs),
  api('ListPartitionReassignments', handleListPartitionReassignments),
  api('CreatePartitions', handleCreatePartitions),
  api('DescribeClientQuotas', handleDescribeClientQuotas),
  api('AlterClientQuotas', handleAlterClientQuotas),
  api('DescribeCluster', handleDescribeCluster),
  api('ListConfigResources', handleListConfigResources),
  api('DescribeTopicPartitions', handleDescribeTopicPartitions),
  ...GROUP_APIS,
]
