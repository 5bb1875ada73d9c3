import { z } from 'zod'
import { NAME_LENGTH_MAX, PATTERN_LENGTH_MAX, TRACES_SHOWN_MAX } from './limits.ts'

const name = z.string().min(1).max(NAME_LENGTH_MAX)
const id = z.string().min(1).max(PATTERN_LENGTH_MAX)

export interface TraceRuleBody {
  /** Default: all virtual hosts. */
  readonly vhost?: string | undefined
  /** Which part of the messages, above 0. Default 1: all. */
  readonly sample?: number | undefined
  readonly destination?: string | undefined
  readonly exchange?: string | undefined
  readonly key?: string | undefined
  readonly user?: string | undefined
  readonly header?: { readonly name: string; readonly value: string } | undefined
  readonly id?: string | undefined
  /** Default: until it is stopped. */
  readonly forMs?: number | undefined
  /** Default: any number. */
  readonly countMax?: number | undefined
}
export const traceRuleBody: z.ZodType<TraceRuleBody> = z.strictObject({
  vhost: name.optional(),
  sample: z.number().positive().max(1).optional(),
  destination: name.optional(),
  exchange: z.string().max(NAME_LENGTH_MAX).optional(),
  key: id.optional(),
  user: name.optional(),
  header: z.strictObject({ name, value: z.string().max(PATTERN_LENGTH_MAX) }).optional(),
  id: id.optional(),
  forMs: z.number().int().positive().optional(),
  countMax: z.number().int().positive().optional(),
})

export interface TraceMessagesQuery {
  /** Absent: those traced last. */
  readonly id?: string | undefined
  readonly limit?: number | undefined
}
export const traceMessagesQuery: z.ZodType<TraceMessagesQuery> = z.strictObject({
  id: id.optional(),
  limit: z.coerce.number().int().min(1).max(TRACES_SHOWN_MAX).optional(),
})

export interface WhereQuery {
  readonly id: string
  /** Absent: among those that are delayed. */
  readonly destination?: string | undefined
  /** Of a topic. Default 0. */
  readonly partition?: number | undefined
  /** Where an earlier search stopped. */
  readonly from?: number | undefined
}
export const whereQuery: z.ZodType<WhereQuery> = z.strictObject({
  id,
  destination: name.optional(),
  partition: z.coerce.number().int().min(0).optional(),
  from: z.coerce.number().int().min(0).optional(),
})

export interface WhyQuery {
  /** Of a destination, subscription, consumer or client; absent: all. */
  readonly name?: string | undefined
}
export const whyQuery: z.ZodType<WhyQuery> = z.strictObject({ name: id.optional() })
