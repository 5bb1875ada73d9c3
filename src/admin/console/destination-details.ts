import type { Hono } from 'hono'
import { policyDefinition } from '../../broker/policy.ts'
import { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'
import { whyQueue, whyTopic } from '../../broker/tracing/why.ts'
import { BrokerError } from '../../model/errors.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { requireVhost } from '../listings.ts'
import { destinationParams, type DestinationParams } from '../schemas.ts'
import type { BindingView, DestinationDetails } from '../../model/shapes/destinations.ts'
import type { MessagePage, MessageView } from '../../model/shapes/messages.ts'
import { subscriptionViews } from '../topic-views.ts'
import { params, query } from '../validation.ts'
import { bindingView, destinationView } from '../views.ts'
import { BINDINGS_SHOWN_MAX, BROWSE_COUNT_MAX } from './limits.ts'
import { oldestMs, visitPartition, visitQueue } from './message-pages.ts'
import { messageView } from './message-views.ts'
import { browseQuery } from './schemas.ts'

const BROWSE_COUNT = 10

/** One destination from close by, and the messages in it. Looking changes nothing. */
export function addDestinationDetails(app: Hono<AdminContext>, parts: AdminParts): void {
  app.get('/v1/destinations/:vhost/:destination', async (context) => {
    return context.json(
      await details(requireDestination(parts, params(context, destinationParams))),
    )
  })
  app.get('/v1/destinations/:vhost/:destination/messages', async (context) => {
    const destination = requireDestination(parts, params(context, destinationParams))
    const { partition = 0, from = 0, limit = BROWSE_COUNT } = query(context, browseQuery)
    return context.json(await browse(destination, { partition, from, count: limit }))
  })
}

function requireDestination(
  parts: AdminParts,
  { vhost, destination: name }: DestinationParams,
): Queue | Topic {
  const destination = requireVhost(parts, vhost).destination(name)
  if (destination === undefined) {
    throw new BrokerError('NOT_FOUND', `no queue or topic '${name}' in vhost '${vhost}'`)
  }
  return destination
}

async function details(destination: Queue | Topic): Promise<DestinationDetails> {
  const { vhost, name } = destination
  const isQueue = destination instanceof Queue
  return {
    ...destinationView(destination),
    oldestMs: await oldestMs(destination),
    settings: policyDefinition(destination.settings),
    why: isQueue ? whyQueue(destination) : whyTopic(destination),
    bindingCount: vhost.bindingSet.countTo(destination),
    bindings: firstBindings(destination),
    subscriptions: subscriptionViews(vhost).filter(({ topic }) => topic === name),
    partitionList: isQueue
      ? []
      : destination.partitions.map(({ index, startOffset, highWatermark, storedBytes }) => {
          return { index, start: startOffset, end: highWatermark, bytes: storedBytes }
        }),
  }
}

function firstBindings(destination: Queue | Topic): BindingView[] {
  const { vhost } = destination
  const views: BindingView[] = []
  for (const binding of vhost.bindingSet.to(destination)) {
    if (views.length >= BINDINGS_SHOWN_MAX) break
    views.push(bindingView(vhost.name, binding))
  }
  return views
}

interface Page {
  readonly partition: number
  readonly from: number
  readonly count: number
}

async function browse(
  destination: Queue | Topic,
  { partition: index, from, count: asked }: Page,
): Promise<MessagePage> {
  const { vhost, name } = destination
  const count = Math.min(asked, BROWSE_COUNT_MAX)
  const messages: MessageView[] = []
  if (destination instanceof Queue) {
    await visitQueue(destination, { from, count }, (offset, view) => {
      messages.push(messageView(vhost, offset, view))
    })
  } else {
    const partition = destination.partitions[index]
    if (partition === undefined) {
      throw new BrokerError('NOT_FOUND', `topic '${name}' has no partition ${index}`)
    }
    const visit = (offset: number, view: Parameters<typeof messageView>[2]): void => {
      messages.push(messageView(vhost, offset, view))
    }
    await visitPartition(destination, partition, { from, count, visit })
  }
  const last = messages.at(-1)
  return {
    messages,
    next: last !== undefined && messages.length === count ? last.offset + 1 : null,
  }
}
