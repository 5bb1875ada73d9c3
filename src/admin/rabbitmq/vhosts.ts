import { z } from 'zod'
import { setVhostNotes, vhostNotes } from '../../broker/vhost-notes.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { parseLimits, VHOST_LIMITS } from '../../model/limit-set.ts'
import { stored } from '../stored.ts'
import { removeVhost } from '../vhost-removal.ts'
import { checked, type Fields, fieldsOf, flag, integer, requireFields, tagsOf } from './input.ts'
import { answerList, answerOne, type Listed } from './listing.ts'
import { type Asked, requireTag, visibleVhosts, vhostOf } from './operator.ts'
import { totalsOf } from './overview.ts'
import { NODE, type RabbitParts } from './parts.ts'
import { badRequest, notFound } from './refusal.ts'
import type { Routes } from './routes.ts'

export function addVhosts(routes: Routes, parts: RabbitParts): void {
  const { broker, users } = parts
  routes.add('GET', '/vhosts', (asked) => {
    const hosts = visibleVhosts(parts, asked.get('operator'))
    return answerList(
      asked,
      hosts.map((host) => listed(parts, host)),
    )
  })
  routes.add('GET', '/vhosts/:vhost', (asked) => {
    return answerOne(asked, vhostView(parts, vhostOf(parts, asked, false)))
  })
  routes.add('PUT', '/vhosts/:vhost', async (asked) => {
    requireTag(asked, 'administrator')
    const name = asked.req.param('vhost') ?? ''
    const isNew = await putVhost(parts, name, await fieldsOf(asked))
    const operator = asked.get('operator')
    // As in RabbitMQ: whoever makes one may work in it.
    const isStored = operator.principal === operator.name
    if (isNew && isStored && !users.mayEnter(operator.name, name)) {
      const all = { configure: '.*', write: '.*', read: '.*' }
      await users.setPermissions(operator.name, name, all)
    }
    return asked.body(null, isNew ? 201 : 204)
  })
  routes.add('DELETE', '/vhosts/:vhost', async (asked) => {
    requireTag(asked, 'administrator')
    const name = asked.req.param('vhost') ?? ''
    if (broker.vhost(name) === undefined) throw notFound()
    await removeVhost(parts, name)
    return asked.body(null, 204)
  })
  routes.add('POST', '/vhosts/:vhost/start/:node', (asked) => {
    requireTag(asked, 'administrator')
    vhostOf(parts, asked, false)
    return asked.body(null, 204)
  })
  addLimits(routes, parts)
}

/** True where it was not there before; null or absent fields say nothing. */
export async function putVhost(parts: RabbitParts, name: string, fields: Fields): Promise<boolean> {
  const { broker } = parts
  const asked = checked(vhostFields, fields)
  if (name === '' || name.length > NAME_LENGTH_MAX) throw badRequest('invalid vhost name')
  const isNew = broker.vhost(name) === undefined
  await broker.createVhost(name)
  const { metadata = {} } = asked
  setVhostNotes(broker, name, {
    description: asked.description ?? metadata.description ?? '',
    tags: tagsOf(asked.tags ?? metadata.tags ?? []),
    defaultQueueType: known(asked.default_queue_type ?? metadata.default_queue_type),
  })
  await stored(broker)
  return isNew
}

const NAME_LENGTH_MAX = 255

function known(type: string | null | undefined): string | null {
  if (type === undefined || type === null || type === 'undefined') return null
  if (['classic', 'quorum', 'stream'].includes(type)) return type
  throw badRequest(`Unsupported default queue type: ${type}`)
}

const noted = {
  description: z.string().optional(),
  tags: z.union([z.string(), z.array(z.string())]).optional(),
  default_queue_type: z.string().nullable().optional(),
}
const vhostFields = z.object({
  ...noted,
  metadata: z.object(noted).optional(),
  tracing: flag.optional(),
})

function listed(parts: RabbitParts, vhost: VirtualHost): Listed {
  return { name: vhost.name, view: () => vhostView(parts, vhost) }
}

function vhostView(parts: RabbitParts, vhost: VirtualHost): Record<string, unknown> {
  const { name } = vhost
  const { description, tags, defaultQueueType } = vhostNotes(parts.broker, name)
  const default_queue_type = defaultQueueType ?? 'classic'
  const { queues, stats } = totalsOf([vhost])
  return {
    name,
    description,
    tags,
    default_queue_type,
    metadata: { description, tags, default_queue_type },
    tracing: false,
    cluster_state: { [NODE]: 'running' },
    ...parts.rates.stats(vhost, queues),
    message_stats: parts.rates.stats(vhost.policies, stats),
  }
}

function addLimits(routes: Routes, parts: RabbitParts): void {
  routes.add('GET', '/vhost-limits', (asked) => {
    const hosts = visibleVhosts(parts, asked.get('operator'))
    return asked.json(hosts.flatMap(limitsView))
  })
  routes.add('GET', '/vhost-limits/:vhost', (asked) => {
    return asked.json(limitsView(vhostOf(parts, asked, false)))
  })
  const change = async (asked: Asked, value: number | null): Promise<Response> => {
    requireTag(asked, 'administrator')
    const name = asked.req.param('name') ?? ''
    const vhost = vhostOf(parts, asked, false)
    const limits: Record<string, number> = { ...vhost.limits }
    if (value === null) delete limits[name]
    else limits[name] = value
    await vhost.setLimits(parseLimits(limits, VHOST_LIMITS))
    return asked.body(null, 204)
  }
  routes.add('PUT', '/vhost-limits/:vhost/:name', async (asked) => {
    const fields = await fieldsOf(asked)
    requireFields(fields, ['value'])
    return change(asked, checked(integer, fields['value']))
  })
  routes.add('DELETE', '/vhost-limits/:vhost/:name', async (asked) => change(asked, null))
}

function limitsView({ name, limits }: VirtualHost): { vhost: string; value: object }[] {
  return Object.keys(limits).length === 0 ? [] : [{ vhost: name, value: limits }]
}
