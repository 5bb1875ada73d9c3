import type { Hono } from 'hono'
import type { VirtualHost } from '../broker/virtual-host.ts'
import { BrokerError } from '../model/errors.ts'
import type { BindingView } from '../model/shapes/destinations.ts'
import type { BrokerStatus } from '../model/shapes/status.ts'
import type { AdminParts } from './admin-parts.ts'
import type { AdminContext } from './authentication.ts'
import { consumerViews } from './consumer-views.ts'
import { listResponse } from './json-list.ts'
import { BINDINGS_SORTED_MAX } from './limits.ts'
import { vhostQuery } from './schemas.ts'
import { serviceViews } from './services/service-views.ts'
import { subscriptionViews, transactionView } from './topic-views.ts'
import { query } from './validation.ts'
import { bindingView, destinationView, exchangeView, policyView } from './views.ts'

/** Everything that can be looked at. */
export function addListings(app: Hono<AdminContext>, parts: AdminParts): void {
  const { broker, users } = parts
  /** Each `view` of one virtual host, or of all where none is named. */
  const list = <T>(path: string, view: (vhost: VirtualHost) => Iterable<T>): void => {
    app.get(path, (context) => {
      const { vhost } = query(context, vhostQuery)
      const hosts = vhost === undefined ? [...broker.vhosts()] : [requireVhost(parts, vhost)]
      return context.json(hosts.flatMap((host) => [...view(host)]))
    })
  }

  app.get('/v1/status', (context) => {
    const hosts = [...broker.vhosts()]
    const destinations = hosts.flatMap((host) => [...host.destinations()])
    const status: BrokerStatus = {
      ...parts.status(),
      alarm: broker.pressure.alarm,
      vhosts: hosts.length,
      destinations: destinations.length,
      ready: destinations.reduce((sum, { readyCount }) => sum + readyCount, 0),
      unsettled: destinations.reduce((sum, { unsettledCount }) => sum + unsettledCount, 0),
      consumers: destinations.reduce((sum, { consumerCount }) => sum + consumerCount, 0),
      connections: parts.protocols.reduce((sum, each) => sum + each.connections().length, 0),
    }
    return context.json(status)
  })
  list('/v1/vhosts', ({ name, declareMismatch, limits }) => [{ name, declareMismatch, limits }])
  list('/v1/destinations', (host) => Array.from(host.destinations(), destinationView))
  list('/v1/subscriptions', subscriptionViews)
  list('/v1/consumers', consumerViews)
  list('/v1/services', ({ name }) => {
    return parts.rpcCore === undefined ? [] : serviceViews(parts.rpcCore, name)
  })
  list('/v1/transactions', (host) => {
    return Array.from(host.transactions.list(), (each) => transactionView(host, each))
  })
  list('/v1/exchanges', (host) => Array.from(host.exchanges(), exchangeView))
  app.get('/v1/bindings', (context) => {
    const { vhost } = query(context, vhostQuery)
    const hosts = vhost === undefined ? [...broker.vhosts()] : [requireVhost(parts, vhost)]
    const count = hosts.reduce((sum, { bounds }) => sum + bounds.bindingCount, 0)
    return count > BINDINGS_SORTED_MAX
      ? listResponse(bindingViews(hosts))
      : context.json([...bindingViews(hosts)])
  })
  list('/v1/policies', (host) => {
    return host.policies.list().map((policy) => policyView(host.name, policy))
  })
  app.get('/v1/users', (context) => {
    const stored = (name: string): object => {
      const owner = broker.flows.owners.find(name)
      if (owner === null) return {}
      return { stored: { messages: owner.messages, bytes: owner.bytes } }
    }
    return context.json(users.list().map((user) => ({ ...user, ...stored(user.name) })))
  })
  app.get('/v1/permissions', (context) => {
    const { vhost } = query(context, vhostQuery)
    return context.json(users.listPermissions(vhost === undefined ? {} : { vhost }))
  })
  app.get('/v1/topic-permissions', (context) => {
    const { vhost } = query(context, vhostQuery)
    const all = users.listTopicPermissions()
    return context.json(all.filter((each) => vhost === undefined || each.vhost === vhost))
  })
  app.get('/v1/connections', (context) => {
    const { vhost } = query(context, vhostQuery)
    const all = parts.protocols.flatMap((protocol) => protocol.connections())
    return context.json(all.filter((each) => vhost === undefined || each.vhost === vhost))
  })
}

function* bindingViews(hosts: readonly VirtualHost[]): Iterable<BindingView> {
  for (const host of hosts) {
    for (const binding of host.bindings()) yield bindingView(host.name, binding)
  }
}

export function requireVhost({ broker }: AdminParts, name: string): VirtualHost {
  const vhost = broker.vhost(name)
  if (vhost === undefined) throw new BrokerError('NOT_FOUND', `no vhost '${name}'`)
  return vhost
}
