import type { Hono } from 'hono'
import { BrokerError } from '../../model/errors.ts'
import type { Service } from '../../rpc/registry.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { requireVhost } from '../listings.ts'
import { params, query } from '../validation.ts'
import { SERVICES_PAGE_ROWS } from './limits.ts'
import { type ServiceOrder, serviceParams, servicePageQuery } from './schemas.ts'
import { serviceDetails, serviceRow } from './service-views.ts'

/** Services in pages, found, ordered and cut here, and one of them with its instances and methods. */
export function addServicePages(app: Hono<AdminContext>, parts: AdminParts): void {
  const { broker, rpcCore } = parts
  app.get('/v1/pages/services', (context) => {
    const asked = query(context, servicePageQuery)
    const { vhost, sort = 'name', descending = false, offset = 0 } = asked
    const hosts = vhost === undefined ? [...broker.vhosts()] : [requireVhost(parts, vhost)]
    const search = asked.search?.toLowerCase() ?? ''
    const found = hosts.flatMap(({ name }) => {
      const services = rpcCore === undefined ? [] : [...rpcCore.host(name).registry.services]
      return services.map((service) => ({ vhost: name, service }))
    })
    const wanted = found.filter(({ service }) => service.name.toLowerCase().includes(search))
    const keys = new Map(wanted.map((each) => [each, keyOf(each, sort)]))
    const sign = descending ? -1 : 1
    wanted.sort((a, b) => {
      return sign * compare(keys.get(a)!, keys.get(b)!) || compare(a.service.name, b.service.name)
    })
    const rows = wanted.slice(offset, offset + (asked.limit ?? SERVICES_PAGE_ROWS))
    return context.json({
      total: wanted.length,
      offset,
      rows: rows.map((each) => serviceRow(each.vhost, each.service)),
    })
  })
  app.get('/v1/services/:vhost/:service', (context) => {
    const { vhost, service: name } = params(context, serviceParams)
    requireVhost(parts, vhost)
    const service = rpcCore?.host(vhost).registry.service(name) ?? null
    if (service === null) {
      throw new BrokerError('NOT_FOUND', `nobody provides '${name}' in vhost '${vhost}'`)
    }
    return context.json(serviceDetails(vhost, service))
  })
}

interface Found {
  readonly vhost: string
  readonly service: Service
}

function keyOf({ vhost, service }: Found, sort: ServiceOrder): string | number {
  const { name, providers, waiting } = service
  switch (sort) {
    case 'name':
      return name
    case 'vhost':
      return vhost
    case 'instances':
      return providers.length
    case 'waiting':
      return waiting.size
    case 'outstanding':
      return providers.reduce((sum, { outstanding }) => sum + outstanding, 0)
    case 'calls':
      return providers.reduce((sum, { callCount }) => sum + callCount, 0)
    case 'failed':
      return providers.reduce((sum, { tally }) => sum + tally.failedCount, 0)
  }
}

function compare(a: string | number, b: string | number): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
