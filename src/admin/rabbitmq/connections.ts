import type { ChannelView, ConnectionSource } from '../admin-parts.ts'
import type { ConnectionView } from '../../model/shapes/connections.ts'
import { channelName, channelView, connectionView, consumerView } from './connection-view.ts'
import { answerList, answerOne, type Listed } from './listing.ts'
import { type Asked, hasTag, visibleVhosts, vhostOf } from './operator.ts'
import type { RabbitParts } from './parts.ts'
import { notFound } from './refusal.ts'
import type { Routes } from './routes.ts'

interface Found {
  readonly source: ConnectionSource
  readonly connection: ConnectionView
}

/** Who is connected, by whichever protocol. */
export function addConnections(routes: Routes, parts: RabbitParts): void {
  const find = (asked: Asked): Found => {
    const name = asked.req.param('connection')
    for (const each of allFor(parts, asked)) if (each.connection.name === name) return each
    throw notFound()
  }
  const listed = ({ connection }: Found): Listed => {
    const { name, vhost } = connection
    return { vhost: vhost ?? '', name, view: () => connectionView(parts, connection) }
  }
  routes.add('GET', '/connections', (asked) => answerList(asked, allFor(parts, asked).map(listed)))
  routes.add('GET', '/vhosts/:vhost/connections', (asked) => {
    const { name } = vhostOf(parts, asked, false)
    const own = allFor(parts, asked).filter(({ connection }) => connection.vhost === name)
    return answerList(asked, own.map(listed))
  })
  routes.add('GET', '/connections/username/:user', (asked) => {
    const user = asked.req.param('user')
    const own = allFor(parts, asked).filter(({ connection }) => connection.user === user)
    return answerList(asked, own.map(listed))
  })
  routes.add('DELETE', '/connections/username/:user', (asked) => {
    const user = asked.req.param('user')
    for (const each of allFor(parts, asked)) {
      if (each.connection.user === user) close(parts, asked, each)
    }
    return asked.body(null, 204)
  })
  routes.add('GET', '/connections/:connection', (asked) => {
    return answerOne(asked, connectionView(parts, find(asked).connection))
  })
  routes.add('DELETE', '/connections/:connection', (asked) => {
    close(parts, asked, find(asked))
    return asked.body(null, 204)
  })
  routes.add('GET', '/connections/:connection/channels', (asked) => {
    const { source, connection } = find(asked)
    return answerList(asked, channelsOf(source, [connection]))
  })
  addChannels(routes, parts)
}

function addChannels(routes: Routes, parts: RabbitParts): void {
  const all = (asked: Asked, vhost?: string): Listed[] => {
    const own = allFor(parts, asked).filter(({ connection }) => {
      return vhost === undefined || connection.vhost === vhost
    })
    return parts.protocols.flatMap((source) => {
      const connections = own.filter((each) => each.source === source)
      return channelsOf(
        source,
        connections.map(({ connection }) => connection),
      )
    })
  }
  routes.add('GET', '/channels', (asked) => answerList(asked, all(asked)))
  routes.add('GET', '/vhosts/:vhost/channels', (asked) => {
    return answerList(asked, all(asked, vhostOf(parts, asked, false).name))
  })
  routes.add('GET', '/channels/:channel', (asked) => {
    const found = all(asked).find(({ name }) => name === asked.req.param('channel'))
    if (found === undefined) throw notFound()
    return answerOne(asked, { ...found.view(), consumer_details: [] })
  })
  const consumers = (asked: Asked, vhosts: ReturnType<typeof visibleVhosts>): Response => {
    const listed = vhosts.flatMap((vhost) => {
      return [...vhost.destinations()].flatMap((queue) => {
        return Array.from(queue.consumers(), (consumer) => {
          return {
            vhost: vhost.name,
            name: consumer.tag,
            view: () => consumerView(queue, consumer),
          }
        })
      })
    })
    return answerList(asked, listed)
  }
  routes.add('GET', '/consumers', (asked) => {
    return consumers(asked, visibleVhosts(parts, asked.get('operator')))
  })
  routes.add('GET', '/consumers/:vhost', (asked) => {
    return consumers(asked, [vhostOf(parts, asked, false)])
  })
}

/** Those that somebody may see: all of them for monitors, else his own. */
function allFor({ protocols }: RabbitParts, asked: Asked): Found[] {
  const operator = asked.get('operator')
  const isMonitor = hasTag(operator, 'monitoring')
  return protocols.flatMap((source) => {
    return source
      .connections()
      .filter(({ user }) => isMonitor || user === operator.name)
      .map((connection) => ({ source, connection }))
  })
}

function channelsOf(source: ConnectionSource, connections: readonly ConnectionView[]): Listed[] {
  const byId = new Map(connections.map((connection) => [connection.id, connection]))
  const channels: readonly ChannelView[] = source.channels?.() ?? []
  return channels.flatMap((channel) => {
    const connection = byId.get(channel.connectionId)
    if (connection === undefined) return []
    const name = channelName(connection.name, channel.number)
    return [{ vhost: connection.vhost ?? '', name, view: () => channelView(connection, channel) }]
  })
}

function close(parts: RabbitParts, asked: Asked, { source, connection }: Found): void {
  const reason = asked.req.header('x-reason') ?? 'Closed via management plugin'
  source.closeConnection(connection.id, reason)
  const by = asked.get('operator').name
  parts.log.info({ user: by, connection: connection.name, reason }, 'a connection was closed')
}
