/** Kafka's protocol on the broker, for one node that is its own controller. */
export { createKafka, type Kafka, type KafkaConnectionInfo, type KafkaOptions } from './kafka.ts'
export type { KafkaLimits } from './limits.ts'
