import type { Hono } from 'hono'
import type { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { requireVhost } from '../listings.ts'
import type { DestinationRow } from '../../model/shapes/destinations.ts'
import { subscriptionViews } from '../topic-views.ts'
import { query } from '../validation.ts'
import { oldestMs } from './message-pages.ts'
import { type DestinationOrder, destinationPageQuery } from './schemas.ts'

const PAGE_ROWS = 50

/** The list in pages, since there may be tens of thousands: found, ordered and cut here. */
export function addDestinationPages(app: Hono<AdminContext>, parts: AdminParts): void {
  app.get('/v1/pages/destinations', async (context) => {
    const asked = query(context, destinationPageQuery)
    const { vhost, profile, sort = 'name', descending = false, offset = 0 } = asked
    const hosts = vhost === undefined ? [...parts.broker.vhosts()] : [requireVhost(parts, vhost)]
    const search = asked.search?.toLowerCase() ?? ''
    const found = hosts
      .flatMap((host) => [...host.destinations()])
      .filter((each) => profile === undefined || each.profile === profile)
      .filter(({ name }) => search === '' || name.toLowerCase().includes(search))
    const readers = readersOf(hosts)
    const readerOf = (each: Queue | Topic): Readers => readers.get(each) ?? NO_READERS
    order(found, sort, { readerOf, descending })
    const page = found.slice(offset, offset + (asked.limit ?? PAGE_ROWS))
    const rows = await Promise.all(page.map(async (each) => rowOf(each, readerOf(each))))
    return context.json({ total: found.length, offset, rows })
  })
}

/** Of a topic: who keeps a place in it. */
interface Readers {
  readonly lag: number | null
  readonly members: number
}

const NO_READERS: Readers = { lag: null, members: 0 }

function readersOf(hosts: readonly VirtualHost[]): Map<Queue | Topic, Readers> {
  const readers = new Map<Queue | Topic, Readers>()
  for (const host of hosts) {
    for (const { topic, lag, members } of subscriptionViews(host)) {
      const destination = topic === null ? undefined : host.destination(topic)
      if (destination === undefined) continue
      const before = readers.get(destination) ?? NO_READERS
      readers.set(destination, {
        lag: Math.max(before.lag ?? 0, lag),
        members: before.members + members,
      })
    }
  }
  return readers
}

interface OrderOptions {
  readonly readerOf: (destination: Queue | Topic) => Readers
  readonly descending: boolean
}

/** Those that are alike stand in order of their names. */
function order(
  found: (Queue | Topic)[],
  sort: DestinationOrder,
  { readerOf, descending }: OrderOptions,
): void {
  const key = keyOf(sort, readerOf)
  const sign = descending ? -1 : 1
  // Each key once: a topic adds up its partitions for it.
  const keys = new Map(found.map((each) => [each, key(each)]))
  found.sort((a, b) => {
    return sign * compare(keys.get(a)!, keys.get(b)!) || compare(a.name, b.name)
  })
}

type Key = string | number

function keyOf(
  sort: DestinationOrder,
  readerOf: OrderOptions['readerOf'],
): (destination: Queue | Topic) => Key {
  switch (sort) {
    case 'name':
      return ({ name }) => name
    case 'vhost':
      return ({ vhost }) => vhost.name
    case 'profile':
      return ({ profile }) => profile
    case 'ready':
      return ({ readyCount }) => readyCount
    case 'unsettled':
      return ({ unsettledCount }) => unsettledCount
    case 'held':
      return ({ heldCount }) => heldCount
    case 'consumers':
      return (destination) => destination.consumerCount + readerOf(destination).members
    case 'readyBytes':
      return ({ readyBytes }) => readyBytes
    case 'lag':
      return (destination) => readerOf(destination).lag ?? -1
  }
}

function compare(a: Key, b: Key): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

async function rowOf(
  destination: Queue | Topic,
  { lag, members }: Readers,
): Promise<DestinationRow> {
  return {
    vhost: destination.vhost.name,
    name: destination.name,
    profile: destination.profile,
    durable: destination.spec.durable,
    ready: destination.readyCount,
    unsettled: destination.unsettledCount,
    held: destination.heldCount,
    readyBytes: destination.readyBytes,
    lag,
    consumers: destination.consumerCount + members,
    heldBackBy: destination.heldBackBy,
    oldestMs: await oldestMs(destination),
  }
}
