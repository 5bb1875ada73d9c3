import { z } from 'zod'
import type { BindingSpec } from '../../broker/binding.ts'
import type { ExchangeSpec } from '../../broker/exchange.ts'
import { vhostNotes } from '../../broker/vhost-notes.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { Topic } from '../../broker/topics/topic.ts'
import { someAtOnce } from '../../lib/some-at-once.ts'
import { BrokerError } from '../../model/errors.ts'
import { parseLimits, USER_LIMITS } from '../../model/limit-set.ts'
import { listResponse } from '../json-list.ts'
import { BINDINGS_SORTED_MAX, IMPORTED_AT_ONCE } from '../limits.ts'
import { stored } from '../stored.ts'
import { headersToShow } from '../views.ts'
import { bindingOf } from './bindings.ts'
import { checked, type Fields, fieldsOf, headersOf, requireFields } from './input.ts'
import { clusterName, globalParameters, setGlobalParameter } from './notes.ts'
import { type Asked, requireTag, vhostOf } from './operator.ts'
import type { RabbitParts } from './parts.ts'
import { LIMITS_COMPONENT, parameterViews, putLimits, putPolicy } from './policies.ts'
import { policyView } from './queue-view.ts'
import { badRequest } from './refusal.ts'
import type { Routes } from './routes.ts'
import { declareExchange, declareQueue } from './topology.ts'
import { putPermissions, putTopicPermissions, putUser, userView } from './users.ts'
import { putVhost } from './vhosts.ts'

/** All that is declared, to be kept or taken elsewhere, in RabbitMQ's own form. */
export function addDefinitions(routes: Routes, parts: RabbitParts): void {
  routes.add('GET', '/definitions', (asked) => {
    requireTag(asked, 'administrator')
    offerFile(asked)
    return answerExport(asked, exportAll(parts), allBindings([...parts.broker.vhosts()], true))
  })
  routes.add('POST', '/definitions', async (asked) => {
    requireTag(asked, 'administrator')
    await importAll(parts, await fieldsOf(asked, 'failed_to_parse_json'))
    return asked.body(null, 204)
  })
  routes.add('GET', '/definitions/:vhost', (asked) => {
    requireTag(asked, 'policymaker')
    const name = asked.req.param('vhost') ?? ''
    if (parts.broker.vhost(name) === undefined) throw badRequest('vhost_not_found')
    offerFile(asked)
    const vhost = vhostOf(parts, asked, false)
    return answerExport(asked, exportVhost(parts, vhost), allBindings([vhost], false))
  })
  routes.add('POST', '/definitions/:vhost', async (asked) => {
    requireTag(asked, 'administrator')
    const vhost = vhostOf(parts, asked, true)
    const given = await fieldsOf(asked, 'failed_to_parse_json')
    await importTopology(parts, checked(definitions, given), () => vhost)
    return asked.body(null, 204)
  })
}

function offerFile(asked: Asked): void {
  const name = asked.req.query('download')
  if (name === undefined) return
  const plain = name.replaceAll(/[^\w.-]/g, '_')
  asked.header('content-disposition', `attachment; filename=${plain}`)
}

const OPERATOR_POLICY = 'operator_policy'

// --- export ---

function exportAll(parts: RabbitParts): Fields {
  const { broker, users } = parts
  const hosts = [...broker.vhosts()]
  const cluster = clusterName(broker)
  const each = (view: (vhost: VirtualHost) => Iterable<Fields>): Fields[] => {
    return hosts.flatMap((host) =>
      Array.from(view(host), (found) => ({ vhost: host.name, ...found })),
    )
  }
  return {
    ...product(parts, 'cluster'),
    original_cluster_name: cluster,
    explanation: `Definitions of cluster '${cluster}'`,
    users: users.list().map(({ name }) => {
      const { scram } = users.secrets(name) ?? {}
      return { ...userView(parts, name), ...(scram === undefined ? {} : { scram }) }
    }),
    vhosts: hosts.map((host) => ({ name: host.name, ...notesOf(parts, host) })),
    permissions: users.listPermissions(),
    topic_permissions: users.listTopicPermissions(),
    parameters: each(allParameters),
    global_parameters: globalParameters(broker),
    policies: each(({ name, policies }) =>
      policies.list().map((policy) => policyView(name, policy)),
    ),
    exchanges: each((host) => exchangesOf(parts, host)),
    queues: each((host) => queuesOf(parts, host)),
  }
}

function exportVhost(parts: RabbitParts, vhost: VirtualHost): Fields {
  const policies = vhost.policies.list().map((policy) => {
    const { vhost: _vhost, ...rest } = policyView(vhost.name, policy)
    return rest
  })
  return {
    ...product(parts, 'single_virtual_host'),
    original_vhost_name: vhost.name,
    explanation: `Definitions of virtual host '${vhost.name}'`,
    ...notesOf(parts, vhost),
    parameters: allParameters(vhost).map(({ vhost: _vhost, ...rest }) => rest),
    policies,
    exchanges: exchangesOf(parts, vhost),
    queues: queuesOf(parts, vhost),
  }
}

/** RabbitMQ keeps an operator's policies among them. */
function allParameters(vhost: VirtualHost): Fields[] {
  const operator = vhost.policies.listOperator().map((policy) => {
    const { name, vhost: _vhost, ...value } = policyView(vhost.name, policy)
    return { component: OPERATOR_POLICY, name, vhost: vhost.name, value }
  })
  return [...parameterViews(vhost), ...operator]
}

function product(parts: RabbitParts, format: string): Fields {
  const { version } = parts.terms
  return {
    rabbit_version: version,
    rabbitmq_version: version,
    product_name: 'Waystation',
    product_version: parts.status().version,
    rabbitmq_definition_format: format,
  }
}

function notesOf({ broker }: RabbitParts, { name }: VirtualHost): Fields {
  const { description, tags, defaultQueueType } = vhostNotes(broker, name)
  const default_queue_type = defaultQueueType ?? 'classic'
  return {
    description,
    tags,
    default_queue_type,
    metadata: { description, tags, default_queue_type },
  }
}

function isOwn({ name }: ExchangeSpec): boolean {
  return name === '' || name.startsWith('amq.')
}

function exchangesOf({ terms }: RabbitParts, vhost: VirtualHost): Fields[] {
  return [...vhost.exchanges()]
    .filter(({ spec }) => !isOwn(spec))
    .map(({ spec }) => ({
      name: spec.name,
      type: terms.exchangeType(spec),
      durable: spec.durable,
      auto_delete: spec.autoDelete,
      internal: spec.internal,
      arguments: headersToShow(spec.arguments),
    }))
}

/** What dies with its connection is nobody's definition. */
function queuesOf({ terms }: RabbitParts, vhost: VirtualHost): Fields[] {
  return [...vhost.destinations()]
    .filter(({ exclusiveOwner }) => exclusiveOwner === null)
    .map((queue) => {
      const { spec } = queue
      const type = terms.queueType(spec)
      const isMany = queue instanceof Topic && queue.partitions.length > 1
      return {
        name: spec.name,
        durable: spec.durable,
        auto_delete: spec.autoDelete,
        arguments: { 'x-queue-type': type, ...headersToShow(spec.arguments) },
        ...(isMany ? { partitions: queue.partitions.length } : {}),
      }
    })
}

/** As one text where that is quickly made, and piece by piece where there are very many bindings. */
function answerExport(asked: Asked, all: Fields, { count, bindings }: AllBindings): Response {
  if (count <= BINDINGS_SORTED_MAX) return asked.json({ ...all, bindings: [...bindings] })
  const before = `${JSON.stringify(all).slice(0, -1)},"bindings":`
  const response = listResponse(bindings, { before, after: '}' })
  const disposition = asked.res.headers.get('content-disposition')
  if (disposition !== null) response.headers.set('content-disposition', disposition)
  return response
}

interface AllBindings {
  readonly count: number
  readonly bindings: Iterable<Fields>
}

function allBindings(vhosts: readonly VirtualHost[], namesVhost: boolean): AllBindings {
  return {
    count: vhosts.reduce((sum, { bounds }) => sum + bounds.bindingCount, 0),
    bindings: {
      *[Symbol.iterator]() {
        for (const vhost of vhosts) {
          const named = namesVhost ? { vhost: vhost.name } : {}
          for (const binding of bindingsOf(vhost)) yield { ...named, ...binding }
        }
      },
    },
  }
}

function* bindingsOf(vhost: VirtualHost): Iterable<Fields> {
  for (const binding of vhost.bindings()) {
    const { source, target, targetKind, key } = binding
    const isExchange = targetKind === 'exchange'
    if (!isExchange && vhost.destination(target)?.exclusiveOwner !== null) continue
    yield {
      source,
      destination: target,
      destination_type: isExchange ? 'exchange' : 'queue',
      routing_key: key,
      arguments: headersToShow(binding.arguments),
    }
  }
}

// --- import ---

/** Some clients write null for none. */
const things = z
  .array(z.record(z.string(), z.unknown()))
  .nullish()
  .transform((list) => list ?? [])
const definitions = z.object({
  users: things,
  vhosts: things,
  permissions: things,
  topic_permissions: things,
  parameters: things,
  global_parameters: things,
  policies: things,
  exchanges: things,
  queues: things,
  bindings: things,
})
type Definitions = z.infer<typeof definitions>

/** Adds what is not there and changes what is; takes nothing away. */
async function importAll(parts: RabbitParts, given: Fields): Promise<void> {
  const all = checked(definitions, given)
  const { broker } = parts
  for (const user of all.users) {
    requireFields(user, ['name'])
    const name = String(user['name'])
    await putUser(parts, name, { tags: '', ...user })
    const limits = checked(
      z.union([z.record(z.string(), z.unknown()), z.array(z.never())]),
      user['limits'] ?? {},
    )
    const isEmpty = Array.isArray(limits)
    await parts.users.setLimits(name, isEmpty ? {} : parseLimits(limits, USER_LIMITS))
  }
  for (const vhost of all.vhosts) {
    requireFields(vhost, ['name'])
    await putVhost(parts, String(vhost['name']), vhost)
  }
  for (const permission of all.permissions) {
    requireFields(permission, ['user', 'vhost', 'configure', 'write', 'read'])
    await putPermissions(parts, permission)
  }
  for (const permission of all.topic_permissions) {
    requireFields(permission, ['user', 'vhost', 'exchange', 'write', 'read'])
    await putTopicPermissions(parts, permission)
  }
  for (const { name, value } of all.global_parameters) {
    setGlobalParameter(broker, String(name), value)
  }
  await stored(broker)
  await importTopology(parts, all, (fields) => {
    const vhost = broker.vhost(String(fields['vhost']))
    if (vhost !== undefined) return vhost
    const name = JSON.stringify(fields['vhost'])
    throw badRequest(`Please create virtual host ${name} prior to importing definitions.`)
  })
}

type VhostOf = (fields: Fields) => VirtualHost

async function importTopology(parts: RabbitParts, all: Definitions, of: VhostOf): Promise<void> {
  await importParameters(parts, all.parameters, of)
  for (const policy of all.policies) await putPolicy(parts, of(policy), policy)
  await someAtOnce(all.exchanges, IMPORTED_AT_ONCE, async (exchange) => {
    const vhost = of(exchange)
    // As in RabbitMQ: what stands stays as it is.
    if (vhost.exchange(String(exchange['name'])) !== undefined) return
    await declareExchange(parts, vhost, exchange)
  })
  await someAtOnce(all.queues, IMPORTED_AT_ONCE, async (queue) => {
    await importQueue(parts, of(queue), queue)
  })
  await someAtOnce(all.bindings, IMPORTED_AT_ONCE, async (binding) => {
    await importBinding(of(binding), binding)
  })
}

/** Those of plugins that are not here are named in the log and left out. */
async function importParameters(
  parts: RabbitParts,
  parameters: readonly Fields[],
  of: VhostOf,
): Promise<void> {
  for (const parameter of parameters) {
    const vhost = of(parameter)
    const { component, name, value } = parameter
    if (component === LIMITS_COMPONENT) await putLimits(vhost, value)
    else if (component === OPERATOR_POLICY) {
      await putPolicy(parts, vhost, { ...Object(value), name }, true)
    } else parts.log.warn({ vhost: vhost.name, component, name }, 'a parameter means nothing here')
  }
}

/** Arguments of other protocols and partitions are no part of an AMQP declaration. */
async function importQueue(parts: RabbitParts, vhost: VirtualHost, queue: Fields): Promise<void> {
  const name = String(queue['name'])
  if (vhost.destination(name) !== undefined) return
  const all = [...headersOf(queue['arguments'])]
  const others = all.filter(([key]) => !key.startsWith('x-'))
  const own = Object.fromEntries(all.filter(([key]) => key.startsWith('x-')))
  await declareQueue(parts, vhost, { ...queue, arguments: own })
  const { partitions } = queue
  const partitionCount = typeof partitions === 'number' ? partitions : undefined
  if (others.length === 0 && partitionCount === undefined) return
  const changes = { arguments: new Map(others), partitionCount }
  await parts.broker.alter(vhost, name, changes)
}

async function importBinding(vhost: VirtualHost, fields: Fields): Promise<void> {
  const { source, destination, destination_type: type } = fields
  const targetKind: BindingSpec['targetKind'] = type === 'exchange' ? 'exchange' : 'destination'
  // Every queue has that one anyway.
  if (source === '') return
  const ends = { source: String(source), target: String(destination), targetKind }
  try {
    await vhost.bind(bindingOf({ ...fields, ...ends }))
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'NOT_FOUND') throw badRequest(error.message)
    throw error
  }
}
