import type { Hono } from 'hono'
import { BrokerError } from '../../model/errors.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { requireVhost } from '../listings.ts'
import { params, query } from '../validation.ts'
import { SERVICES_PAGE_ROWS } from './limits.ts'
import { serviceParams, servicePageQuery } from './schemas.ts'
import { serviceDetails, serviceRow } from './service-views.ts'

/** Services in pages, in order of their names, and one of them with its instances and methods. */
export function addServicePages(app: Hono<AdminContext>, parts: AdminParts): void {
  const { broker, rpcCore } = parts
  app.get('/v1/pages/services', (context) => {
    const asked = query(context, servicePageQuery)
    const { vhost, offset = 0, limit = SERVICES_PAGE_ROWS } = asked
    const hosts = vhost === undefined ? [...broker.vhosts()] : [requireVhost(parts, vhost)]
    const search = asked.search?.toLowerCase() ?? ''
    const found = hosts.flatMap(({ name }) => {
      const services = rpcCore === undefined ? [] : [...rpcCore.host(name).registry.services]
      return services.map((service) => ({ vhost: name, service }))
    })
    const wanted = found
      .filter(({ service }) => search === '' || service.name.toLowerCase().includes(search))
      .toSorted((a, b) => (a.service.name < b.service.name ? -1 : 1))
    const rows = wanted.slice(offset, offset + limit)
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
