import type { JSX } from 'preact'
import type { ServiceRow } from '../../../src/model/shapes/services.ts'
import { countText } from '../numbers.ts'
import { PagedList } from '../parts/paged-list.tsx'
import type { Column } from '../parts/table.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'
import { callColumns } from './call-columns.tsx'

/** Services that can be called, and how they are. */
export function Services(): JSX.Element {
  return (
    <PagedList
      title={say('nav.services')}
      path="v1/pages/services"
      keyOf={({ vhost, service }) => `${vhost} ${service}`}
      none={say('services.none')}
      columns={columns()}
    />
  )
}

function columns(): Column<ServiceRow>[] {
  return [
    {
      key: 'name',
      title: say('field.name'),
      isSortable: true,
      cell: ({ vhost, service, versions }) => (
        <>
          <a href={hrefOf('service', vhost, service)}>{service}</a>{' '}
          {versions.map((version) => (
            <span class="badge" key={version}>
              {version}
            </span>
          ))}
        </>
      ),
    },
    {
      key: 'vhost',
      title: say('field.vhost'),
      isSortable: true,
      isWide: true,
      cell: ({ vhost }) => vhost,
    },
    {
      key: 'instances',
      title: say('services.instances'),
      isNumber: true,
      isSortable: true,
      cell: ({ instances }) => countText(instances),
    },
    ...callColumns<ServiceRow>().map((each) => ({ ...each, isSortable: each.key !== 'latency' })),
    {
      key: 'waiting',
      title: say('services.waiting'),
      isNumber: true,
      isSortable: true,
      cell: ({ waiting }) => countText(waiting),
    },
  ]
}
