import { KafkaMessageError, KafkaReader } from '../../codec/kafka/index.ts'
import { readConsumerProtocolSubscription } from '../../codec/kafka/messages/consumer-protocol-subscription.gen.ts'

/** The newest version there is; a newer one begins with the same fields. */
const VERSION_MAX = 3

/**
 * The topics a consumer told its group it subscribes to; null when that is not what `metadata` says.
 * Between clients only, so nothing else here looks into it.
 */
export function subscribedTopics(metadata: Buffer): readonly string[] | null {
  const reader = new KafkaReader()
  reader.open(metadata, 0, metadata.length)
  try {
    const version = Math.min(reader.int16(), VERSION_MAX)
    return version < 0 ? null : readConsumerProtocolSubscription(reader, version).topics
  } catch (error) {
    if (error instanceof KafkaMessageError) return null
    throw error
  }
}
