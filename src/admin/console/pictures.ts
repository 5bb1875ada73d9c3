import type { Hono } from 'hono'
import { Exchange } from '../../broker/exchange.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { requireVhost } from '../listings.ts'
import type {
  Picture,
  PictureBinding,
  PictureConsumer,
  PictureDestination,
  PictureExchange,
} from '../../model/shapes/pictures.ts'
import { subscriptionViews } from '../topic-views.ts'
import { vhostParams } from '../schemas.ts'
import { params, query } from '../validation.ts'
import { enqueuedCount } from './destination-beats.ts'
import { ARROWS_LOOKED_MAX, PICTURE_NODES_MAX } from './limits.ts'
import { pictureQuery } from './schemas.ts'

const KEYS_SHOWN_MAX = 3

/** How messages flow in one virtual host: what is drawn, so bounded; `isCut` says that there is more. */
export function addPictures(app: Hono<AdminContext>, parts: AdminParts): void {
  app.get('/v1/picture/:vhost', (context) => {
    const host = requireVhost(parts, params(context, vhostParams).vhost)
    const { search = '' } = query(context, pictureQuery)
    return context.json(pictureOf(host, search.toLowerCase()))
  })
}

function pictureOf(host: VirtualHost, search: string): Picture {
  const arrows = arrowsOf(host, search)
  const names = (kind: 'destination' | 'exchange'): Set<string> => {
    const named = arrows.filter(({ targetKind }) => targetKind === kind).map(({ target }) => target)
    return new Set(named)
  }
  const sources = new Set([...arrows.map(({ source }) => source), ...names('exchange')])
  const exchanges: PictureExchange[] = []
  for (const { name, spec, totals } of host.exchanges()) {
    const isBusy = totals.published > 0 && name.toLowerCase().includes(search)
    if (sources.has(name) || isBusy) exchanges.push({ name, type: spec.type, ...totals })
  }
  const bound = names('destination')
  const destinations: PictureDestination[] = []
  for (const destination of host.destinations()) {
    const { name, profile, readyCount } = destination
    if (!bound.has(name) && !name.toLowerCase().includes(search)) continue
    destinations.push({ name, profile, ready: readyCount, enqueued: enqueuedCount(destination) })
  }
  // Those that something leads to come first, since they are what the picture is for.
  destinations.sort((a, b) => Number(bound.has(b.name)) - Number(bound.has(a.name)))
  const shown = destinations.slice(0, PICTURE_NODES_MAX)
  const isShown = new Set(shown.map(({ name }) => name))
  return {
    exchanges: exchanges.slice(0, PICTURE_NODES_MAX),
    bindings: arrows.filter(({ target, targetKind }) => {
      return targetKind === 'exchange' || isShown.has(target)
    }),
    destinations: shown,
    consumers: consumersOf(host, isShown).slice(0, PICTURE_NODES_MAX),
    isCut: exchanges.length > PICTURE_NODES_MAX || destinations.length > PICTURE_NODES_MAX,
  }
}

/** Bindings of the same two ends are one arrow. */
function arrowsOf(host: VirtualHost, search: string): PictureBinding[] {
  const arrows = new Map<string, { readonly binding: PictureBinding; count: number }>()
  let left = ARROWS_LOOKED_MAX
  for (const group of host.bindingSet.groups()) {
    if (left-- === 0) break
    const source = group.source.name
    const target = group.target.name
    const isWanted = source.toLowerCase().includes(search) || target.toLowerCase().includes(search)
    if (!isWanted) continue
    const targetKind = group.target instanceof Exchange ? 'exchange' : 'destination'
    const id = JSON.stringify([source, target, targetKind])
    const arrow = arrows.get(id)
    if (arrow !== undefined) {
      // One with a filter beside others: its key is among the first of them.
      arrow.count += group.count
      continue
    }
    if (arrows.size >= 2 * PICTURE_NODES_MAX) continue
    const keys: string[] = []
    for (const { key } of host.bindingSet.between(group.source, group.target)) {
      if (keys.length >= KEYS_SHOWN_MAX) break
      keys.push(key)
    }
    const { count } = group
    arrows.set(id, { binding: { source, target, targetKind, keys, count }, count })
  }
  return Array.from(arrows.values(), ({ binding, count }) => ({ ...binding, count }))
}

/** Those of one client at one destination count as one. */
function consumersOf(host: VirtualHost, isShown: ReadonlySet<string>): PictureConsumer[] {
  const consumers: PictureConsumer[] = []
  for (const destination of host.destinations()) {
    if (!isShown.has(destination.name)) continue
    const byName = new Map<string, { protocol: string | null; count: number }>()
    for (const { actor, tag } of destination.consumers()) {
      const name = actor?.clientId ?? actor?.connection ?? tag
      const known = byName.get(name)
      if (known === undefined) byName.set(name, { protocol: actor?.protocol ?? null, count: 1 })
      else known.count++
      if (byName.size >= PICTURE_NODES_MAX) break
    }
    for (const [name, each] of byName) {
      consumers.push({ destination: destination.name, name, ...each })
    }
  }
  for (const { topic, name, members } of subscriptionViews(host)) {
    if (topic === null || !isShown.has(topic) || members === 0) continue
    consumers.push({ destination: topic, name, protocol: null, count: members })
  }
  return consumers
}
