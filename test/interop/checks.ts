/** What every third-party client is asked to do; each driver runs all of it under these names. */
export const CHECKS = [
  'declare',
  'server-named',
  'confirm',
  'consume',
  'ack',
  'nack-requeue',
  'dead-letter',
  'mandatory-return',
  'exclusive',
  'prefetch',
  'error-403',
  'error-404',
  'error-405',
  'error-406',
  'properties',
  'header-types',
] as const

export type CheckName = (typeof CHECKS)[number]
