/** Kafka's protocol as bytes: messages of every version that is served, and their numbers. */
export { API_VERSIONS } from './api-keys.gen.ts'
export { API_CODECS, type ApiMessages, type ApiName } from './apis.gen.ts'
export { ERROR } from './errors.gen.ts'
export { KafkaReader } from './kafka-reader.ts'
export { KafkaWriter, NO_RECORDS } from './kafka-writer.ts'
export { KafkaMessageError } from './message-error.ts'
export {
  readRequestHeader,
  type RequestHeader,
  requestSize,
  SIZE_BYTES,
  writeResponseHeader,
} from './message-header.ts'
export { encodeMarker } from './record-batch-writer.ts'
export { BATCH_FIELD, CODEC, placeBatch } from './record-batch.ts'
export { ZERO_UUID } from './uuid.ts'
