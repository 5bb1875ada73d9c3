import { z } from 'zod'
import { NAME_LENGTH_MAX, PASSWORD_LENGTH_MAX, PATTERN_LENGTH_MAX } from './limits.ts'

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

export interface UserParams {
  readonly user: string
}
export const userParams: z.ZodType<UserParams> = z.strictObject({ user: name })

export const permissionParams: z.ZodType<VhostParams & UserParams> = z.strictObject({
  vhost: name,
  user: name,
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

export interface ConnectionParams {
  readonly id: number
}
export const connectionParams: z.ZodType<ConnectionParams> = z.strictObject({
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
