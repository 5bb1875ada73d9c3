/**
 * Bytes that are no message of Kafka's protocol: thrown only by the codec, caught only by the
 * connection, which ends. Kafka has no answer for them either.
 */
export class KafkaMessageError extends Error {
  override readonly name = 'KafkaMessageError'
}
