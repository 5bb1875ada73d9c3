import type { ConnectionSource } from '../admin/index.ts'
import type { Authenticator, UserStore } from '../auth/index.ts'
import type { Broker } from '../broker/broker.ts'
import type { Clock } from '../lib/clock.ts'
import type { RandomSource } from '../lib/random.ts'
import type { Turn } from '../lib/turn.ts'
import type { ProtocolHandler } from '../net/index.ts'
import { createAmqp091 } from '../protocols/amqp091/index.ts'
import { createKafka } from '../protocols/kafka/index.ts'
import { createMqtt } from '../protocols/mqtt/index.ts'
import type { RpcCore } from '../rpc/core.ts'
import type { Log } from './log.ts'
import { mqttSettingsOf } from './mqtt-settings.ts'
import type { ListenerName } from './protocol-ports.ts'
import { rpcProtocol } from './rpc-protocol.ts'
import type { ServerConfig } from './server-config.ts'
import { packageVersion } from './version.ts'

/** What every protocol is built from. */
export interface ProtocolParts {
  readonly config: ServerConfig
  readonly broker: Broker
  readonly rpcCore: RpcCore
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: Log
}

/** A protocol that clients can connect to and administrators can look at. */
export type ServedProtocol = ProtocolHandler & ConnectionSource

interface ProtocolWiring {
  readonly listeners: readonly ListenerName[]
  readonly create: (parts: ProtocolParts) => ServedProtocol
}

/** Which protocol answers on which listeners. A new protocol is a line here. */
export const PROTOCOLS: readonly ProtocolWiring[] = [
  { listeners: ['amqp', 'amqps'], create: amqp091 },
  { listeners: ['mqtt', 'mqtts', 'mqtt-ws', 'mqtt-wss'], create: mqtt },
  { listeners: ['kafka', 'kafkas'], create: kafka },
  { listeners: ['rpc', 'rpcs', 'rpc-ws', 'rpc-wss'], create: rpcProtocol },
]

function amqp091(parts: ProtocolParts): ServedProtocol {
  const { limits, heartbeatSeconds } = parts.config
  return createAmqp091({
    ...parts,
    limits: {
      ...(limits.messageSize === undefined ? {} : { messageSizeMax: limits.messageSize }),
      ...(limits.channelsPerConnection === undefined
        ? {}
        : { channelMax: limits.channelsPerConnection }),
      ...(limits.frameSize === undefined ? {} : { frameSizeMax: limits.frameSize }),
      ...(heartbeatSeconds === null ? {} : { heartbeatSeconds }),
    },
  })
}

function mqtt(parts: ProtocolParts): ServedProtocol {
  const { limits, mqtt: input } = parts.config
  const settings = mqttSettingsOf(input, limits.messageSize)
  return createMqtt({ ...parts, version: packageVersion(), ...settings })
}

function kafka(parts: ProtocolParts): ServedProtocol {
  const { config } = parts
  const { messageSize } = config.limits
  const { virtualHost, autoCreateTopics, partitions } = config.kafka
  return createKafka({
    ...parts,
    advertised: advertisedEndpoints(config),
    ...(virtualHost === undefined ? {} : { vhostName: virtualHost }),
    limits: {
      ...(messageSize === undefined ? {} : { messageBytesMax: messageSize }),
      ...(autoCreateTopics === undefined ? {} : { autoCreateTopics }),
      ...(partitions === undefined ? {} : { partitionsDefault: partitions }),
    },
  })
}

/** A host alone stands for that host at whatever port each listener has. */
function advertisedEndpoints({
  kafka: { advertised },
  listeners,
}: ServerConfig): Map<string, { readonly host: string; readonly port: number }> {
  const endpoints = new Map<string, { readonly host: string; readonly port: number }>()
  if (advertised === undefined) return endpoints
  const [, host = advertised, port] = /^(.+):(\d+)$/.exec(advertised) ?? []
  for (const { port: listener, address } of listeners) {
    if (!listener.name.startsWith('kafka')) continue
    endpoints.set(listener.name, { host, port: port === undefined ? address.port : Number(port) })
  }
  return endpoints
}
