import type { Hono } from 'hono'
import { BrokerError, type BrokerErrorCode } from '../../model/errors.ts'
import type { Directory } from '../../rpc/directory/directory.ts'
import { checkInstance } from '../../rpc/directory/instance-check.ts'
import { RpcError } from '../../rpc/status.ts'
import type { AdminParts } from '../admin-parts.ts'
import { recordChange } from '../audit.ts'
import type { AdminContext } from '../authentication.ts'
import { requireVhost } from '../listings.ts'
import { vhostParams } from '../schemas.ts'
import { body, InvalidRequest, params, query } from '../validation.ts'
import { instanceBody, instanceParams, instancesQuery } from './schemas.ts'

/**
 * Instances of services, for those who call them directly. Registering one again renews it, which
 * is done all the time: so only the first time is a change that the audit log tells of, and this is
 * added ahead of what tells of all others.
 */
export function addInstances(app: Hono<AdminContext>, parts: AdminParts): void {
  app.get('/v1/instances/:vhost', (context) => {
    const directory = directoryOf(parts, params(context, vhostParams).vhost)
    const { service = '' } = query(context, instancesQuery)
    return context.json([...directory.instances(service)].map(([, instance]) => instance))
  })
  app.put('/v1/instances/:vhost/:service/:instance', async (context) => {
    const { vhost, service, instance: instanceId } = params(context, instanceParams)
    const { address, version = '', labels = {}, ...said } = await body(context, instanceBody)
    const { weight = 1, isServing = true, ttlMs = 0 } = said
    const directory = directoryOf(parts, vhost)
    const user = context.get('user')
    const instance = { service, instanceId, address, version, labels, weight, isServing }
    const isNew = !directory.has(service, instanceId)
    const grantedMs = asBrokerDoes(() => {
      checkInstance(instance)
      return directory.register(instance, user, ttlMs)
    })
    const { method, path } = context.req
    if (isNew) recordChange(parts, user, { method, path, peer: context.env.peer.address })
    return context.json({ ttlMs: grantedMs })
  })
  app.delete('/v1/instances/:vhost/:service/:instance', (context) => {
    const { vhost, service, instance } = params(context, instanceParams)
    const directory = directoryOf(parts, vhost)
    asBrokerDoes(() => directory.deregister(service, instance, null))
    const { method, path } = context.req
    const { address: peer } = context.env.peer
    recordChange(parts, context.get('user'), { method, path, peer })
    return context.body(null, 204)
  })
}

function directoryOf(parts: AdminParts, vhost: string): Directory {
  requireVhost(parts, vhost)
  if (parts.rpcCore === undefined) throw new BrokerError('UNAVAILABLE', 'nothing serves calls')
  return parts.rpcCore.host(vhost).directory
}

const CODES: Readonly<Partial<Record<RpcError['code'], BrokerErrorCode>>> = {
  NOT_FOUND: 'NOT_FOUND',
  PERMISSION_DENIED: 'ACCESS_REFUSED',
  RESOURCE_EXHAUSTED: 'LIMIT_EXCEEDED',
}

function asBrokerDoes<T>(act: () => T): T {
  try {
    return act()
  } catch (cause) {
    if (!(cause instanceof RpcError)) throw cause
    if (cause.code === 'INVALID_ARGUMENT') throw new InvalidRequest(cause.message)
    throw new BrokerError(CODES[cause.code] ?? 'PRECONDITION_FAILED', cause.message, { cause })
  }
}
