import { z } from 'zod'
import { PAGE_ROWS_MAX, SEARCH_LENGTH_MAX } from '../console/limits.ts'
import { NAME_LENGTH_MAX, PATTERN_LENGTH_MAX } from '../limits.ts'
import type { VhostParams } from '../schemas.ts'
import type { MethodShape } from '../../model/shapes/services.ts'
import { LEASE_MS_MAX, LEASE_MS_MIN } from '../../rpc/directory/limits.ts'
import {
  INSTANCE_WEIGHT_MAX,
  CALL_DEADLINE_MS_MAX,
  CALL_METADATA_MAX,
  CALL_REQUESTS_MAX,
} from './limits.ts'

/** Query strings have no other way to say yes. */
const flag = z.enum(['true', 'false']).transform((text) => text === 'true')
const name = z.string().min(1).max(NAME_LENGTH_MAX)

export interface ServiceParams extends VhostParams {
  readonly service: string
}
export const serviceParams: z.ZodType<ServiceParams> = z.strictObject({
  vhost: name,
  service: name,
})

export interface MethodParams extends ServiceParams {
  readonly method: string
}
export const methodParams: z.ZodType<MethodParams> = z.strictObject({
  vhost: name,
  service: name,
  method: name,
})

/** By what a list of services may be ordered. */
const SERVICE_ORDERS = [
  'name',
  'vhost',
  'instances',
  'outstanding',
  'calls',
  'failed',
  'waiting',
] as const
export type ServiceOrder = (typeof SERVICE_ORDERS)[number]

export interface ServicePageQuery {
  /** Default: all. */
  readonly vhost?: string | undefined
  /** What the name contains, whatever its case. */
  readonly search?: string | undefined
  /** Default `name`. */
  readonly sort?: ServiceOrder | undefined
  readonly descending?: boolean | undefined
  readonly offset?: number | undefined
  readonly limit?: number | undefined
}
export const servicePageQuery: z.ZodType<ServicePageQuery> = z.strictObject({
  vhost: name.optional(),
  search: z.string().max(SEARCH_LENGTH_MAX).optional(),
  sort: z.enum(SERVICE_ORDERS).optional(),
  descending: flag.optional(),
  offset: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).optional(),
})

export interface CallBody {
  /** Each as JSON; several are a stream. Default: one that is `{}`. */
  readonly messages?: readonly unknown[] | undefined
  /** Default 10 s. */
  readonly deadlineMs?: number | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Ends with OK as soon as a provider has it. Default false. */
  readonly isOneWay?: boolean | undefined
}
export const callBody: z.ZodType<CallBody> = z.strictObject({
  messages: z.array(z.unknown()).max(CALL_REQUESTS_MAX).optional(),
  deadlineMs: z.number().int().min(1).max(CALL_DEADLINE_MS_MAX).optional(),
  metadata: z
    .record(name, z.string().max(PATTERN_LENGTH_MAX))
    .refine((entries) => Object.keys(entries).length <= CALL_METADATA_MAX, {
      message: `at most ${CALL_METADATA_MAX} entries`,
    })
    .optional(),
  isOneWay: z.boolean().optional(),
})

const jsonSchema = z.record(z.string(), z.unknown()).nullable()

/** What a provider says of its services, as `contractText` writes it. */
export const contractDescription: z.ZodType<
  Readonly<Record<string, Readonly<Record<string, MethodShape>>>>
> = z.record(
  z.string(),
  z.record(
    z.string(),
    z.object({
      kind: z.enum(['unary', 'serverStream', 'clientStream', 'bidi', 'oneway']),
      idempotency: z.enum(['none', 'idempotent', 'no-side-effects']),
      deadlineMs: z.number().nullable(),
      in: jsonSchema,
      out: jsonSchema,
      errors: z.record(z.string(), jsonSchema),
    }),
  ),
)

export interface InstanceParams extends ServiceParams {
  readonly instance: string
}
export const instanceParams: z.ZodType<InstanceParams> = z.strictObject({
  vhost: name,
  service: name,
  instance: name,
})

export interface InstancesQuery {
  readonly service?: string | undefined
}
export const instancesQuery: z.ZodType<InstancesQuery> = z.strictObject({
  service: name.optional(),
})

/** Where an instance listens; without a word of its time it is 30 s. */
export interface InstanceBody {
  readonly address: string
  readonly version?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly weight?: number | undefined
  readonly isServing?: boolean | undefined
  readonly ttlMs?: number | undefined
}
export const instanceBody: z.ZodType<InstanceBody> = z.strictObject({
  address: z.string().min(1),
  version: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  weight: z.int().min(1).max(INSTANCE_WEIGHT_MAX).optional(),
  isServing: z.boolean().optional(),
  ttlMs: z.int().min(LEASE_MS_MIN).max(LEASE_MS_MAX).optional(),
})
