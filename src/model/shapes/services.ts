/** What the API says of services; the console reads the same types. */

/** How calls went: of one instance, or of all of a service. */
export interface CallFigures {
  /** Calls at once that there is room for; 0: draining. */
  readonly capacity: number
  readonly outstanding: number
  /** Since it came. */
  readonly calls: number
  /** That did not end with OK, or not in time. */
  readonly failed: number
  /** Half of the calls of late took no longer, from provider to end; null: there were none. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** One row of the list of services. */
export interface ServiceRow extends CallFigures {
  readonly vhost: string
  readonly service: string
  readonly instances: number
  /** Each once, the newest instance's first; some of them where there are many. */
  readonly versions: readonly string[]
  readonly policy: string
  /** Calls that wait, for whichever instance. */
  readonly waiting: number
}

export interface InstanceRow extends CallFigures {
  readonly id: number
  readonly instance: string
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  readonly weight: number
  /** Its connection takes no more for the moment. */
  readonly isBlocked: boolean
  readonly user: string
}

/** What a provider says of one method; a schema is JSON Schema, null: it is not told. */
export interface MethodShape {
  readonly kind: 'unary' | 'serverStream' | 'clientStream' | 'bidi' | 'oneway'
  readonly idempotency: 'none' | 'idempotent' | 'no-side-effects'
  readonly deadlineMs: number | null
  readonly in: Readonly<Record<string, unknown>> | null
  readonly out: Readonly<Record<string, unknown>> | null
  /** By their names. */
  readonly errors: Readonly<Record<string, Readonly<Record<string, unknown>> | null>>
}

/** One service from close by. */
export interface ServiceDetails extends ServiceRow {
  /** The first of them; `instances` says how many there are. */
  readonly instanceList: readonly InstanceRow[]
  /** By name, of the newest instance that says; null: none does. */
  readonly methods: Readonly<Record<string, MethodShape>> | null
}

/** A line of the answer to a call that was made by hand. */
export type CallEvent =
  | { readonly kind: 'head'; readonly metadata: readonly MetadataPair[] }
  | { readonly kind: 'message'; readonly value: unknown }
  /** A message that is no JSON. */
  | { readonly kind: 'message'; readonly base64: string }
  | CallEnd

export interface CallEnd {
  readonly kind: 'status'
  readonly code: string
  readonly message: string
  readonly details: readonly CallDetail[]
  readonly trailers: readonly MetadataPair[]
  readonly tookMs: number
}

/** A typed detail: decoded where the broker knows how, else its octets. */
export type CallDetail =
  | { readonly type: string; readonly value: unknown }
  | { readonly type: string; readonly base64: string }

/** Octets are base64. */
export type MetadataPair = readonly [name: string, value: string]
