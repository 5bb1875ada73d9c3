import type { Authenticator, UserStore } from '../../auth/index.ts'
import type {
  Broker,
  BrokerLog,
  Session,
  SessionListener,
  VirtualHost,
} from '../../broker/index.ts'
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
import { MqttConnection } from './connection.ts'
import type { ConnectionShared } from './connection-shared.ts'
import { DEFAULT_LIMITS, type MqttLimits } from './limits.ts'
import { MQTT_FORM } from './mapping.ts'
import { SHARE_PREFIX } from './filter.ts'
import { leaveGroup, type SessionState } from './subscriber.ts'
import { type MqttTotals, type SysSource, SysTopics } from './sys-topics.ts'
import { Wills } from './wills.ts'

export interface MqttOptions {
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  /** Of the broker, for `$SYS` topics. */
  readonly version: string
  readonly limits?: Partial<MqttLimits>
  /** Over TLS the user is whom the certificate names, whatever CONNECT says. Default false. */
  readonly useIdentityAsUsername?: boolean
  /** What is different on single listeners, by their names. */
  readonly listenerLimits?: Readonly<Record<string, Partial<MqttLimits>>>
}

/** One connection as listings show it. */
export interface MqttConnectionInfo {
  readonly id: number
  readonly name: string
  /** The client id. */
  readonly clientName: string | null
  readonly user: string | null
  readonly vhost: string | null
  readonly state: string
  /** Which limit keeps it from being read; null: none does. */
  readonly heldBackBy: string | null
  /** MQTT has none; 0. */
  readonly channels: number
  /** Queues it takes from. */
  readonly consumers: number
  readonly protocol: string
  readonly peerAddress: string
  readonly peerPort: number
  readonly listener: string
  readonly tls: boolean
  readonly clientProduct: null
  readonly connectedAtMs: number
  readonly receivedBytes: number
  readonly sentBytes: number
  /** Properties of other protocols' messages that deliveries marked or left out. */
  readonly lostCount: number
  readonly publishedCount: number
  readonly deliveredCount: number
}

/** MQTT 3.1, 3.1.1 and 5, for all listeners that speak it. */
export interface Mqtt extends ProtocolHandler {
  /** Of connections that are gone. */
  readonly past: TrafficLedger
  connections(): MqttConnectionInfo[]
  /** False when there is no such connection. */
  closeConnection(id: number, reason: string): boolean
}

/** Registers its message form with the broker; sockets come through `listen({ protocol })`. */
export function createMqtt(options: MqttOptions): Mqtt {
  options.broker.registerForm(MQTT_FORM)
  return new Protocol(options)
}

class Protocol implements Mqtt, ConnectionShared, SessionListener, SysSource {
  readonly name = 'mqtt'
  readonly past: TrafficLedger = new TrafficLedger()
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly useIdentityAsUsername: boolean
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  readonly #limits: MqttLimits
  readonly #listenerLimits: ReadonlyMap<string, MqttLimits>
  readonly slabs: SlabPool = new SlabPool()
  readonly wills: Wills
  readonly version: string
  readonly sysTopics: SysTopics
  readonly #past: PastTotals = {
    ...{ publishesReceived: 0, publishesSent: 0, publishesDropped: 0 },
    ...{ bytesReceived: 0, bytesSent: 0 },
  }
  #clientsMaximum = 0
  readonly #connections: Map<number, MqttConnection> = new Map()

  constructor(options: MqttOptions) {
    this.broker = options.broker
    this.users = options.users
    this.authenticator = options.authenticator
    this.useIdentityAsUsername = options.useIdentityAsUsername ?? false
    this.turn = options.turn
    this.clock = options.clock
    this.random = options.random
    this.log = options.log
    const limits = { ...DEFAULT_LIMITS, ...options.limits }
    const listenerLimits = Object.entries(options.listenerLimits ?? {})
    this.#limits = limits
    this.#listenerLimits = new Map(
      listenerLimits.map(([name, different]) => [name, { ...limits, ...different }]),
    )
    this.wills = new Wills({ users: this.users, log: this.log, clock: this.broker.clock })
    this.version = options.version
    this.sysTopics = new SysTopics(this)
    this.broker.pressure.subscribe(this)
    this.broker.watchSessions(this)
    this.users.onChange((name) => this.#userChanged(name))
  }

  limitsOf(listener: string): MqttLimits {
    return this.#listenerLimits.get(listener) ?? this.#limits
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new MqttConnection(transport, this)
    this.#connections.set(connection.id, connection)
    this.#clientsMaximum = Math.max(this.#clientsMaximum, this.#connections.size)
    return connection
  }

  closed(connection: MqttConnection): void {
    if (this.#connections.delete(connection.id)) this.past.add(infoOf(connection))
    addTo(this.#past, connection)
  }

  get intervalSeconds(): number {
    return this.#limits.sysIntervalSeconds
  }

  totals(): MqttTotals {
    const totals = { ...this.#past }
    let subscriptions = 0
    for (const connection of this.#connections.values()) {
      addTo(totals, connection)
      subscriptions += connection.subscriptionCount
    }
    const clientsConnected = this.#connections.size
    return { ...totals, subscriptions, clientsConnected, clientsMaximum: this.#clientsMaximum }
  }

  connections(): MqttConnectionInfo[] {
    return [...this.#connections.values()].map(infoOf)
  }

  closeConnection(id: number, reason: string): boolean {
    const connection = this.#connections.get(id)
    if (connection === undefined) return false
    connection.closeFor(reason)
    return true
  }

  pressureChanged(): void {
    for (const connection of this.#connections.values()) connection.pressureChanged()
  }

  sessionEnded(vhost: VirtualHost, session: Session): void {
    this.wills.sessionEnded(session)
    for (const { filter } of (session.state as SessionState).subscriptions) {
      if (filter.startsWith(SHARE_PREFIX)) leaveGroup(vhost, filter)
    }
  }

  #userChanged(name: string): void {
    for (const connection of this.#connections.values()) {
      if (connection.userName === name) connection.permissionsChanged()
    }
  }
}

type PastTotals = {
  -readonly [
    Key in
      | 'publishesReceived'
      | 'publishesSent'
      | 'publishesDropped'
      | 'bytesReceived'
      | 'bytesSent'
  ]: MqttTotals[Key]
}

function addTo(totals: PastTotals, connection: MqttConnection): void {
  totals.publishesReceived += connection.publishedCount
  totals.publishesSent += connection.sentCount
  totals.publishesDropped += connection.unsentCount
  totals.bytesReceived += connection.receivedBytes
  totals.bytesSent += connection.output.writtenBytes
}

function infoOf(connection: MqttConnection): MqttConnectionInfo {
  const { peer } = connection
  return {
    id: connection.id,
    name: connection.name,
    clientName: connection.clientName,
    user: connection.userName,
    vhost: connection.vhostName,
    state: connection.stateName,
    heldBackBy: connection.heldBackBy,
    channels: 0,
    consumers: connection.outletCount,
    protocol: `MQTT ${versionText(connection.version)}`,
    peerAddress: peer.remoteAddress,
    peerPort: peer.remotePort,
    listener: peer.listener,
    tls: peer.tls !== null,
    clientProduct: null,
    connectedAtMs: connection.connectedAtMs,
    receivedBytes: connection.receivedBytes,
    sentBytes: connection.output.writtenBytes,
    lostCount: connection.lostCount,
    publishedCount: connection.publishedCount,
    deliveredCount: connection.sentCount,
  }
}

function versionText(version: 3 | 4 | 5): string {
  if (version === 5) return '5.0'
  return version === 4 ? '3.1.1' : '3.1'
}
