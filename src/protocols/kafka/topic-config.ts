import type { DestinationPolicy } from '../../broker/index.ts'
import type { HeaderMap } from '../../model/header-value.ts'
import type { BatchRules } from './batch-check.ts'
import { bool, choice, ConfigTable, int, list, long, ratio, text } from './config-spec.ts'
import type { KafkaLimits } from './limits.ts'

const LONG_MAX = '9223372036854775807'
/** With less that is new a topic is not written again: it takes no room that matters. */
const DIRTY_BYTES_MIN = 1024 * 1024

/** Kafka 4's topic configuration with its defaults ('Topic Configs' of its documentation). */
export const TOPIC_CONFIG: ConfigTable = new ConfigTable('topic', [
  list('cleanup.policy', 'delete', ['compact', 'delete'], 'What becomes of old records.'),
  long('compression.gzip.level', '-1', -1, 'Not used: batches stay as their producers wrote them.'),
  long('compression.lz4.level', '9', 1, 'Not used: batches stay as their producers wrote them.'),
  choice(
    'compression.type',
    'producer',
    ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'],
    'Batches stay as their producers wrote them.',
  ),
  long('compression.zstd.level', '3', -131_072, 'Not used, as compression.gzip.level.'),
  long('delete.retention.ms', '86400000', 0, 'How long tombstones of a compacted topic are kept.'),
  long('file.delete.delay.ms', '60000', 0, 'Not used: freed files go at once.'),
  long('flush.messages', LONG_MAX, 1, 'Not used: every acknowledged record is on disk.'),
  long('flush.ms', LONG_MAX, 0, 'Not used: every acknowledged record is on disk.'),
  text('follower.replication.throttled.replicas', '', 'Not used: there are no followers.'),
  int('index.interval.bytes', '4096', 0, 'Not used.'),
  text('leader.replication.throttled.replicas', '', 'Not used: there are no followers.'),
  long('local.retention.bytes', '-2', -2, 'Not used: there is no remote storage.'),
  long('local.retention.ms', '-2', -2, 'Not used: there is no remote storage.'),
  long('max.compaction.lag.ms', LONG_MAX, 1, 'A record older than this is compacted soon.'),
  int('max.message.bytes', '1048588', 0, 'The largest batch that the topic takes.'),
  long('message.timestamp.after.max.ms', '3600000', 0, 'How far ahead a record may be dated.'),
  long('message.timestamp.before.max.ms', LONG_MAX, 0, 'How far back a record may be dated.'),
  choice(
    'message.timestamp.type',
    'CreateTime',
    ['CreateTime', 'LogAppendTime'],
    'Whether the producer or the broker dates records.',
  ),
  ratio('min.cleanable.dirty.ratio', '0.5', 'How much of a log is new before it is compacted.'),
  long('min.compaction.lag.ms', '0', 0, 'A record younger than this is not compacted.'),
  int('min.insync.replicas', '1', 1, 'Reported; one node is always in sync.'),
  bool('preallocate', 'false', 'Not used.'),
  bool('remote.log.copy.disable', 'false', 'Not used: there is no remote storage.'),
  bool('remote.log.delete.on.disable', 'false', 'Not used: there is no remote storage.'),
  bool('remote.storage.enable', 'false', 'Not used: there is no remote storage.'),
  long('retention.bytes', '-1', -2, 'Bytes that a partition keeps; -1: no limit.'),
  long('retention.ms', '604800000', -1, 'How long records are kept; -1: for ever.'),
  int('segment.bytes', '1073741824', 14, 'Bytes after which a new file begins.'),
  int('segment.index.bytes', '10485760', 4, 'Not used.'),
  long('segment.jitter.ms', '0', 0, 'Not used.'),
  long('segment.ms', '604800000', 1, 'How long records may wait until they are compacted.'),
  bool('unclean.leader.election.enable', 'false', 'Not used: there is one node.'),
])

/** What the broker acts on. */
export function topicSettings(config: HeaderMap): DestinationPolicy {
  const policies = TOPIC_CONFIG.list(config, 'cleanup.policy')
  const deletes = policies.includes('delete')
  const retentionMs = TOPIC_CONFIG.number(config, 'retention.ms')
  const retentionBytes = TOPIC_CONFIG.number(config, 'retention.bytes')
  return {
    ...(deletes && retentionMs >= 0 ? { ageMsMax: Math.max(retentionMs, 1) } : {}),
    ...(deletes && retentionBytes >= 0 ? { bytesMax: retentionBytes } : {}),
    ...(policies.includes('compact') ? { compaction: compactionPolicy(config) } : {}),
    segmentBytesMax: TOPIC_CONFIG.number(config, 'segment.bytes'),
  }
}

/** Kafka compacts what is not in the segment that is written, so a little is left alone. */
function compactionPolicy(config: HeaderMap): NonNullable<DestinationPolicy['compaction']> {
  const number = (name: string): number => TOPIC_CONFIG.number(config, name)
  return {
    dirtyRatioMin: number('min.cleanable.dirty.ratio'),
    dirtyBytesMin: Math.min(number('segment.bytes'), DIRTY_BYTES_MIN),
    lagMsMin: number('min.compaction.lag.ms'),
    lagMsMax: Math.min(number('max.compaction.lag.ms'), number('segment.ms')),
    tombstoneMs: number('delete.retention.ms'),
  }
}

/** What Produce checks each batch by. */
export function batchRules(config: HeaderMap, limits: KafkaLimits): BatchRules {
  const own = config.get('max.message.bytes')
  return {
    bytesMax: typeof own === 'string' ? Number(own) : limits.messageBytesMax,
    isCompacted: TOPIC_CONFIG.list(config, 'cleanup.policy').includes('compact'),
    isLogAppendTime: TOPIC_CONFIG.value(config, 'message.timestamp.type') === 'LogAppendTime',
    beforeMsMax: TOPIC_CONFIG.number(config, 'message.timestamp.before.max.ms'),
    afterMsMax: TOPIC_CONFIG.number(config, 'message.timestamp.after.max.ms'),
  }
}
