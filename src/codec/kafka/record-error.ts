/**
 * Octets that are no record: thrown only by the codec. Produced batches are checked before they are
 * stored, so that the message goes to their producer; it is worded as Kafka words it.
 */
export class RecordError extends Error {
  override readonly name = 'RecordError'
}
