import { OwnMessage } from '../own-messages.ts'
import type { ServiceInstance } from './directory.ts'

/** Instance of registry.proto, as JSON. */
interface InstanceJson {
  readonly service: string
  readonly instanceId: string
  readonly address: string
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  readonly weight: number
  readonly health: 'HEALTH_UNSPECIFIED' | 'HEALTH_SERVING' | 'HEALTH_NOT_SERVING'
}

export interface EventJson {
  readonly change: 'CHANGE_APPEARED' | 'CHANGE_CHANGED' | 'CHANGE_GONE'
  readonly instance: InstanceJson
}

export interface EventsJson {
  readonly events: readonly EventJson[]
  readonly complete: boolean
}

export const REGISTER: OwnMessage<{
  readonly instance?: InstanceJson
  readonly ttlMs: number
}> = new OwnMessage('RegisterInstance')
export const REGISTERED: OwnMessage<{ readonly ttlMs: number }> = new OwnMessage(
  'InstanceRegistered',
)
export const DEREGISTER: OwnMessage<{
  readonly service: string
  readonly instanceId: string
}> = new OwnMessage('DeregisterInstance')
export const DEREGISTERED: OwnMessage<object> = new OwnMessage('InstanceDeregistered')
export const WANTED: OwnMessage<{ readonly service: string }> = new OwnMessage('InstancesWanted')
export const LIST: OwnMessage<{ readonly instances: readonly InstanceJson[] }> = new OwnMessage(
  'InstanceList',
)
export const EVENTS: OwnMessage<EventsJson> = new OwnMessage('InstanceEvents')

export function jsonOf({ isServing, ...instance }: ServiceInstance): InstanceJson {
  return {
    ...instance,
    weight: Math.max(Math.trunc(instance.weight), 0),
    health: isServing ? 'HEALTH_SERVING' : 'HEALTH_NOT_SERVING',
  }
}

export function instanceOf({ health, weight, ...instance }: InstanceJson): ServiceInstance {
  return {
    ...instance,
    weight: weight === 0 ? 1 : weight,
    isServing: health !== 'HEALTH_NOT_SERVING',
  }
}
