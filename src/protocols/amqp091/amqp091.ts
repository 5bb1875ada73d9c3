import type { Authenticator, UserStore } from '../../auth/index.ts'
import type { Broker, BrokerLog } from '../../broker/index.ts'
import {
  ContentHeaderView,
  ContentView,
  type FieldTable,
  type FieldValue,
  PublishView,
  SettleView,
} from '../../codec/amqp091/index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { RandomSource } from '../../lib/random.ts'
import type { Turn } from '../../lib/turn.ts'
import { TrafficLedger } from '../../model/traffic-ledger.ts'
import {
  type ConnectionHandler,
  type ProtocolHandler,
  SlabPool,
  type Transport,
} from '../../net/index.ts'
import { AMQP091_ARGUMENTS } from './argument-dialect.ts'
import type { Channel } from './channel.ts'
import type { ConnectionShared } from './connection-shared.ts'
import { Amqp091Connection } from './connection.ts'
import { type Amqp091Limits, DEFAULT_LIMITS } from './limits.ts'
import { encodedHeader } from './foreign-header.ts'
import { AMQP091_FORM } from './mapping.ts'

export interface Amqp091Options {
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  readonly limits?: Partial<Amqp091Limits>
}

/** One connection as listings show it. */
export interface Amqp091ConnectionInfo {
  readonly id: number
  /** `127.0.0.1:40001 -> 127.0.0.1:5672`. */
  readonly name: string
  /** What the application calls it; null when it said nothing. */
  readonly clientName: string | null
  readonly user: string | null
  readonly vhost: string | null
  /** `starting`, `authenticating`, `tuning`, `opening`, `running`, `flow`, `blocked`, `closing`. */
  readonly state: string
  /** Which limit keeps it from being read; null: none does. */
  readonly heldBackBy: string | null
  readonly channels: number
  readonly consumers: number
  readonly protocol: 'AMQP 0-9-1'
  readonly peerAddress: string
  readonly peerPort: number
  readonly listener: string
  readonly tls: boolean
  readonly mechanism: string | null
  readonly frameSizeMax: number
  readonly heartbeatSeconds: number
  readonly channelMax: number
  readonly clientProduct: string | null
  readonly clientVersion: string | null
  readonly connectedAtMs: number
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly publishedCount: number
  readonly deliveredCount: number
  /** Properties of other protocols' messages that deliveries marked or left out. */
  readonly lostCount: number
}

/** One channel as listings show it. */
export interface Amqp091ChannelInfo {
  readonly connectionId: number
  readonly number: number
  /** For consumers to come, and for all together; 0: any number. */
  readonly prefetch: number
  readonly sharedPrefetch: number
  readonly consumers: number
  readonly unsettled: number
  readonly confirms: boolean
  readonly transactional: boolean
}

/** AMQP 0-9-1 as RabbitMQ's clients know it, for all listeners that speak it. */
export interface Amqp091 extends ProtocolHandler {
  /** Of connections that are gone. */
  readonly past: TrafficLedger
  connections(): Amqp091ConnectionInfo[]
  channels(): Amqp091ChannelInfo[]
  /** Closes it with 320 CONNECTION_FORCED; false when there is no such connection. */
  closeConnection(id: number, reason: string): boolean
}

/** Registers its message form with the broker; sockets come through `listen({ protocol })`. */
export function createAmqp091(options: Amqp091Options): Amqp091 {
  options.broker.registerForm({ ...AMQP091_FORM, encoded: encodedHeader })
  options.broker.registerDialect(AMQP091_ARGUMENTS)
  return new Protocol(options)
}

class Protocol implements Amqp091, ConnectionShared {
  readonly name = 'amqp-0-9-1'
  readonly past: TrafficLedger = new TrafficLedger()
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  readonly limits: Amqp091Limits
  readonly serverProperties: FieldTable = SERVER_PROPERTIES
  readonly slabs: SlabPool = new SlabPool()
  readonly publishView: PublishView = new PublishView()
  readonly headerView: ContentHeaderView = new ContentHeaderView()
  readonly settleView: SettleView = new SettleView()
  readonly content: ContentView = new ContentView()
  readonly #connections: Map<number, Amqp091Connection> = new Map()

  constructor(options: Amqp091Options) {
    this.broker = options.broker
    this.users = options.users
    this.authenticator = options.authenticator
    this.turn = options.turn
    this.clock = options.clock
    this.random = options.random
    this.log = options.log
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.broker.pressure.subscribe(this)
    this.users.onChange((name) => this.#userChanged(name))
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new Amqp091Connection(transport, this)
    this.#connections.set(connection.id, connection)
    return connection
  }

  closed(connection: Amqp091Connection): void {
    if (this.#connections.delete(connection.id)) this.past.add(infoOf(connection))
  }

  connections(): Amqp091ConnectionInfo[] {
    return [...this.#connections.values()].map(infoOf)
  }

  channels(): Amqp091ChannelInfo[] {
    return [...this.#connections.values()].flatMap((connection) => {
      return Array.from(connection.channels(), (channel) => channelInfoOf(connection.id, channel))
    })
  }

  closeConnection(id: number, reason: string): boolean {
    const connection = this.#connections.get(id)
    if (connection === undefined) return false
    connection.close('CONNECTION_FORCED', reason)
    return true
  }

  pressureChanged(): void {
    for (const connection of this.#connections.values()) connection.pressureChanged()
  }

  #userChanged(name: string): void {
    for (const connection of this.#connections.values()) {
      if (connection.userName === name) connection.permissionsChanged()
    }
  }
}

function channelInfoOf(connectionId: number, channel: Channel): Amqp091ChannelInfo {
  const { consumers } = channel
  return {
    connectionId,
    number: channel.number,
    prefetch: channel.prefetch,
    sharedPrefetch: consumers.sharedPrefetch,
    consumers: consumers.count,
    unsettled: consumers.unacked.count,
    confirms: channel.confirms !== null,
    transactional: channel.transaction !== null,
  }
}

function infoOf(connection: Amqp091Connection): Amqp091ConnectionInfo {
  const { client, peer, tuning } = connection
  let consumers = 0
  for (const channel of connection.channels()) consumers += channel.consumers.count
  return {
    id: connection.id,
    name: connection.name,
    clientName: client.name,
    user: connection.userName,
    vhost: connection.vhostName,
    state: connection.stateName,
    heldBackBy: connection.heldBackBy,
    channels: connection.channelCount,
    consumers,
    protocol: 'AMQP 0-9-1',
    peerAddress: peer.remoteAddress,
    peerPort: peer.remotePort,
    listener: peer.listener,
    tls: peer.tls !== null,
    mechanism: client.mechanism,
    frameSizeMax: tuning.frameSizeMax,
    heartbeatSeconds: tuning.heartbeatSeconds,
    channelMax: tuning.channelMax,
    clientProduct: client.product,
    clientVersion: client.version,
    connectedAtMs: connection.connectedAtMs,
    receivedBytes: connection.receivedBytes,
    sentBytes: connection.output.writtenBytes,
    publishedCount: connection.publishedCount,
    deliveredCount: connection.deliveredCount,
    lostCount: connection.lostCount,
  }
}

/** The RabbitMQ whose behaviour this follows: clients choose features by it. */
export const RABBITMQ_VERSION = '4.0.5'

/** What clients look at before they use an extension; the list is RabbitMQ's. */
const CAPABILITIES: FieldTable = new Map<string, FieldValue>(
  [
    'publisher_confirms',
    'exchange_exchange_bindings',
    'basic.nack',
    'consumer_cancel_notify',
    'connection.blocked',
    'consumer_priorities',
    'authentication_failure_close',
    'per_consumer_qos',
    'direct_reply_to',
  ].map((name) => [name, true]),
)

const SERVER_PROPERTIES: FieldTable = new Map<string, FieldValue>([
  ['capabilities', CAPABILITIES],
  ['cluster_name', 'waystation'],
  ['copyright', 'Copyright the Waystation contributors'],
  ['information', 'Licensed under the Apache License 2.0'],
  ['platform', 'Node.js'],
  ['product', 'Waystation'],
  ['version', RABBITMQ_VERSION],
])
