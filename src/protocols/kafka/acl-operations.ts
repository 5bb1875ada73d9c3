import { ERROR } from '../../codec/kafka/index.ts'
import { Refused } from './errors.ts'
import type { RequestContext } from './request-context.ts'
import { couldUse } from './topics.ts'

/** Numbers of `AclOperation`; bit N of a set of authorized operations stands for number N. */
export const OPERATION: {
  readonly READ: 3
  readonly WRITE: 4
  readonly CREATE: 5
  readonly DELETE: 6
  readonly ALTER: 7
  readonly DESCRIBE: 8
  readonly CLUSTER_ACTION: 9
  readonly DESCRIBE_CONFIGS: 10
  readonly ALTER_CONFIGS: 11
  readonly IDEMPOTENT_WRITE: 12
} = {
  READ: 3,
  WRITE: 4,
  CREATE: 5,
  DELETE: 6,
  ALTER: 7,
  DESCRIBE: 8,
  CLUSTER_ACTION: 9,
  DESCRIBE_CONFIGS: 10,
  ALTER_CONFIGS: 11,
  IDEMPOTENT_WRITE: 12,
}

function bits(operations: readonly number[]): number {
  let set = 0
  for (const operation of operations) set |= 1 << operation
  return set
}

/** What the user may do with a topic, in Kafka's terms. */
export function topicOperations(context: RequestContext, name: string): number {
  const may: number[] = []
  if (couldUse(context, name, 'read')) may.push(OPERATION.READ, OPERATION.DESCRIBE)
  if (couldUse(context, name, 'write')) may.push(OPERATION.WRITE, OPERATION.DESCRIBE)
  if (couldUse(context, name, 'configure')) {
    const { CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS } = OPERATION
    may.push(CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS)
  }
  return bits(may)
}

export function groupOperations(context: RequestContext, name: string): number {
  const { READ, DELETE, DESCRIBE } = OPERATION
  return couldUse(context, name, 'read') ? bits([READ, DELETE, DESCRIBE]) : 0
}

/** Whoever is let in may look and create; what exactly, the permissions on names say. */
export function clusterOperations(context: RequestContext): number {
  const { CREATE, DESCRIBE, IDEMPOTENT_WRITE } = OPERATION
  const may: number[] = [CREATE, DESCRIBE, IDEMPOTENT_WRITE]
  if (isAdministrator(context)) {
    const { ALTER, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS } = OPERATION
    may.push(ALTER, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS)
  }
  return bits(may)
}

/** Throws what Kafka answers to whoever may not administer the cluster. */
export function requireAdministrator(context: RequestContext): void {
  if (isAdministrator(context)) return
  throw new Refused(ERROR.CLUSTER_AUTHORIZATION_FAILED, 'Cluster authorization failed.')
}

export function isAdministrator({ shared, principal }: RequestContext): boolean {
  return shared.users.get(principal)?.tags.includes('administrator') === true
}
