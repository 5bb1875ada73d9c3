import type { MqttLimits } from '../protocols/mqtt/index.ts'
import type { MqttInput, MqttListenerInput } from './config-schema.ts'

/** Room for the topic and the properties of the largest message. */
export const PACKET_HEAD_BYTES: number = 128 * 1024

export interface MqttSettings {
  readonly useIdentityAsUsername: boolean
  readonly limits: Partial<MqttLimits>
  /** What is different on single listeners, by their names. */
  readonly listenerLimits: Readonly<Record<string, Partial<MqttLimits>>>
}

/** What MQTT may do as the configuration says; a packet holds the largest message of the broker. */
export function mqttSettingsOf(input: MqttInput, messageSize: number | undefined): MqttSettings {
  const { listeners = {}, useIdentityAsUsername = false, ...general } = input
  const byListener = Object.entries(listeners).map(([name, listener]) => {
    return [name, limitsOf(listener ?? {})] as const
  })
  return {
    useIdentityAsUsername,
    limits: {
      ...(messageSize === undefined ? {} : { packetSizeMax: messageSize + PACKET_HEAD_BYTES }),
      ...limitsOf(general),
    },
    listenerLimits: Object.fromEntries(byListener),
  }
}

function limitsOf(input: MqttListenerInput): Partial<MqttLimits> {
  const { keepAliveMax, sessionExpiryMax } = input
  return withoutUndefined({
    receiveMaximum: input.receiveMaximum,
    topicAliasMaximum: input.topicAliasMaximum,
    maximumQos: input.maximumQos,
    isRetainAvailable: input.retainAvailable,
    packetSizeMax: input.packetSize,
    inFlightMax: input.inFlight,
    keepAliveSecondsMax: keepAliveMax === undefined ? undefined : Math.ceil(keepAliveMax / 1000),
    sessionExpirySecondsMax:
      sessionExpiryMax === undefined ? undefined : Math.floor(sessionExpiryMax / 1000),
  })
}

type Defined<T> = { readonly [Key in keyof T]?: Exclude<T[Key], undefined> }

function withoutUndefined<T extends object>(values: T): Defined<T> {
  // What is left has no undefined in it, which the types cannot see.
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Defined<T>
}
