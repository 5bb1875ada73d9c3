import type { BindingSpec } from '../../broker/binding.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { eachInSteps } from '../json-list.ts'
import {
  answerBindings,
  type BindingSource,
  bindingsTo,
  defaultBinding,
  defaultBindings,
  everyBinding,
} from './binding-list.ts'
import { type Fields, fieldsOf, headersOf } from './input.ts'
import { answerOne } from './listing.ts'
import { type Asked, requireFor, visibleVhosts, vhostOf } from './operator.ts'
import type { RabbitParts } from './parts.ts'
import { bindingView, propertiesKey } from './queue-view.ts'
import { notFound, Refusal } from './refusal.ts'
import type { Routes } from './routes.ts'
import { exchangeOf, queueOf } from './topology.ts'

/** All the ways to look at bindings, and those to make and undo one. */
export function addBindings(routes: Routes, parts: RabbitParts): void {
  routes.add('GET', '/bindings', async (asked) => {
    const vhosts = visibleVhosts(parts, asked.get('operator'))
    return answerBindings(asked, vhosts.map(everyBinding))
  })
  routes.add('GET', '/bindings/:vhost', async (asked) => {
    return answerBindings(asked, [everyBinding(vhostOf(parts, asked, false))])
  })
  routes.add('GET', '/queues/:vhost/:name/bindings', async (asked) => {
    const vhost = vhostOf(parts, asked, false)
    const queue = queueOf(vhost, asked)
    const count = vhost.bindingSet.countTo(queue) + 1
    return answerBindings(asked, [{ vhost, count, bindings: () => bindingsTo(vhost, queue) }])
  })
  routes.add('GET', '/exchanges/:vhost/:name/bindings/source', async (asked) => {
    const vhost = vhostOf(parts, asked, false)
    const exchange = exchangeOf(vhost, asked)
    if (exchange.name === '') {
      const count = vhost.destinationCount
      return answerBindings(asked, [{ vhost, count, bindings: () => defaultBindings(vhost) }])
    }
    const count = exchange.matcher.bindingCount
    const bindings = (): Iterable<BindingSpec> => vhost.bindingSet.from(exchange)
    return answerBindings(asked, [{ vhost, count, bindings }])
  })
  routes.add('GET', '/exchanges/:vhost/:name/bindings/destination', async (asked) => {
    const vhost = vhostOf(parts, asked, false)
    const exchange = exchangeOf(vhost, asked)
    const count = vhost.bindingSet.countTo(exchange)
    const bindings = (): Iterable<BindingSpec> => vhost.bindingSet.to(exchange)
    return answerBindings(asked, [{ vhost, count, bindings }])
  })
  for (const kind of ['q', 'e'] as const) addPair(routes, parts, kind)
}

/** Between one exchange and one queue (`q`) or exchange (`e`). */
function addPair(routes: Routes, parts: RabbitParts, kind: 'q' | 'e'): void {
  const path = `/bindings/:vhost/e/:source/${kind}/:target`
  const targetKind = kind === 'q' ? 'destination' : 'exchange'
  const between = (vhost: VirtualHost, asked: Asked): BindingSource => {
    const name = nameless(asked.req.param('source') ?? '')
    const target = asked.req.param('target') ?? ''
    const source = vhost.exchange(name)
    if (source === undefined) throw notFound()
    const found = kind === 'q' ? vhost.destination(target) : vhost.exchange(target)
    if (found === undefined) throw notFound()
    if (name === '') {
      const all = kind === 'q' ? [defaultBinding(target)] : []
      return { vhost, count: all.length, bindings: () => all }
    }
    const count = vhost.bindingSet.countTo(found)
    return { vhost, count, bindings: () => vhost.bindingSet.between(source, found) }
  }
  const one = async (vhost: VirtualHost, asked: Asked): Promise<BindingSpec> => {
    const key = asked.req.param('key') ?? ''
    let found: BindingSpec | null = null
    await eachInSteps(between(vhost, asked).bindings(), (binding) => {
      if (found !== null) return
      // Clients encode the key once more for the path, or do not.
      const ours = propertiesKey(binding)
      if (ours === key || decoded(ours) === key) found = binding
    })
    if (found === null) throw notFound()
    return found
  }
  routes.add('GET', path, async (asked) => {
    return answerBindings(asked, [between(vhostOf(parts, asked, false), asked)])
  })
  routes.add('POST', path, async (asked) => {
    const vhost = vhostOf(parts, asked, true)
    const source = nameless(asked.req.param('source') ?? '')
    const target = asked.req.param('target') ?? ''
    const fields = await fieldsOf(asked)
    const binding = bindingOf({ ...fields, source, target, targetKind })
    requireEnds(vhost, binding)
    requireFor(parts, asked, {
      ...{ vhost, kind: 'write', name: target },
      resource: kind === 'q' ? 'queue' : 'exchange',
    })
    requireFor(parts, asked, { vhost, resource: 'exchange', name: source, kind: 'read' })
    await vhost.bind(binding)
    asked.header('location', `${encodeURIComponent(target)}/${propertiesKey(binding)}`)
    return asked.body(null, 201)
  })
  routes.add('GET', `${path}/:key`, async (asked) => {
    const vhost = vhostOf(parts, asked, false)
    return answerOne(asked, bindingView(vhost.name, await one(vhost, asked)))
  })
  routes.add('DELETE', `${path}/:key`, async (asked) => {
    const vhost = vhostOf(parts, asked, true)
    const binding = await one(vhost, asked)
    refuseDefault(binding.source)
    requireFor(parts, asked, {
      ...{ vhost, kind: 'write', name: binding.target },
      resource: kind === 'q' ? 'queue' : 'exchange',
    })
    requireFor(parts, asked, { vhost, resource: 'exchange', name: binding.source, kind: 'read' })
    await vhost.unbind(binding)
    return asked.body(null, 204)
  })
}

/** Of fields as definitions and requests have them. */
export function bindingOf(
  fields: Fields & Pick<BindingSpec, 'source' | 'target' | 'targetKind'>,
): BindingSpec {
  const { source, target, targetKind, routing_key: key } = fields
  const args = headersOf(fields['arguments'])
  return { source, target, targetKind, key: typeof key === 'string' ? key : '', arguments: args }
}

/** The refusals of RabbitMQ for ends that are not there. */
function requireEnds(vhost: VirtualHost, binding: BindingSpec): void {
  const { source, target, targetKind } = binding
  refuseDefault(source)
  const missing = (what: string, name: string): Refusal => {
    return new Refusal(404, 'not_found', `no ${what} '${name}' in vhost '${vhost.name}'`)
  }
  if (vhost.exchange(source) === undefined) throw missing('exchange', source)
  if (targetKind === 'exchange') {
    refuseDefault(target)
    if (vhost.exchange(target) === undefined) throw missing('exchange', target)
  } else if (vhost.destination(target) === undefined) throw missing('queue', target)
}

function refuseDefault(exchange: string): void {
  if (exchange !== '') return
  throw new Refusal(401, 'not_authorised', 'Access refused.')
}

function nameless(name: string): string {
  return name === 'amq.default' ? '' : name
}

function decoded(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}
