import type { Consumer } from '../../broker/consumer.ts'
import type { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'
import type { ChannelView } from '../admin-parts.ts'
import type { ConnectionView } from '../../model/shapes/connections.ts'
import { headersToShow } from '../views.ts'
import { NODE, type RabbitParts } from './parts.ts'

type View = Record<string, unknown>

export function connectionView({ rates }: RabbitParts, view: ConnectionView): View {
  const [host, port] = localEnd(view.name)
  const { publishedCount, deliveredCount } = view
  return {
    name: view.name,
    node: NODE,
    type: 'network',
    protocol: view.protocol,
    user: view.user,
    user_who_performed_action: view.user,
    vhost: view.vhost,
    state: view.state,
    user_provided_name: view.clientName,
    client_properties: {
      product: view.clientProduct ?? '',
      version: view.clientVersion ?? '',
      connection_name: view.clientName ?? '',
      capabilities: {},
    },
    auth_mechanism: view.mechanism ?? '',
    channels: view.channels,
    channel_max: view.channelMax ?? 0,
    frame_max: view.frameSizeMax ?? 0,
    timeout: view.heartbeatSeconds ?? 0,
    connected_at: view.connectedAtMs,
    host,
    port,
    peer_host: view.peerAddress,
    peer_port: view.peerPort,
    ssl: view.tls,
    ssl_protocol: null,
    ssl_cipher: null,
    ssl_hash: null,
    ssl_key_exchange: null,
    peer_cert_issuer: null,
    peer_cert_subject: null,
    peer_cert_validity: null,
    send_pend: 0,
    ...rates.stats(view.name, {
      recv_oct: view.receivedBytes,
      send_oct: view.sentBytes,
      recv_cnt: publishedCount ?? 0,
      send_cnt: deliveredCount ?? 0,
    }),
  }
}

function localEnd(name: string): [string, number] {
  const text = name.split(' -> ')[1] ?? ''
  const colon = text.lastIndexOf(':')
  return colon < 0 ? ['', 0] : [text.slice(0, colon), Number(text.slice(colon + 1))]
}

export function channelView(connection: ConnectionView, channel: ChannelView): View {
  return {
    name: channelName(connection.name, channel.number),
    number: channel.number,
    node: NODE,
    user: connection.user,
    user_who_performed_action: connection.user,
    vhost: connection.vhost,
    state: connection.state === 'flow' ? 'flow' : 'running',
    consumer_count: channel.consumers,
    prefetch_count: channel.prefetch,
    global_prefetch_count: channel.sharedPrefetch,
    messages_unacknowledged: channel.unsettled,
    messages_unconfirmed: 0,
    messages_uncommitted: 0,
    acks_uncommitted: 0,
    confirm: channel.confirms,
    transactional: channel.transactional,
    connection_details: {
      name: connection.name,
      peer_host: connection.peerAddress,
      peer_port: connection.peerPort,
    },
  }
}

export function channelName(connection: string, number: number): string {
  return `${connection} (${number})`
}

export function consumerView(queue: Queue | Topic, consumer: Consumer): View {
  const standing = consumer.sink.standing?.()
  const connection = consumer.actor?.connection ?? ''
  const number = standing?.channel ?? 0
  const [peerHost, peerPort] = localEnd(` -> ${connection.split(' -> ')[0] ?? ''}`)
  return {
    consumer_tag: consumer.tag,
    queue: { name: queue.name, vhost: queue.vhost.name },
    arguments: headersToShow(consumer.arguments),
    ack_required: !consumer.noAck,
    exclusive: consumer.exclusive,
    prefetch_count: standing?.unsettledMax ?? 0,
    active: true,
    activity_status: consumer.ready ? 'up' : 'waiting',
    channel_details: {
      name: channelName(connection, number),
      number,
      connection_name: connection,
      node: NODE,
      peer_host: peerHost,
      peer_port: peerPort,
      user: consumer.actor?.user ?? '',
    },
  }
}
