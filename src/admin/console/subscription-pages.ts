import type { Hono } from 'hono'
import { whySubscription } from '../../broker/tracing/why.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { storedAtMs } from './message-pages.ts'
import { type SubscriptionOrder, subscriptionPageQuery } from './schemas.ts'
import { requireVhost } from '../listings.ts'
import type { SubscriptionRow, SubscriptionView } from '../../model/shapes/destinations.ts'
import { subscriptionViews } from '../topic-views.ts'
import { query } from '../validation.ts'

const PAGE_ROWS = 50

/** For the age of what is to be read so many partitions are looked into: each costs a read. */
const PARTITIONS_LOOKED_AT_MAX = 4

/** Subscriptions of topics in pages, whatever protocol reads by them. */
export function addSubscriptionPages(app: Hono<AdminContext>, parts: AdminParts): void {
  app.get('/v1/pages/subscriptions', async (context) => {
    const asked = query(context, subscriptionPageQuery)
    const { vhost, sort = 'name', descending = false, offset = 0, limit = PAGE_ROWS } = asked
    const hosts = vhost === undefined ? [...parts.broker.vhosts()] : [requireVhost(parts, vhost)]
    const search = asked.search?.toLowerCase() ?? ''
    const found = hosts
      .flatMap((host) => subscriptionViews(host).map((view) => ({ host, view })))
      .filter(({ view }) => `${view.name} ${view.topic ?? ''}`.toLowerCase().includes(search))
    const sign = descending ? -1 : 1
    found.sort((a, b) => {
      return sign * compare(a.view, b.view, sort) || compare(a.view, b.view, 'name')
    })
    const page = found.slice(offset, offset + limit)
    const rows = await Promise.all(page.map(async ({ host, view }) => rowOf(host, view)))
    return context.json({ total: found.length, offset, rows })
  })
}

async function rowOf(vhost: VirtualHost, view: SubscriptionView): Promise<SubscriptionRow> {
  const { partitions, ...rest } = view
  const list = view.kind === 'offsets' ? vhost.subscriptions.list() : vhost.shared.list()
  const subscription = [...list].find(({ name }) => name === view.name)
  return {
    ...rest,
    unsettled: unsettledOf(vhost, view),
    oldestMs: await oldestMs(vhost, view.topic, partitions),
    reasons: subscription === undefined ? [] : whySubscription(vhost, subscription).reasons,
  }
}

function unsettledOf(vhost: VirtualHost, { name, kind, topic }: SubscriptionView): number | null {
  if (kind === 'offsets') return null
  let count = 0
  for (const shared of vhost.shared.list()) {
    if (shared.name !== name) continue
    for (const partition of shared.partitions()) {
      if (vhost.topic(partition.topicId)?.name === topic) count += partition.leasedCount
    }
  }
  return count
}

/** Of those that are behind. */
async function oldestMs(
  vhost: VirtualHost,
  name: string | null,
  partitions: SubscriptionView['partitions'],
): Promise<number | null> {
  const topic = name === null ? undefined : vhost.destination(name)
  if (topic?.profile !== 'topic') return null
  let oldest: number | null = null
  const behind = partitions.filter(({ lag }) => lag > 0).slice(0, PARTITIONS_LOOKED_AT_MAX)
  for (const { partition: index, offset } of behind) {
    const partition = topic.partitions[index]
    const atMs = partition === undefined ? null : await storedAtMs(topic, partition, offset)
    if (atMs !== null) oldest = Math.min(oldest ?? Infinity, atMs)
  }
  return oldest
}

function compare(a: SubscriptionView, b: SubscriptionView, by: SubscriptionOrder): number {
  const [left, right] = [a[by] ?? '', b[by] ?? '']
  if (left === right) return 0
  return left < right ? -1 : 1
}
