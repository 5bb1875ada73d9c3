/** A listener that can be configured by name. */
export interface PortSpec {
  readonly name: ListenerName
  /** The port that clients of this protocol try first. */
  readonly standardPort: number
  /** Whether it listens when nothing is said; TLS listeners need a certificate, so they do not. */
  readonly onByDefault: boolean
  readonly tls: boolean
  /** Its default port may be somebody else's: then it does not listen, which is no fault. */
  readonly givesWay: boolean
  /** False: the name is reserved for a protocol that this version does not speak yet. */
  readonly available: boolean
  /** Null: the protocol speaks on the socket itself. */
  readonly webSocket: WebSocketSpec | null
  /** What TLS clients are told that it speaks, the best first; null: nothing. */
  readonly alpn: readonly string[] | null
  /** What the start screen calls it. */
  readonly title: string
}

export interface WebSocketSpec {
  readonly path: string
  /** The first is the one to tell people of. */
  readonly subprotocols: readonly string[]
}

export type ListenerName =
  | 'amqp'
  | 'amqps'
  | 'http'
  | 'https'
  | 'mqtt'
  | 'mqtts'
  | 'mqtt-ws'
  | 'mqtt-wss'
  | 'kafka'
  | 'kafkas'
  | 'stomp'
  | 'openwire'
  | 'rocketmq'
  | 'redis'
  | 'zeromq'
  | 'rpc'
  | 'rpcs'
  | 'rpc-ws'
  | 'rpc-wss'

/** Section 6 of MQTT 5, and the name that clients of MQTT 3.1 had; mosquitto takes both. */
const MQTT_WEB_SOCKET: WebSocketSpec = { path: '/mqtt', subprotocols: ['mqtt', 'mqttv3.1'] }

/** Of gRPC and Connect; our own frames say nothing. */
const RPC_ALPN: readonly string[] = ['h2', 'http/1.1']
const RPC_WEB_SOCKET: WebSocketSpec = { path: '/rpc', subprotocols: ['waystation-rpc'] }

/** Every listener there is, in the order they are shown. A new protocol is a line here. */
export const PORTS: readonly PortSpec[] = [
  served('amqp', 5672, 'AMQP 0-9-1'),
  { ...served('amqps', 5671, 'AMQP 0-9-1 over TLS'), onByDefault: false, tls: true },
  served('http', 15_672, 'HTTP administration'),
  { ...served('https', 15_671, 'HTTP administration over TLS'), onByDefault: false, tls: true },
  { ...served('mqtt', 1883, 'MQTT'), givesWay: true },
  { ...served('mqtts', 8883, 'MQTT over TLS'), onByDefault: false, tls: true },
  { ...served('mqtt-ws', 8083, 'MQTT over WebSocket'), givesWay: true, webSocket: MQTT_WEB_SOCKET },
  {
    ...served('mqtt-wss', 8084, 'MQTT over WebSocket and TLS'),
    onByDefault: false,
    tls: true,
    webSocket: MQTT_WEB_SOCKET,
  },
  { ...served('kafka', 9092, 'Kafka'), givesWay: true },
  { ...served('kafkas', 9093, 'Kafka over TLS'), onByDefault: false, tls: true },
  { ...served('rpc', 7700, 'RPC'), givesWay: true },
  { ...served('rpcs', 7701, 'RPC over TLS'), onByDefault: false, tls: true, alpn: RPC_ALPN },
  { ...served('rpc-ws', 7702, 'RPC over WebSocket'), givesWay: true, webSocket: RPC_WEB_SOCKET },
  {
    ...served('rpc-wss', 7703, 'RPC over WebSocket and TLS'),
    onByDefault: false,
    tls: true,
    webSocket: RPC_WEB_SOCKET,
  },
  planned('stomp', 61_613, 'STOMP'),
  planned('openwire', 61_616, 'OpenWire'),
  planned('rocketmq', 8081, 'RocketMQ'),
  planned('redis', 6379, 'Redis'),
  planned('zeromq', 5555, 'ZeroMQ'),
]

function served(name: ListenerName, standardPort: number, title: string): PortSpec {
  return {
    name,
    standardPort,
    title,
    onByDefault: true,
    tls: false,
    givesWay: false,
    available: true,
    webSocket: null,
    alpn: null,
  }
}

function planned(name: ListenerName, standardPort: number, title: string): PortSpec {
  return {
    name,
    standardPort,
    title,
    onByDefault: false,
    tls: false,
    givesWay: false,
    available: false,
    webSocket: null,
    alpn: null,
  }
}
