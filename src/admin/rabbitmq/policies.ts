import { z } from 'zod'
import { appliesToFromRabbit, parsePolicyDefinition, type Policy } from '../../broker/policy.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { BrokerError } from '../../model/errors.ts'
import { parseLimits, VHOST_LIMITS } from '../../model/limit-set.ts'
import { stored } from '../stored.ts'
import { checked, type Fields, fieldsOf, integer, requireFields } from './input.ts'
import { answerList, answerOne } from './listing.ts'
import {
  deleteGlobalParameter,
  globalParameter,
  globalParameters,
  setGlobalParameter,
} from './notes.ts'
import { type Asked, requireTag, visibleVhosts, vhostOf } from './operator.ts'
import type { RabbitParts } from './parts.ts'
import { policyView } from './queue-view.ts'
import { badRequest, notFound } from './refusal.ts'
import type { Routes } from './routes.ts'

/** Policies, those of operators, and parameters. */
export function addPolicies(routes: Routes, parts: RabbitParts): void {
  addKind(routes, parts, 'policies')
  addKind(routes, parts, 'operator-policies')
  addParameters(routes, parts)
  addGlobalParameters(routes, parts)
}

function addKind(routes: Routes, parts: RabbitParts, kind: 'policies' | 'operator-policies'): void {
  const isOperator = kind === 'operator-policies'
  const changer = isOperator ? 'administrator' : 'policymaker'
  const of = ({ policies }: VirtualHost): readonly Policy[] => {
    return isOperator ? policies.listOperator() : policies.list()
  }
  const list = (asked: Asked, vhosts: readonly VirtualHost[]): Response => {
    const listed = vhosts.flatMap((vhost) => {
      return of(vhost).map((policy) => {
        const view = (): Fields => policyView(vhost.name, policy)
        return { vhost: vhost.name, name: policy.name, view }
      })
    })
    return answerList(asked, listed)
  }
  routes.add('GET', `/${kind}`, (asked) => {
    return list(asked, visibleVhosts(parts, asked.get('operator')))
  })
  routes.add('GET', `/${kind}/:vhost`, (asked) => list(asked, [vhostOf(parts, asked, false)]))
  routes.add('GET', `/${kind}/:vhost/:name`, (asked) => {
    const vhost = vhostOf(parts, asked, false)
    const found = of(vhost).find(({ name }) => name === asked.req.param('name'))
    if (found === undefined) throw notFound()
    return answerOne(asked, policyView(vhost.name, found))
  })
  routes.add('PUT', `/${kind}/:vhost/:name`, async (asked) => {
    requireTag(asked, changer)
    const vhost = vhostOf(parts, asked, true)
    const fields = await fieldsOf(asked)
    requireFields(fields, ['pattern', 'definition'])
    const name = asked.req.param('name') ?? ''
    const isNew = !of(vhost).some((policy) => policy.name === name)
    await putPolicy(parts, vhost, { ...fields, name }, isOperator)
    return asked.body(null, isNew ? 201 : 204)
  })
  routes.add('DELETE', `/${kind}/:vhost/:name`, async (asked) => {
    requireTag(asked, changer)
    const vhost = vhostOf(parts, asked, true)
    if (!(await vhost.deletePolicy(asked.req.param('name') ?? '', isOperator))) throw notFound()
    return asked.body(null, 204)
  })
}

const policyFields = z.object({
  name: z.string().min(1),
  pattern: z.string(),
  definition: z.union([z.record(z.string(), z.unknown()), z.string()]),
  priority: integer.default(0),
  'apply-to': z.string().default('all'),
})

/** Settings that mean nothing here are named in the log; a policy of nothing else is refused. */
export async function putPolicy(
  { log }: RabbitParts,
  vhost: VirtualHost,
  fields: Fields,
  isOperator = false,
): Promise<void> {
  const given = checked(policyFields, fields)
  const { name, pattern, priority } = given
  const ignored: string[] = []
  try {
    const policy = {
      name,
      pattern,
      priority,
      appliesTo: appliesToFromRabbit(given['apply-to']),
      settings: parsePolicyDefinition(definitionOf(given.definition), ignored),
    }
    await vhost.setPolicy(policy, isOperator)
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'PRECONDITION_FAILED') throw error
    const about = ignored.length === 0 ? '' : ` (${ignored.join(', ')} mean nothing here)`
    throw badRequest(`Validation failed\n\n${error.message}${about}\n`)
  }
  if (ignored.length > 0) {
    const text = `policy '${name}' has settings that mean nothing here`
    log.warn({ vhost: vhost.name, settings: ignored }, text)
  }
}

function definitionOf(given: Fields | string): Fields {
  if (typeof given !== 'string') return given
  try {
    return JSON.parse(given) as Fields
  } catch {
    throw badRequest('definition is not JSON')
  }
}

export const LIMITS_COMPONENT = 'vhost-limits'

/** Of plugins, which there are none of, and the limits of virtual hosts, which RabbitMQ keeps so. */
function addParameters(routes: Routes, parts: RabbitParts): void {
  const list = (asked: Asked, vhosts: readonly VirtualHost[]): Response => {
    requireTag(asked, 'policymaker')
    const { component = LIMITS_COMPONENT } = asked.req.param()
    if (component !== LIMITS_COMPONENT) throw notFound()
    return asked.json(vhosts.flatMap(parameterViews))
  }
  routes.add('GET', '/parameters', (asked) => {
    return list(asked, visibleVhosts(parts, asked.get('operator')))
  })
  routes.add('GET', '/parameters/:component', (asked) => {
    return list(asked, visibleVhosts(parts, asked.get('operator')))
  })
  routes.add('GET', '/parameters/:component/:vhost', (asked) => {
    return list(asked, [vhostOf(parts, asked, false)])
  })
  routes.add('GET', '/parameters/:component/:vhost/:name', (asked) => {
    requireTag(asked, 'policymaker')
    const { component, name } = asked.req.param()
    const [found] = parameterViews(vhostOf(parts, asked, false))
    if (component !== LIMITS_COMPONENT || found?.['name'] !== name) throw notFound()
    return asked.json(found)
  })
  routes.add('PUT', '/parameters/:component/:vhost/:name', async (asked) => {
    requireTag(asked, 'policymaker')
    const vhost = vhostOf(parts, asked, true)
    const fields = await fieldsOf(asked)
    requireFields(fields, ['value'])
    const { component } = asked.req.param()
    if (component !== LIMITS_COMPONENT) {
      throw badRequest(`Validation failed\n\ncomponent ${component} not found\n`)
    }
    requireTag(asked, 'administrator')
    await putLimits(vhost, fields['value'])
    return asked.body(null, 204)
  })
  routes.add('DELETE', '/parameters/:component/:vhost/:name', async (asked) => {
    requireTag(asked, 'administrator')
    const vhost = vhostOf(parts, asked, true)
    if (asked.req.param('component') !== LIMITS_COMPONENT) throw notFound()
    await vhost.setLimits({})
    return asked.body(null, 204)
  })
}

export function parameterViews({ name: vhost, limits }: VirtualHost): Fields[] {
  if (Object.keys(limits).length === 0) return []
  return [{ component: LIMITS_COMPONENT, name: 'limits', vhost, value: limits }]
}

/** Erlang writes an empty map as a list. */
export async function putLimits(vhost: VirtualHost, value: unknown): Promise<void> {
  const limits = checked(z.union([z.record(z.string(), z.unknown()), z.array(z.never())]), value)
  await vhost.setLimits(Array.isArray(limits) ? {} : parseLimits(limits, VHOST_LIMITS))
}

function addGlobalParameters(routes: Routes, parts: RabbitParts): void {
  const { broker } = parts
  routes.add('GET', '/global-parameters', (asked) => {
    requireTag(asked, 'policymaker')
    return asked.json(globalParameters(broker))
  })
  routes.add('GET', '/global-parameters/:name', (asked) => {
    requireTag(asked, 'policymaker')
    const name = asked.req.param('name') ?? ''
    const value = globalParameter(broker, name)
    if (value === undefined) throw notFound()
    return asked.json({ name, value })
  })
  routes.add('PUT', '/global-parameters/:name', async (asked) => {
    requireTag(asked, 'administrator')
    const fields = await fieldsOf(asked)
    requireFields(fields, ['value'])
    const isNew = setGlobalParameter(broker, asked.req.param('name') ?? '', fields['value'])
    await stored(broker)
    return asked.body(null, isNew ? 201 : 204)
  })
  routes.add('DELETE', '/global-parameters/:name', async (asked) => {
    requireTag(asked, 'administrator')
    if (!deleteGlobalParameter(broker, asked.req.param('name') ?? '')) throw notFound()
    await stored(broker)
    return asked.body(null, 204)
  })
}
