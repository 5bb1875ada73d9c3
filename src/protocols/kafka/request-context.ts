import type { Authenticator, UserStore } from '../../auth/index.ts'
import type { Broker, BrokerLog, Flow, Meter, Topic, VirtualHost } from '../../broker/index.ts'
import type { ApiMessages, ApiName, KafkaWriter } from '../../codec/kafka/index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { RandomSource } from '../../lib/random.ts'
import type { Turn } from '../../lib/turn.ts'
import type { Actor } from '../../model/actor.ts'
import type { PeerInfo, SlabPool } from '../../net/index.ts'
import type { ApiTable } from './api-table.ts'
import type { Authentication } from './authentication.ts'
import type { BlockReads } from './block-reads.ts'
import type { Endpoint } from './endpoint.ts'
import type { GroupConfigs } from './group-config.ts'
import type { KafkaLimits } from './limits.ts'
import type { Quotas, RateKey } from './quotas.ts'
import type { KafkaIds } from './topics.ts'
import type { SharePace } from './share-pace.ts'
import type { VhostGroups } from './vhost-groups.ts'

/** What all connections share. */
export interface KafkaShared {
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  readonly limits: KafkaLimits
  readonly slabs: SlabPool
  /** The virtual host that clients see: Kafka has no word for one. */
  readonly vhostName: string
  readonly apis: ApiTable
  readonly ids: KafkaIds
  readonly groupConfigs: GroupConfigs
  readonly groups: VhostGroups
  readonly quotas: Quotas
  /** How fast share groups are given what topics hold that have a consume rate. */
  readonly sharePace: SharePace
  /** What clients are told instead of the address they used, by the name of the listener. */
  readonly advertised: ReadonlyMap<string, Endpoint>
  readonly blocks: BlockReads
  /** Used by one answer at a time, and by none across turns. */
  readonly writer: KafkaWriter
}

/** The connection as handlers see it. */
export interface RequestConnection {
  readonly id: number
  readonly peer: PeerInfo
  /** Nobody will read an answer any more. */
  readonly isClosed: boolean
  readonly authentication: Authentication
  /** For those who ask where a message came from, or went. */
  readonly actor: Actor
  /** Name and version of the client's library, as ApiVersions told. */
  clientSoftware: string | null
  /** Records it had stored. */
  publishedCount: number
  /** Records that were given to it. */
  deliveredCount: number
  /** How fast it is given what topics hold that have a consume rate. */
  readonly readerMeters: WeakMap<Topic, Meter>
  /** Reads nothing of it for so many milliseconds; it was told so by `throttle_time_ms`. */
  throttle(ms: number): void
  /** Closes it for a fault that has no answer of its own, as Kafka does. */
  fail(reason: string): void
}

/** All that a handler knows beside the request. One object a request. */
export interface RequestContext {
  readonly connection: RequestConnection
  readonly shared: KafkaShared
  readonly apiVersion: number
  /** As the request names itself; '' for none. */
  readonly clientId: string
  readonly clientHost: string
  readonly user: string
  /** Whom to ask permissions for. */
  readonly principal: string
  readonly vhost: VirtualHost
}

/** The limits of whoever asks. */
export function flowOf({ connection }: RequestContext): Flow {
  return connection.authentication.flow!
}

export type Request<N extends ApiName> = ApiMessages[N]['request']
export type Response<N extends ApiName> = ApiMessages[N]['response']

/**
 * Answers one request, now or later, by calling `respond` once; `null` answers nothing, which only
 * Produce with acks=0 does. Answers leave in the order of the requests, whatever the order of the
 * calls; `sent` is called when all of it was copied, or never if the connection ends before. What
 * it throws closes the connection.
 */
export type Handler<N extends ApiName> = (
  context: RequestContext,
  request: Request<N>,
  respond: (response: Response<N> | null, sent?: () => void) => void,
) => void

/**
 * Counts bytes that a client wrote or was given and returns for how long it must wait, which is its
 * answer's `throttle_time_ms`; its connection is not read meanwhile.
 */
export function throttled(context: RequestContext, key: RateKey, bytes: number): number {
  const { shared, user, clientId, connection } = context
  const nowMs = shared.clock.monotonicMs()
  const ms = shared.quotas.use(key, { user, clientId }, { bytes, nowMs })
  connection.throttle(ms)
  return ms
}
