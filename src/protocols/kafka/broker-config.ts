import { CONFIG_TYPE } from './config-spec.ts'
import type { KafkaLimits } from './limits.ts'

/** A setting of the broker as clients see it; it is changed where the broker is configured. */
export interface BrokerSetting {
  readonly name: string
  readonly value: string
  readonly type: number
}

/** What Kafka's clients and tools look for in a broker, by Kafka's names. */
export function brokerSettings(limits: KafkaLimits): readonly BrokerSetting[] {
  const { BOOLEAN, INT, LONG, STRING } = CONFIG_TYPE
  return [
    { name: 'auto.create.topics.enable', value: String(limits.autoCreateTopics), type: BOOLEAN },
    { name: 'broker.id', value: '0', type: INT },
    { name: 'compression.type', value: 'producer', type: STRING },
    { name: 'connections.max.idle.ms', value: String(limits.idleMs), type: LONG },
    { name: 'default.replication.factor', value: '1', type: INT },
    { name: 'delete.topic.enable', value: 'true', type: BOOLEAN },
    { name: 'fetch.max.bytes', value: String(limits.fetchBytesMax), type: INT },
    { name: 'log.cleanup.policy', value: 'delete', type: STRING },
    { name: 'log.message.timestamp.type', value: 'CreateTime', type: STRING },
    { name: 'log.retention.bytes', value: '-1', type: LONG },
    { name: 'log.retention.ms', value: '604800000', type: LONG },
    { name: 'log.segment.bytes', value: '1073741824', type: INT },
    { name: 'message.max.bytes', value: String(limits.messageBytesMax), type: INT },
    { name: 'min.insync.replicas', value: '1', type: INT },
    { name: 'node.id', value: '0', type: INT },
    { name: 'num.partitions', value: String(limits.partitionsDefault), type: INT },
    { name: 'offsets.topic.replication.factor', value: '1', type: INT },
    { name: 'socket.request.max.bytes', value: String(limits.requestBytesMax), type: INT },
    { name: 'transaction.state.log.min.isr', value: '1', type: INT },
    { name: 'transaction.state.log.replication.factor', value: '1', type: INT },
  ]
}
