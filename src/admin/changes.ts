import type { Hono } from 'hono'
import type { User } from '../auth/index.ts'
import { appliesToFromRabbit, parsePolicyDefinition } from '../broker/policy.ts'
import { BrokerError } from '../model/errors.ts'
import { parseLimits, USER_LIMITS, VHOST_LIMITS } from '../model/limit-set.ts'
import type { AdminParts } from './admin-parts.ts'
import { recordChange } from './audit.ts'
import type { AdminContext } from './authentication.ts'
import { requireVhost } from './listings.ts'
import {
  changedDestinationBody,
  changedUserBody,
  changedVhostBody,
  numberedParams,
  deleteQuery,
  limitsBody,
  destinationParams,
  newUserBody,
  permissionParams,
  permissionsBody,
  topicPermissionsBody,
  topicPermissionsQuery,
  policyBody,
  policyParams,
  userParams,
  vhostParams,
} from './schemas.ts'
import { body, params, query } from './validation.ts'
import { removeVhost } from './vhost-removal.ts'
import { destinationView } from './views.ts'

/** Everything that can be changed. Each change is logged with who made it. */
export function addChanges(app: Hono<AdminContext>, parts: AdminParts): void {
  app.use('/v1/*', async (context, next) => {
    await next()
    const { method, path } = context.req
    if (method === 'GET' || !context.res.ok) return
    recordChange(parts, context.get('user'), { method, path, peer: context.env.peer.address })
  })
  addVhostChanges(app, parts)
  addUserChanges(app, parts)
  addPermissionChanges(app, parts)
  addPolicyChanges(app, parts)
  addDestinationChanges(app, parts)
  app.delete('/v1/connections/:id', (context) => {
    const { id } = params(context, numberedParams)
    const reason = 'closed by an administrator'
    const isClosed = parts.protocols.some((protocol) => protocol.closeConnection(id, reason))
    if (!isClosed) throw new BrokerError('NOT_FOUND', `no connection ${id}`)
    return context.body(null, 204)
  })
}

function addVhostChanges(app: Hono<AdminContext>, parts: AdminParts): void {
  const { broker } = parts
  app.put('/v1/vhosts/:vhost', async (context) => {
    const { vhost } = params(context, vhostParams)
    if (broker.vhost(vhost) !== undefined) {
      throw new BrokerError('PRECONDITION_FAILED', `vhost '${vhost}' already exists`)
    }
    await broker.createVhost(vhost)
    return context.json({ name: vhost }, 201)
  })
  app.patch('/v1/vhosts/:vhost', async (context) => {
    const { vhost } = params(context, vhostParams)
    const { declareMismatch } = await body(context, changedVhostBody)
    await requireVhost(parts, vhost).setDeclareMismatch(declareMismatch)
    return context.body(null, 204)
  })
  app.put('/v1/vhosts/:vhost/limits', async (context) => {
    const { vhost } = params(context, vhostParams)
    const limits = parseLimits(await body(context, limitsBody), VHOST_LIMITS)
    await requireVhost(parts, vhost).setLimits(limits)
    return context.body(null, 204)
  })
  app.delete('/v1/vhosts/:vhost/limits', async (context) => {
    const { vhost } = params(context, vhostParams)
    await requireVhost(parts, vhost).setLimits({})
    return context.body(null, 204)
  })
  app.delete('/v1/vhosts/:vhost', async (context) => {
    const { vhost } = params(context, vhostParams)
    requireVhost(parts, vhost)
    await removeVhost(parts, vhost)
    return context.body(null, 204)
  })
}

function addUserChanges(app: Hono<AdminContext>, { users }: AdminParts): void {
  app.put('/v1/users/:user', async (context) => {
    const { user } = params(context, userParams)
    const { password, tags = [] } = await body(context, newUserBody)
    if (users.get(user) !== null) {
      throw new BrokerError('PRECONDITION_FAILED', `user '${user}' already exists`)
    }
    await users.add(user, password, tags)
    return context.json({ name: user, tags }, 201)
  })
  app.patch('/v1/users/:user', async (context) => {
    const { user } = params(context, userParams)
    const { password, tags } = await body(context, changedUserBody)
    requireUser(users, user)
    if (tags !== undefined) await users.setTags(user, tags)
    if (password !== undefined) await users.setPassword(user, password)
    return context.body(null, 204)
  })
  // As in RabbitMQ: those that are named change, the others stay.
  app.put('/v1/users/:user/limits', async (context) => {
    const { user } = params(context, userParams)
    const changes = await body(context, limitsBody)
    const given = parseLimits(changes, USER_LIMITS)
    const { limits } = requireUser(users, user)
    const kept = Object.entries(limits).filter(([name]) => !Object.hasOwn(changes, name))
    await users.setLimits(user, { ...Object.fromEntries(kept), ...given })
    return context.body(null, 204)
  })
  app.delete('/v1/users/:user/limits', async (context) => {
    const { user } = params(context, userParams)
    requireUser(users, user)
    await users.setLimits(user, {})
    return context.body(null, 204)
  })
  app.delete('/v1/users/:user', async (context) => {
    const { user } = params(context, userParams)
    requireUser(users, user)
    await users.remove(user)
    return context.body(null, 204)
  })
}

function addPermissionChanges(app: Hono<AdminContext>, parts: AdminParts): void {
  const { users } = parts
  app.put('/v1/permissions/:vhost/:user', async (context) => {
    const { vhost, user } = params(context, permissionParams)
    const permissions = await body(context, permissionsBody)
    requireVhost(parts, vhost)
    requireUser(users, user)
    await users.setPermissions(user, vhost, permissions)
    return context.body(null, 204)
  })
  app.delete('/v1/permissions/:vhost/:user', async (context) => {
    const { vhost, user } = params(context, permissionParams)
    requireUser(users, user)
    await users.clearPermissions(user, vhost)
    return context.body(null, 204)
  })
  app.put('/v1/topic-permissions/:vhost/:user', async (context) => {
    const { vhost, user } = params(context, permissionParams)
    const { exchange, ...permissions } = await body(context, topicPermissionsBody)
    requireVhost(parts, vhost)
    requireUser(users, user)
    await users.setTopicPermissions(user, { vhost, exchange }, permissions)
    return context.body(null, 204)
  })
  app.delete('/v1/topic-permissions/:vhost/:user', async (context) => {
    const { vhost, user } = params(context, permissionParams)
    const { exchange } = query(context, topicPermissionsQuery)
    requireUser(users, user)
    const place = { vhost, ...(exchange === undefined ? {} : { exchange }) }
    await users.clearTopicPermissions(user, place)
    return context.body(null, 204)
  })
}

function addPolicyChanges(app: Hono<AdminContext>, parts: AdminParts): void {
  app.put('/v1/policies/:vhost/:policy', async (context) => {
    const { vhost, policy: name } = params(context, policyParams)
    const { pattern, appliesTo = 'all', priority = 0, definition } = await body(context, policyBody)
    await requireVhost(parts, vhost).setPolicy({
      name,
      pattern,
      priority,
      appliesTo: appliesToFromRabbit(appliesTo),
      settings: parsePolicyDefinition(definition),
    })
    return context.body(null, 204)
  })
  app.delete('/v1/policies/:vhost/:policy', async (context) => {
    const { vhost, policy } = params(context, policyParams)
    if (!(await requireVhost(parts, vhost).deletePolicy(policy))) {
      throw new BrokerError('NOT_FOUND', `no policy '${policy}' in vhost '${vhost}'`)
    }
    return context.body(null, 204)
  })
}

function addDestinationChanges(app: Hono<AdminContext>, parts: AdminParts): void {
  app.delete('/v1/destinations/:vhost/:destination', async (context) => {
    const { vhost, destination } = params(context, destinationParams)
    const { ifUnused = false, ifEmpty = false } = query(context, deleteQuery)
    const host = requireVhost(parts, vhost)
    const messages = await host.deleteDestination(destination, { ifUnused, ifEmpty })
    return context.json({ messages })
  })
  app.patch('/v1/destinations/:vhost/:destination', async (context) => {
    const { vhost, destination } = params(context, destinationParams)
    const changes = await body(context, changedDestinationBody)
    const altered = await parts.broker.alter(requireVhost(parts, vhost), destination, {
      arguments: new Map(Object.entries(changes.arguments ?? {})),
      partitionCount: changes.partitions,
      profile: changes.profile,
    })
    return context.json(destinationView(altered))
  })
  app.post('/v1/destinations/:vhost/:destination/purge', (context) => {
    const { vhost, destination: name } = params(context, destinationParams)
    const destination = requireVhost(parts, vhost).destination(name)
    if (destination === undefined) {
      throw new BrokerError('NOT_FOUND', `no queue '${name}' in vhost '${vhost}'`)
    }
    return context.json({ messages: destination.purge() })
  })
}

function requireUser(users: AdminParts['users'], name: string): User {
  const user = users.get(name)
  if (user === null) throw new BrokerError('NOT_FOUND', `no user '${name}'`)
  return user
}
