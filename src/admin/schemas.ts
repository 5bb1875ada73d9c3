import { z } from 'zod'
import {
  DELIVERIES_UNSETTLED_MAX,
  NAME_LENGTH_MAX,
  PASSWORD_LENGTH_MAX,
  PATTERN_LENGTH_MAX,
} from './limits.ts'

const name = z.string().min(1).max(NAME_LENGTH_MAX)
const pattern = z.string().max(PATTERN_LENGTH_MAX)
const password = z.string().min(1).max(PASSWORD_LENGTH_MAX).nullable()
const tags = z.array(z.string().min(1).max(NAME_LENGTH_MAX)).max(32)
/** Query strings have no other way to say yes. */
const flag = z.enum(['true', 'false']).transform((text) => text === 'true')

export interface VhostParams {
  readonly vhost: string
}
export const vhostParams: z.ZodType<VhostParams> = z.strictObject({ vhost: name })

export interface ChangedVhostBody {
  readonly declareMismatch: 'fail' | 'warn' | 'adopt'
}
export const changedVhostBody: z.ZodType<ChangedVhostBody> = z.strictObject({
  declareMismatch: z.enum(['fail', 'warn', 'adopt']),
})

/** By RabbitMQ's names where it has some, such as `max-connections`; below 0: none. */
export const limitsBody: z.ZodType<Readonly<Record<string, unknown>>> = z.record(
  z.string(),
  z.unknown(),
)

export interface UserParams {
  readonly user: string
}
export const userParams: z.ZodType<UserParams> = z.strictObject({ user: name })

export const permissionParams: z.ZodType<VhostParams & UserParams> = z.strictObject({
  vhost: name,
  user: name,
})

/** For one exchange: regular expressions of the keys that may be published and bound with. */
export interface TopicPermissionsBody {
  readonly exchange: string
  readonly write: string
  readonly read: string
}
export const topicPermissionsBody: z.ZodType<TopicPermissionsBody> = z.strictObject({
  exchange: z.string().max(NAME_LENGTH_MAX),
  write: pattern,
  read: pattern,
})

export interface TopicPermissionsQuery {
  /** Default: all of them. */
  readonly exchange?: string | undefined
}
export const topicPermissionsQuery: z.ZodType<TopicPermissionsQuery> = z.strictObject({
  exchange: z.string().max(NAME_LENGTH_MAX).optional(),
})

export interface PolicyParams extends VhostParams {
  readonly policy: string
}
export const policyParams: z.ZodType<PolicyParams> = z.strictObject({ vhost: name, policy: name })

export interface DestinationParams extends VhostParams {
  readonly destination: string
}
export const destinationParams: z.ZodType<DestinationParams> = z.strictObject({
  vhost: name,
  destination: name,
})

export interface ChangedDestinationBody {
  /** null: taken away. */
  readonly arguments?: Readonly<Record<string, string | number | boolean | null>> | undefined
  readonly partitions?: number | undefined
  readonly profile?: 'queue' | 'topic' | undefined
}
const argument = z.union([z.string().max(NAME_LENGTH_MAX), z.number(), z.boolean(), z.null()])
export const changedDestinationBody: z.ZodType<ChangedDestinationBody> = z.strictObject({
  arguments: z.record(name, argument).optional(),
  partitions: z.number().int().min(1).optional(),
  profile: z.enum(['queue', 'topic']).optional(),
})

/** Whatever has a number: a connection, a re-drive. */
export interface NumberedParams {
  readonly id: number
}
export const numberedParams: z.ZodType<NumberedParams> = z.strictObject({
  id: z.coerce.number().int().min(0),
})

export interface VhostQuery {
  readonly vhost?: string | undefined
}
export const vhostQuery: z.ZodType<VhostQuery> = z.strictObject({ vhost: name.optional() })

export interface DeleteQuery {
  readonly ifUnused?: boolean | undefined
  readonly ifEmpty?: boolean | undefined
}
export const deleteQuery: z.ZodType<DeleteQuery> = z.strictObject({
  ifUnused: flag.optional(),
  ifEmpty: flag.optional(),
})

export interface DeliveriesBody {
  /** Unsettled deliveries at a time. Default 100. */
  readonly prefetch?: number | undefined
  /** Each is settled when it is given out. Default false. */
  readonly noAck?: boolean | undefined
  /** All are kept until it ends, and then settled like that: what went back would come again. */
  readonly atEnd?: 'release' | 'fail' | undefined
  /** No more than so many. */
  readonly count?: number | undefined
  /** Goes on when all was given out. Default false: then it ends. */
  readonly follow?: boolean | undefined
  /** Of a topic; default `first`. */
  readonly from?:
    | 'first'
    | 'last'
    | 'next'
    | { readonly offset: number }
    | { readonly timeMs: number }
    | undefined
}
export const deliveriesBody: z.ZodType<DeliveriesBody> = z.strictObject({
  prefetch: z.number().int().min(1).max(DELIVERIES_UNSETTLED_MAX).optional(),
  noAck: z.boolean().optional(),
  atEnd: z.enum(['release', 'fail']).optional(),
  count: z.number().int().min(1).optional(),
  follow: z.boolean().optional(),
  from: z
    .union([
      z.enum(['first', 'last', 'next']),
      z.strictObject({ offset: z.number().int().min(0) }),
      z.strictObject({ timeMs: z.number().int().min(0) }),
    ])
    .optional(),
})

export interface SettleBody {
  /** The tag of the last delivery that is meant; those before it are too. */
  readonly upTo: number
  readonly outcome: 'accept' | 'release' | 'fail' | 'reject'
}
export const settleBody: z.ZodType<SettleBody> = z.strictObject({
  upTo: z.number().int().min(1),
  outcome: z.enum(['accept', 'release', 'fail', 'reject']),
})

export interface NewUserBody {
  /** null: this user logs in by certificate alone. */
  readonly password: string | null
  readonly tags?: readonly string[] | undefined
}
export const newUserBody: z.ZodType<NewUserBody> = z.strictObject({
  password,
  tags: tags.optional(),
})

export interface ChangedUserBody {
  readonly password?: string | null | undefined
  readonly tags?: readonly string[] | undefined
}
export const changedUserBody: z.ZodType<ChangedUserBody> = z.strictObject({
  password: password.optional(),
  tags: tags.optional(),
})

/** Regular expressions of the names that may be declared, published to and consumed from. */
export interface PermissionsBody {
  readonly configure: string
  readonly write: string
  readonly read: string
}
export const permissionsBody: z.ZodType<PermissionsBody> = z.strictObject({
  configure: pattern,
  write: pattern,
  read: pattern,
})

export interface PolicyBody {
  readonly pattern: string
  /** Default `all`. */
  readonly appliesTo?: string | undefined
  /** The highest one that matches counts. Default 0. */
  readonly priority?: number | undefined
  /** Keys as RabbitMQ's policies have them, such as `max-length`. */
  readonly definition: Readonly<Record<string, unknown>>
}
export const policyBody: z.ZodType<PolicyBody> = z.strictObject({
  pattern,
  appliesTo: z.string().optional(),
  priority: z.number().int().optional(),
  definition: z.record(z.string(), z.unknown()),
})

export interface RedriveBody {
  /** Absent: each to the queue it died in last. */
  readonly to?:
    | {
        /** Default: the default exchange, for which the key is the name of a queue. */
        readonly exchange?: string | undefined
        /** Default: the key the message bears. */
        readonly routingKey?: string | undefined
      }
    | undefined
  readonly filter?:
    | {
        readonly reason?: string | undefined
        readonly diedIn?: string | undefined
        readonly routingKey?: string | undefined
        readonly ageMsMin?: number | undefined
        readonly ageMsMax?: number | undefined
        readonly error?: string | undefined
        readonly id?: string | undefined
        readonly headers?: Readonly<Record<string, string>> | undefined
      }
    | undefined
  readonly dryRun?: boolean | undefined
  /** Messages per second. Default: as fast as it goes. */
  readonly rate?: number | undefined
  /** Default: all. */
  readonly countMax?: number | undefined
  readonly setHeaders?: Readonly<Record<string, string>> | undefined
  readonly removeHeaders?: readonly string[] | undefined
  /** In place of the bodies that are there. */
  readonly bodyBase64?: string | undefined
}
const address = z.string().max(NAME_LENGTH_MAX)
export const redriveBody: z.ZodType<RedriveBody> = z.strictObject({
  to: z.strictObject({ exchange: address.optional(), routingKey: address.optional() }).optional(),
  filter: z
    .strictObject({
      reason: z.enum(['rejected', 'expired', 'maxlen', 'delivery_limit']).optional(),
      diedIn: name.optional(),
      routingKey: address.optional(),
      ageMsMin: z.number().min(0).optional(),
      ageMsMax: z.number().min(0).optional(),
      error: z.string().min(1).max(PATTERN_LENGTH_MAX).optional(),
      id: z.string().min(1).max(PATTERN_LENGTH_MAX).optional(),
      headers: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  dryRun: z.boolean().optional(),
  rate: z.number().positive().optional(),
  countMax: z.number().int().min(1).optional(),
  setHeaders: z.record(z.string().min(1).max(NAME_LENGTH_MAX), z.string()).optional(),
  removeHeaders: z.array(z.string()).max(100).optional(),
  bodyBase64: z.base64().optional(),
})
