import type { BindingSpec } from '../../broker/binding.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { type Fields, fieldsOf, headersOf } from './input.ts'
import { answerList, answerOne } from './listing.ts'
import { type Asked, requireFor, visibleVhosts, vhostOf } from './operator.ts'
import type { RabbitParts } from './parts.ts'
import { allBindings, bindingView, propertiesKey } from './queue-view.ts'
import { notFound, Refusal } from './refusal.ts'
import type { Routes } from './routes.ts'
import { exchangeOf, queueOf } from './topology.ts'

/** All the ways to look at bindings, and those to make and undo one. */
export function addBindings(routes: Routes, parts: RabbitParts): void {
  const list = (
    asked: Asked,
    vhosts: readonly VirtualHost[],
    takes: (binding: BindingSpec) => boolean,
  ): Response => {
    const listed = vhosts.flatMap((vhost) => {
      return [...allBindings(vhost)].filter(takes).map((binding) => {
        // Sorted as RabbitMQ does it: by source, then by target.
        const name = `${binding.source}\0${binding.target}\0${binding.key}`
        return { vhost: vhost.name, name, view: () => bindingView(vhost.name, binding) }
      })
    })
    return answerList(asked, listed)
  }
  routes.add('GET', '/bindings', (asked) => {
    return list(asked, visibleVhosts(parts, asked.get('operator')), () => true)
  })
  routes.add('GET', '/bindings/:vhost', (asked) => {
    return list(asked, [vhostOf(parts, asked, false)], () => true)
  })
  routes.add('GET', '/queues/:vhost/:name/bindings', (asked) => {
    const vhost = vhostOf(parts, asked, false)
    const { name } = queueOf(vhost, asked)
    return list(asked, [vhost], ({ target, targetKind }) => {
      return targetKind === 'destination' && target === name
    })
  })
  routes.add('GET', '/exchanges/:vhost/:name/bindings/source', (asked) => {
    const vhost = vhostOf(parts, asked, false)
    const { name } = exchangeOf(vhost, asked)
    return list(asked, [vhost], ({ source }) => source === name)
  })
  routes.add('GET', '/exchanges/:vhost/:name/bindings/destination', (asked) => {
    const vhost = vhostOf(parts, asked, false)
    const { name } = exchangeOf(vhost, asked)
    return list(asked, [vhost], ({ target, targetKind }) => {
      return targetKind === 'exchange' && target === name
    })
  })
  for (const kind of ['q', 'e'] as const) addPair(routes, parts, kind)
}

/** Between one exchange and one queue (`q`) or exchange (`e`). */
function addPair(routes: Routes, parts: RabbitParts, kind: 'q' | 'e'): void {
  const path = `/bindings/:vhost/e/:source/${kind}/:target`
  const targetKind = kind === 'q' ? 'destination' : 'exchange'
  const between = (vhost: VirtualHost, asked: Asked): BindingSpec[] => {
    const source = nameless(asked.req.param('source') ?? '')
    const target = asked.req.param('target') ?? ''
    if (vhost.exchange(source) === undefined) throw notFound()
    const found = kind === 'q' ? vhost.destination(target) : vhost.exchange(target)
    if (found === undefined) throw notFound()
    return [...allBindings(vhost)].filter((binding) => {
      return (
        binding.source === source && binding.target === target && binding.targetKind === targetKind
      )
    })
  }
  const one = (vhost: VirtualHost, asked: Asked): BindingSpec => {
    const key = asked.req.param('key') ?? ''
    const found = between(vhost, asked).find((binding) => {
      // Clients encode the key once more for the path, or do not.
      const ours = propertiesKey(binding)
      return ours === key || decoded(ours) === key
    })
    if (found === undefined) throw notFound()
    return found
  }
  routes.add('GET', path, (asked) => {
    const vhost = vhostOf(parts, asked, false)
    return asked.json(between(vhost, asked).map((each) => bindingView(vhost.name, each)))
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
  routes.add('GET', `${path}/:key`, (asked) => {
    const vhost = vhostOf(parts, asked, false)
    return answerOne(asked, bindingView(vhost.name, one(vhost, asked)))
  })
  routes.add('DELETE', `${path}/:key`, async (asked) => {
    const vhost = vhostOf(parts, asked, true)
    const binding = one(vhost, asked)
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
