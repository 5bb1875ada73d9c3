import type { Authenticator, UserStore } from '../../auth/index.ts'
import { type Broker, type BrokerLog, DEFAULT_VHOST } from '../../broker/index.ts'
import { KafkaWriter } from '../../codec/kafka/index.ts'
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
import { KAFKA_ARGUMENTS } from './argument-dialect.ts'
import { ApiTable } from './api-table.ts'
import { BlockReads } from './block-reads.ts'
import { KafkaConnection } from './connection.ts'
import type { Endpoint } from './endpoint.ts'
import { GroupConfigs } from './group-config.ts'
import { HANDLERS } from './handlers.ts'
import { DEFAULT_LIMITS, type KafkaLimits } from './limits.ts'
import { KAFKA_FORM } from './mapping.ts'
import { Quotas } from './quotas.ts'
import { SharePace } from './share-pace.ts'
import type { KafkaShared } from './request-context.ts'
import { KafkaIds } from './topics.ts'
import { VhostGroups } from './vhost-groups.ts'

export interface KafkaOptions {
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  readonly limits?: Partial<KafkaLimits>
  /** Default '/'. */
  readonly vhostName?: string
  /** What clients are told instead of the address they used, by the name of the listener. */
  readonly advertised?: ReadonlyMap<string, Endpoint>
}

/** One connection as listings show it. */
export interface KafkaConnectionInfo {
  readonly id: number
  readonly name: string
  /** The client id. */
  readonly clientName: string | null
  readonly user: string | null
  readonly vhost: string | null
  readonly state: string
  /** Which limit keeps it from being read; null: none does. */
  readonly heldBackBy: string | null
  /** Kafka has none; 0. */
  readonly channels: number
  /** Kafka has none; 0. */
  readonly consumers: number
  readonly protocol: string
  readonly peerAddress: string
  readonly peerPort: number
  readonly listener: string
  readonly tls: boolean
  /** Name and version of its library, as it tells. */
  readonly clientProduct: string | null
  readonly connectedAtMs: number
  readonly receivedBytes: number
  readonly sentBytes: number
  /** Records that were stored. */
  readonly publishedCount: number
  /** Records that were given out. */
  readonly deliveredCount: number
}

/** Kafka's protocol, for all listeners that speak it. */
export interface Kafka extends ProtocolHandler {
  /** Of connections that are gone. */
  readonly past: TrafficLedger
  connections(): KafkaConnectionInfo[]
  /** False when there is no such connection. */
  closeConnection(id: number, reason: string): boolean
}

/** Registers its message form with the broker; sockets come through `listen({ protocol })`. */
export function createKafka(options: KafkaOptions): Kafka {
  options.broker.registerForm(KAFKA_FORM)
  options.broker.registerDialect(KAFKA_ARGUMENTS)
  return new Protocol(options)
}

class Protocol implements Kafka {
  readonly name = 'kafka'
  readonly past: TrafficLedger = new TrafficLedger()
  readonly #shared: KafkaShared
  readonly #connections: Map<number, KafkaConnection> = new Map()

  constructor(options: KafkaOptions) {
    const { broker, random } = options
    const ids = new KafkaIds({ broker, random })
    const groupConfigs = new GroupConfigs(broker.state)
    const slabs = new SlabPool()
    this.#shared = {
      ...options,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      vhostName: options.vhostName ?? DEFAULT_VHOST,
      slabs,
      blocks: new BlockReads(slabs),
      apis: new ApiTable(HANDLERS),
      groupConfigs,
      groups: new VhostGroups({ broker, random, ids, configs: groupConfigs }),
      quotas: new Quotas(broker.state),
      sharePace: new SharePace(),
      ids,
      advertised: options.advertised ?? new Map(),
      writer: new KafkaWriter(undefined, slabs),
    }
    broker.pressure.subscribe(this)
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new KafkaConnection(transport, this.#shared)
    this.#connections.set(connection.id, connection)
    connection.onClosed = () => {
      if (this.#connections.delete(connection.id)) this.past.add(infoOf(connection))
    }
    return connection
  }

  connections(): KafkaConnectionInfo[] {
    return [...this.#connections.values()].map(infoOf)
  }

  closeConnection(id: number, reason: string): boolean {
    const connection = this.#connections.get(id)
    if (connection === undefined) return false
    connection.fail(reason)
    return true
  }

  pressureChanged(): void {
    for (const connection of this.#connections.values()) connection.pressureChanged()
  }
}

function infoOf(connection: KafkaConnection): KafkaConnectionInfo {
  const { peer, authentication } = connection
  return {
    id: connection.id,
    name: connection.name,
    clientName: connection.clientId === '' ? null : connection.clientId,
    user: authentication.login?.user ?? null,
    vhost: authentication.login?.vhost.name ?? null,
    state: connection.stateName,
    heldBackBy: connection.heldBackBy,
    channels: 0,
    consumers: 0,
    protocol: 'Kafka',
    peerAddress: peer.remoteAddress,
    peerPort: peer.remotePort,
    listener: peer.listener,
    tls: peer.tls !== null,
    clientProduct: connection.clientSoftware,
    connectedAtMs: connection.connectedAtMs,
    receivedBytes: connection.receivedBytes,
    sentBytes: connection.output.writtenBytes,
    publishedCount: connection.publishedCount,
    deliveredCount: connection.deliveredCount,
  }
}
