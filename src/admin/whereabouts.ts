import type { Hono } from 'hono'
import { Queue } from '../broker/queue.ts'
import {
  MessageSearch,
  type SearchDone,
  type SearchResult,
} from '../broker/tracing/message-search.ts'
import { TopicSearch } from '../broker/tracing/topic-search.ts'
import { Topic } from '../broker/topics/topic.ts'
import {
  whyQueue,
  whySubscription,
  type WhySubscriptionView,
  whyTopic,
  type WhyView,
} from '../broker/tracing/why.ts'
import type { VirtualHost } from '../broker/virtual-host.ts'
import { BrokerError } from '../model/errors.ts'
import type { AdminParts } from './admin-parts.ts'
import type { AdminContext } from './authentication.ts'
import { requireVhost } from './listings.ts'
import { vhostParams } from './schemas.ts'
import { whereQuery, whyQuery } from './trace-schemas.ts'
import { params, query } from './validation.ts'

/** Where a message is now, and why somebody gets nothing. Nothing is changed by asking. */
export function addWhereabouts(app: Hono<AdminContext>, parts: AdminParts): void {
  app.get('/v1/where/:vhost', async (context) => {
    const { vhost } = params(context, vhostParams)
    const { id, destination, partition = 0, from = 0 } = query(context, whereQuery)
    const host = requireVhost(parts, vhost)
    return context.json(await search(host, { id, destination, partition, from }))
  })
  app.get('/v1/why/:vhost', (context) => {
    const { vhost } = params(context, vhostParams)
    const { name } = query(context, whyQuery)
    const found = whyAll(requireVhost(parts, vhost), name)
    if (name !== undefined && found.length === 0) {
      const text = `no destination, subscription or consumer '${name}' in vhost '${vhost}'`
      throw new BrokerError('NOT_FOUND', text)
    }
    return context.json(found)
  })
}

async function search(
  vhost: VirtualHost,
  {
    id,
    destination,
    partition: index,
    from,
  }: {
    readonly id: string
    readonly destination: string | undefined
    readonly partition: number
    readonly from: number
  },
): Promise<SearchResult> {
  const searched = destination === undefined ? vhost.delays : vhost.destination(destination)
  if (searched === undefined) {
    throw new BrokerError('NOT_FOUND', `no queue '${destination}' in vhost '${vhost.name}'`)
  }
  const { promise, resolve, reject } = Promise.withResolvers<SearchResult>()
  const done: SearchDone = (error, result) => {
    if (error === null) resolve(result)
    else reject(error)
  }
  if (searched instanceof Topic) {
    const partition = searched.partitions[index]
    if (partition === undefined) {
      const text = `topic '${destination}' has no partition ${index}`
      throw new BrokerError('NOT_FOUND', text)
    }
    void new TopicSearch(searched, partition, { id, from }, done)
  } else void new MessageSearch(vhost, searched, { id, from }, done)
  return promise
}

/** All, or those of a destination, a subscription, a consumer's tag or a client of that name. */
function whyAll(vhost: VirtualHost, name: string | undefined): (WhyView | WhySubscriptionView)[] {
  const views: (WhyView | WhySubscriptionView)[] = []
  for (const destination of vhost.destinations()) {
    const isNamed = name === undefined || destination.name === name
    const hasConsumer = [...destination.consumers()].some(
      ({ tag, actor }) => tag === name || (name !== undefined && actor?.clientId === name),
    )
    if (!isNamed && !hasConsumer) continue
    views.push(destination instanceof Queue ? whyQueue(destination) : whyTopic(destination))
  }
  for (const list of [vhost.subscriptions.list(), vhost.shared.list()]) {
    for (const subscription of list) {
      if (name !== undefined && subscription.name !== name) continue
      views.push(whySubscription(vhost, subscription))
    }
  }
  return views
}
