/** What Kafka clients in other languages are asked to do; their drivers use these names. */
export const KAFKA_CHECKS = [
  'produce-consume',
  'codecs',
  'idempotent',
  'seek',
  'group',
  'transaction',
  'admin-topics',
  'admin-configs',
  'admin-groups',
  'delete-records',
  'sasl-plain',
  'wrong-password',
] as const
