import type { ArgumentDialect } from '../../broker/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { TOPIC_CONFIG, topicSettings } from './topic-config.ts'

/** Kafka's topic configuration, where topics are changed by others than its clients. */
export const KAFKA_ARGUMENTS: ArgumentDialect = {
  takes: (spec, key) => spec.profile === 'topic' && TOPIC_CONFIG.has(key),
  isFixed: () => false,
  // In Kafka's requests every value is a text.
  valueOf: (value) => (typeof value === 'object' ? value : String(value)),
  settings(spec) {
    const config = TOPIC_CONFIG.set(spec.arguments)
    for (const [key, value] of config) {
      const fault = TOPIC_CONFIG.fault(key, value)
      if (fault !== null) throw new BrokerError('PRECONDITION_FAILED', fault)
    }
    return topicSettings(config)
  },
}
