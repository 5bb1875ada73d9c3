import { z } from 'zod'
import { NAME_LENGTH_MAX, PASSWORD_LENGTH_MAX } from '../limits.ts'
import { PAGE_ROWS_MAX, SEARCH_LENGTH_MAX } from './limits.ts'

const name = z.string().min(1).max(NAME_LENGTH_MAX)
const flag = z.enum(['true', 'false']).transform((text) => text === 'true')

export interface LoginBody {
  readonly username: string
  readonly password: string
}
export const loginBody: z.ZodType<LoginBody> = z.strictObject({
  username: name,
  password: z.string().min(1).max(PASSWORD_LENGTH_MAX),
})

/** By what a list of destinations may be ordered. */
export const DESTINATION_ORDERS = [
  'name',
  'vhost',
  'profile',
  'ready',
  'unsettled',
  'held',
  'consumers',
  'readyBytes',
  'lag',
] as const
export type DestinationOrder = (typeof DESTINATION_ORDERS)[number]

export interface DestinationPageQuery {
  /** Default: all. */
  readonly vhost?: string | undefined
  readonly profile?: 'queue' | 'topic' | undefined
  /** What the name contains, whatever its case. */
  readonly search?: string | undefined
  /** Default `name`. */
  readonly sort?: DestinationOrder | undefined
  readonly descending?: boolean | undefined
  readonly offset?: number | undefined
  readonly limit?: number | undefined
}
export const destinationPageQuery: z.ZodType<DestinationPageQuery> = z.strictObject({
  vhost: name.optional(),
  profile: z.enum(['queue', 'topic']).optional(),
  search: z.string().max(SEARCH_LENGTH_MAX).optional(),
  sort: z.enum(DESTINATION_ORDERS).optional(),
  descending: flag.optional(),
  offset: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).optional(),
})

export interface EventsQuery {
  /** One destination that is looked at closely; both or none. */
  readonly vhost?: string | undefined
  readonly destination?: string | undefined
}
export const eventsQuery: z.ZodType<EventsQuery> = z.strictObject({
  vhost: name.optional(),
  destination: name.optional(),
})
