import type { Authenticator, UserStore } from '../../auth/index.ts'
import type { Broker, BrokerLog } from '../../broker/index.ts'
import type {
  ContentHeaderView,
  ContentView,
  FieldTable,
  PublishView,
  SettleView,
} from '../../codec/amqp091/index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { RandomSource } from '../../lib/random.ts'
import type { Turn } from '../../lib/turn.ts'
import type { SlabPool } from '../../net/index.ts'
import type { Amqp091Connection } from './connection.ts'
import type { Amqp091Limits } from './limits.ts'

/** What all connections of one protocol share. */
export interface ConnectionShared {
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  readonly limits: Amqp091Limits
  readonly serverProperties: FieldTable
  readonly slabs: SlabPool
  /** Filled and read within one call, so one of each serves all connections. */
  readonly publishView: PublishView
  readonly headerView: ContentHeaderView
  readonly settleView: SettleView
  readonly content: ContentView
  closed(connection: Amqp091Connection): void
}
