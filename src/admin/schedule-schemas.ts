import { z } from 'zod'
import { NAME_LENGTH_MAX, SCHEDULES_PAGE_MAX } from './limits.ts'
import type { VhostParams } from './schemas.ts'

const name = z.string().min(1).max(NAME_LENGTH_MAX)
const text = z.string().max(NAME_LENGTH_MAX)
const milliseconds = z.number().int().min(0)

export interface ScheduleParams extends VhostParams {
  readonly id: string
}
export const scheduleParams: z.ZodType<ScheduleParams> = z.strictObject({ vhost: name, id: name })

export interface SchedulesQuery {
  /** The `next` of the page before. Default 0. */
  readonly from?: number | undefined
  readonly limit?: number | undefined
}
export const schedulesQuery: z.ZodType<SchedulesQuery> = z.strictObject({
  from: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(SCHEDULES_PAGE_MAX).optional(),
})

/** One of the two. */
export interface MoveBody {
  /** Milliseconds since 1970. */
  readonly dueMs?: number | undefined
  /** Milliseconds from now. */
  readonly afterMs?: number | undefined
}
export const moveBody: z.ZodType<MoveBody> = z
  .strictObject({ dueMs: milliseconds.optional(), afterMs: milliseconds.optional() })
  .refine(({ dueMs, afterMs }) => (dueMs === undefined) !== (afterMs === undefined), {
    message: 'dueMs or afterMs is expected, one of them',
  })

export interface RecurringBody {
  readonly cron: string
  /** Default UTC. */
  readonly zone?: string | undefined
  /** Default: the default exchange, for which the key is the name of a queue. */
  readonly exchange?: string | undefined
  readonly routingKey: string
  readonly startMs?: number | undefined
  readonly endMs?: number | undefined
  readonly count?: number | undefined
  /** What happens to times at which the broker was down. Default `skip`. */
  readonly missed?: 'skip' | 'once' | undefined
  readonly message: {
    readonly body?: string | undefined
    /** Default `utf8`. */
    readonly encoding?: 'utf8' | 'base64' | undefined
    readonly headers?: Readonly<Record<string, string | number | boolean>> | undefined
    readonly contentType?: string | undefined
    readonly correlationId?: string | undefined
    readonly replyTo?: string | undefined
    readonly messageId?: string | undefined
    readonly type?: string | undefined
    readonly appId?: string | undefined
    /** Default true. */
    readonly persistent?: boolean | undefined
    readonly priority?: number | undefined
    readonly ttlMs?: number | undefined
  }
}
export const recurringBody: z.ZodType<RecurringBody> = z.strictObject({
  cron: text.min(1),
  zone: text.min(1).optional(),
  exchange: text.optional(),
  routingKey: text,
  startMs: milliseconds.optional(),
  endMs: milliseconds.optional(),
  count: z.number().int().min(1).optional(),
  missed: z.enum(['skip', 'once']).optional(),
  message: z.strictObject({
    body: z.string().optional(),
    encoding: z.enum(['utf8', 'base64']).optional(),
    headers: z.record(name, z.union([z.string(), z.number(), z.boolean()])).optional(),
    contentType: text.optional(),
    correlationId: text.optional(),
    replyTo: text.optional(),
    messageId: text.optional(),
    type: text.optional(),
    appId: text.optional(),
    persistent: z.boolean().optional(),
    priority: z.number().int().min(0).max(255).optional(),
    ttlMs: milliseconds.optional(),
  }),
})
