import { z } from 'zod'
import { NAME_LENGTH_MAX, PASSWORD_LENGTH_MAX } from '../limits.ts'
import {
  BROWSE_COUNT_MAX,
  PAGE_ROWS_MAX,
  PUBLISH_BODY_BYTES_MAX,
  SEARCH_LENGTH_MAX,
} from './limits.ts'

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
const DESTINATION_ORDERS = [
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

export interface BrowseQuery {
  /** Of a topic. Default 0. */
  readonly partition?: number | undefined
  /** The first offset that may be shown. Default 0. */
  readonly from?: number | undefined
  readonly limit?: number | undefined
}
export const browseQuery: z.ZodType<BrowseQuery> = z.strictObject({
  partition: z.coerce.number().int().min(0).optional(),
  from: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(BROWSE_COUNT_MAX).optional(),
})

export interface PublishBody {
  /** Default: the default exchange, for which the key is the name of a queue or topic. */
  readonly exchange?: string | undefined
  readonly routingKey: string
  readonly body: string
  /** Default `utf8`. */
  readonly encoding?: 'utf8' | 'base64' | undefined
  readonly contentType?: string | undefined
  readonly messageId?: string | undefined
  readonly correlationId?: string | undefined
  readonly headers?: Readonly<Record<string, string | number | boolean>> | undefined
}
const text = z.string().max(NAME_LENGTH_MAX)
export const publishBody: z.ZodType<PublishBody> = z.strictObject({
  exchange: text.optional(),
  routingKey: text,
  body: z.string().max(PUBLISH_BODY_BYTES_MAX),
  encoding: z.enum(['utf8', 'base64']).optional(),
  contentType: name.optional(),
  messageId: name.optional(),
  correlationId: name.optional(),
  headers: z.record(name, z.union([text, z.number(), z.boolean()])).optional(),
})

/** By what a list of connections may be ordered. */
const CONNECTION_ORDERS = [
  'name',
  'protocol',
  'user',
  'vhost',
  'state',
  'channels',
  'consumers',
  'connectedAtMs',
  'receivedBytes',
  'sentBytes',
] as const
export type ConnectionOrder = (typeof CONNECTION_ORDERS)[number]

export interface ConnectionPageQuery {
  /** What its name, user, client, protocol or virtual host contains. */
  readonly search?: string | undefined
  /** Default `name`. */
  readonly sort?: ConnectionOrder | undefined
  readonly descending?: boolean | undefined
  readonly offset?: number | undefined
  readonly limit?: number | undefined
}
export const connectionPageQuery: z.ZodType<ConnectionPageQuery> = z.strictObject({
  search: z.string().max(SEARCH_LENGTH_MAX).optional(),
  sort: z.enum(CONNECTION_ORDERS).optional(),
  descending: flag.optional(),
  offset: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).optional(),
})

/** By what a list of subscriptions may be ordered. */
const SUBSCRIPTION_ORDERS = ['name', 'topic', 'kind', 'members', 'lag'] as const
export type SubscriptionOrder = (typeof SUBSCRIPTION_ORDERS)[number]

export interface SubscriptionPageQuery {
  /** Default: all. */
  readonly vhost?: string | undefined
  /** What its name or that of its topic contains. */
  readonly search?: string | undefined
  /** Default `name`. */
  readonly sort?: SubscriptionOrder | undefined
  readonly descending?: boolean | undefined
  readonly offset?: number | undefined
  readonly limit?: number | undefined
}
export const subscriptionPageQuery: z.ZodType<SubscriptionPageQuery> = z.strictObject({
  vhost: name.optional(),
  search: z.string().max(SEARCH_LENGTH_MAX).optional(),
  sort: z.enum(SUBSCRIPTION_ORDERS).optional(),
  descending: flag.optional(),
  offset: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).optional(),
})

export interface PictureQuery {
  /** What one end of a binding contains. */
  readonly search?: string | undefined
}
export const pictureQuery: z.ZodType<PictureQuery> = z.strictObject({
  search: z.string().max(SEARCH_LENGTH_MAX).optional(),
})

export interface LogQuery {
  /** The number of the last line that is known. Default 0: none. */
  readonly after?: number | undefined
}
export const logQuery: z.ZodType<LogQuery> = z.strictObject({
  after: z.coerce.number().int().min(0).optional(),
})
