import type { Authenticator, Peer, UserStore } from '../auth/index.ts'
import type { Broker } from '../broker/broker.ts'
import type { RpcCore } from '../rpc/core.ts'
import type { BrokerLog } from '../broker/broker-log.ts'
import type { RandomSource } from '../lib/random.ts'
import type { TrafficLedger } from '../model/traffic-ledger.ts'
import type { PageFiles } from './console/page-files.ts'
import type { ProcessFigures } from './metrics/process-figures.ts'
import type { AmqpTerms } from './rabbitmq/amqp-terms.ts'
import type { ConnectionView } from '../model/shapes/connections.ts'
import type { LogLine, StatusView } from '../model/shapes/status.ts'

/** A part of a connection with an order of its own. */
export interface ChannelView {
  readonly connectionId: number
  readonly number: number
  /** How many deliveries may be unsettled, for each consumer and for all; 0: any number. */
  readonly prefetch: number
  readonly sharedPrefetch: number
  readonly consumers: number
  readonly unsettled: number
  readonly confirms: boolean
  readonly transactional: boolean
}

/** What the API needs of a protocol: its connections. */
export interface ConnectionSource {
  connections(): readonly ConnectionView[]
  /** Of connections that are gone; absent: they are not counted. */
  readonly past?: TrafficLedger
  /** Absent where connections have none. */
  channels?(): readonly ChannelView[]
  /** False when there is no such connection. */
  closeConnection(id: number, reason: string): boolean
}

/** The end of the log, for those who cannot see the rest. */
export interface LogTail {
  /** What came after line `number`, the oldest first. */
  after(number: number, countMax: number): readonly LogLine[]
}

/** The store held still: the first `bytes` bytes of each file below `folder` are its state. */
export interface FrozenStoreView {
  readonly id: number
  /** Relative to the data directory. */
  readonly folder: string
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
}

/** What the API needs of the store for a backup. */
export interface Backups {
  /** Throws `BrokerError` while another backup is made, and where nothing is on a disk. */
  freeze(): Promise<FrozenStoreView>
  /** False when it was given up; it is when it is not renewed for ten minutes. */
  renew(id: number): boolean
  release(id: number): Promise<boolean>
}

/** All that the API works on. */
export interface AdminParts {
  readonly broker: Broker
  /** Absent: nothing serves calls. */
  readonly rpcCore?: RpcCore
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly protocols: readonly ConnectionSource[]
  readonly status: () => StatusView
  readonly backups: Backups
  /** Stands for an administrator; null: only users may log in. */
  readonly token: string | null
  readonly log: BrokerLog
  /** What was logged of late; null: nothing is kept. */
  readonly logTail: LogTail | null
  /** For the cookies of those who log in on the console. */
  readonly random: RandomSource
  /** The console's page; null: it is not there. */
  readonly pageFiles: PageFiles | null
  /** Absent: metrics have nothing of the process and the device. */
  readonly figures?: ProcessFigures
  /** Metrics are told to whoever asks. Default false. */
  readonly areMetricsPublic?: boolean
  /** Absent: RabbitMQ's management API is not served. */
  readonly terms?: AmqpTerms
}

/** What the HTTP server says of a request beside the request. */
export interface AdminEnvironment {
  readonly peer: Peer
}
