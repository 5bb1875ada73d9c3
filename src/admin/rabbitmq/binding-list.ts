import type { BindingSpec } from '../../broker/binding.ts'
import type { BoundTarget } from '../../broker/binding-set.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { NO_HEADERS } from '../../model/header-value.ts'
import { eachInSteps, listResponse } from '../json-list.ts'
import { BINDINGS_SORTED_MAX } from '../limits.ts'
import { answerList, answerPage, nameFilter, onlyColumns, pageAsked } from './listing.ts'
import type { Asked } from './operator.ts'
import { bindingView } from './queue-view.ts'
import { badRequest } from './refusal.ts'

/** Some of the bindings of a virtual host, without a look at them yet. */
export interface BindingSource {
  readonly vhost: VirtualHost
  /** How many there are, or some more. */
  readonly count: number
  readonly bindings: () => Iterable<BindingSpec>
}

/** All that stand, and those that every queue has with the default exchange. */
export function everyBinding(vhost: VirtualHost): BindingSource {
  return {
    vhost,
    count: vhost.bounds.bindingCount + vhost.destinationCount,
    *bindings() {
      yield* defaultBindings(vhost)
      yield* vhost.bindings()
    },
  }
}

export function* defaultBindings(vhost: VirtualHost): Iterable<BindingSpec> {
  for (const { name } of vhost.destinations()) yield defaultBinding(name)
}

/** Those of one queue. */
export function* bindingsTo(vhost: VirtualHost, queue: BoundTarget): Iterable<BindingSpec> {
  yield defaultBinding(queue.name)
  yield* vhost.bindingSet.to(queue)
}

export function defaultBinding(queue: string): BindingSpec {
  return {
    ...{ source: '', target: queue, targetKind: 'destination' },
    ...{ key: queue, arguments: NO_HEADERS },
  }
}

/**
 * Sorted as RabbitMQ does it, by source and then by target, unless there are very many: those come
 * as they are kept, piece by piece or in pages, and what would need all of them at once is refused.
 */
export async function answerBindings(
  asked: Asked,
  sources: readonly BindingSource[],
): Promise<Response> {
  const count = sources.reduce((sum, source) => sum + source.count, 0)
  if (count <= BINDINGS_SORTED_MAX) {
    const listed = sources.flatMap(({ vhost, bindings }) => {
      return Array.from(bindings(), (binding) => {
        return { vhost: vhost.name, name: nameOf(binding), view: () => view(vhost, binding) }
      })
    })
    return answerList(asked, listed)
  }
  const { sort, page, columns } = asked.req.query()
  if (sort !== undefined && sort !== '') {
    const text = `${count} bindings are too many to sort, the limit is ${BINDINGS_SORTED_MAX}`
    throw badRequest(`${text}: ask without sort, or for those of one queue or exchange`)
  }
  if (page !== undefined) return pageOfMany(asked, sources)
  return listResponse(shownOf(sources, columns))
}

async function pageOfMany(asked: Asked, sources: readonly BindingSource[]): Promise<Response> {
  const { number, size } = pageAsked(asked)
  const { columns } = asked.req.query()
  const takes = nameFilter(asked)
  const items: object[] = []
  const from = (number - 1) * size
  let total = 0
  let found = 0
  for (const { vhost, bindings } of sources) {
    await eachInSteps(bindings(), (binding) => {
      total++
      if (takes !== null && !takes(nameOf(binding))) return
      if (found >= from && items.length < size)
        items.push(onlyColumns(view(vhost, binding), columns))
      found++
    })
  }
  return answerPage(asked, { number, size, items, found, total })
}

function* shownOf(
  sources: readonly BindingSource[],
  columns: string | undefined,
): Iterable<object> {
  for (const { vhost, bindings } of sources) {
    for (const binding of bindings()) yield onlyColumns(view(vhost, binding), columns)
  }
}

function view(vhost: VirtualHost, binding: BindingSpec): Record<string, unknown> {
  return bindingView(vhost.name, binding)
}

function nameOf({ source, target, key }: BindingSpec): string {
  return `${source}\0${target}\0${key}`
}
