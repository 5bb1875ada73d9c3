/**
 * What RabbitMQ's tools write down beside what a broker acts on: global parameters. Kept in the
 * state table as JSON.
 */
import type { Broker } from '../../broker/broker.ts'
import { BrokerError } from '../../model/errors.ts'
import { PARAMETERS_MAX } from '../limits.ts'

const PARAMETER_PREFIX = 'notes/parameter/'
const CLUSTER_NAME = 'cluster_name'
const CLUSTER_NAME_DEFAULT = 'waystation'

export function globalParameters({ state }: Broker): { name: string; value: unknown }[] {
  return Array.from(state.entries(PARAMETER_PREFIX), ([key, value]) => {
    return { name: key.slice(PARAMETER_PREFIX.length), value: parsed(value) }
  }).sort((a, b) => (a.name < b.name ? -1 : 1))
}

export function globalParameter({ state }: Broker, name: string): unknown {
  const value = state.get(PARAMETER_PREFIX + name)
  return value === undefined ? undefined : parsed(value)
}

/** True where it was not there before. Stored with the commit of this turn. */
export function setGlobalParameter({ state }: Broker, name: string, value: unknown): boolean {
  const key = PARAMETER_PREFIX + name
  const isNew = state.get(key) === undefined
  if (isNew && [...state.entries(PARAMETER_PREFIX)].length >= PARAMETERS_MAX) {
    const text = `there are ${PARAMETERS_MAX} global parameters, which is the limit`
    throw new BrokerError('LIMIT_EXCEEDED', text)
  }
  state.set(key, json(value))
  return isNew
}

/** False where there was none. */
export function deleteGlobalParameter({ state }: Broker, name: string): boolean {
  return state.delete(PARAMETER_PREFIX + name)
}

export function clusterName(broker: Broker): string {
  const name = globalParameter(broker, CLUSTER_NAME)
  return typeof name === 'string' ? name : CLUSTER_NAME_DEFAULT
}

export function setClusterName(broker: Broker, name: string): void {
  setGlobalParameter(broker, CLUSTER_NAME, name)
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

function parsed(value: Buffer): unknown {
  return JSON.parse(value.toString('utf8'))
}
