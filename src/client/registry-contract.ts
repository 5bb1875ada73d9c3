import { type Contract, type Method, rpc, service } from '../rpc/contracts/contract.ts'
import type { StandardSchema } from '../rpc/contracts/schema.ts'

/** Instance of proto/waystation/rpc/v1/registry.proto. */
export interface InstanceMessage {
  readonly service: string
  readonly instanceId: string
  readonly address: string
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  readonly weight: number
  readonly health: 'HEALTH_SERVING' | 'HEALTH_NOT_SERVING'
}

export interface EventsMessage {
  readonly events: readonly {
    readonly change: 'CHANGE_APPEARED' | 'CHANGE_CHANGED' | 'CHANGE_GONE'
    readonly instance: InstanceMessage
  }[]
  readonly complete: boolean
}

type None = Readonly<Record<never, StandardSchema>>
type Of<Kind extends 'unary' | 'serverStream', In, Out> = Method<
  Kind,
  StandardSchema<In>,
  StandardSchema<Out>,
  None
>

type RegistryMethods = {
  readonly Register: Of<
    'unary',
    { readonly instance: InstanceMessage; readonly ttlMs: number },
    { readonly ttlMs: number }
  >
  readonly Deregister: Of<
    'unary',
    { readonly service: string; readonly instanceId: string },
    object
  >
  readonly Watch: Of<'serverStream', { readonly service: string }, EventsMessage>
}

/** What a broker says and hears is as its own file has it. */
function trusted<T>(): StandardSchema<T> {
  const validate = (value: unknown): { readonly value: T } => ({ value: value as T })
  return { '~standard': { version: 1, vendor: 'waystation', validate } }
}

/** A watch is begun again after so long at the latest, as every call has an end. */
const WATCH_MS = 3_600_000

export const RegistryContract: Contract<RegistryMethods> = service('waystation.rpc.v1.Registry', {
  Register: rpc.unary({ in: trusted(), out: trusted(), idempotency: 'idempotent' }),
  Deregister: rpc.unary({ in: trusted(), out: trusted(), idempotency: 'idempotent' }),
  Watch: rpc.serverStream({ in: trusted(), out: trusted(), deadlineMs: WATCH_MS }),
})
