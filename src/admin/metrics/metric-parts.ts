import type { AdminParts } from '../admin-parts.ts'

/** What metrics are read from. */
export type MetricParts = Pick<AdminParts, 'broker' | 'protocols' | 'status' | 'figures'>
