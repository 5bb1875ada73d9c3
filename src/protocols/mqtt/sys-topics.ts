import type { Inbox, VirtualHost } from '../../broker/index.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import { encodeAddress } from '../../model/address.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import { matchesLevels, TOPIC_EXCHANGE } from './filter.ts'
import { HEADER } from './message-header.ts'
import { keyOfTopic } from './topic-key.ts'

/** Numbers of all connections, those that are gone included. */
export interface MqttTotals {
  readonly clientsConnected: number
  readonly clientsMaximum: number
  readonly publishesReceived: number
  readonly publishesSent: number
  readonly publishesDropped: number
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly subscriptions: number
}

/** What the values are taken from. */
export interface SysSource {
  readonly broker: { readonly clock: Clock }
  /** Of the broker. */
  readonly version: string
  /** How often values that changed are published; 0: never. */
  readonly intervalSeconds: number
  totals(): MqttTotals
}

/** The first level of topics that tell of the broker. */
export const SYS_LEVEL = '$SYS'

/**
 * `$SYS` topics, by mosquitto's names. Nothing is kept and no time is spent unless somebody is
 * subscribed: then they get what there is, and every interval what has changed.
 */
export class SysTopics {
  readonly #source: SysSource
  readonly #startedMs: number
  /** Subscribed clients, by their inbox. */
  readonly #subscribers: Map<Inbox, VirtualHost> = new Map()
  readonly #published: Map<string, string> = new Map()
  #timer: Timer | null = null

  constructor(source: SysSource) {
    this.#source = source
    this.#startedMs = source.broker.clock.monotonicMs()
  }

  /** Sends the present values that a filter asks for. */
  subscribe(vhost: VirtualHost, inbox: Inbox, levels: readonly string[]): void {
    this.#subscribers.set(inbox, vhost)
    const route = vhost.route(vhost.exchange('')!, inbox.name)
    for (const [topic, text] of this.#values(vhost)) {
      if (!matchesLevels(levels, topic.split('/'))) continue
      vhost.publish(route, draftOf(topic, text, HEADER.RETAINED_COPY))
    }
    this.#arm()
  }

  /** The client has gone, or has no such subscription any more. */
  unsubscribe(inbox: Inbox): void {
    this.#subscribers.delete(inbox)
  }

  #arm(): void {
    const { broker, intervalSeconds } = this.#source
    if (this.#timer !== null || intervalSeconds === 0 || this.#subscribers.size === 0) return
    this.#timer = broker.clock.setTimer(intervalSeconds * 1000, () => {
      this.#timer = null
      for (const vhost of new Set(this.#subscribers.values())) this.#publish(vhost)
      this.#arm()
    })
  }

  #publish(vhost: VirtualHost): void {
    const exchange = vhost.exchange(TOPIC_EXCHANGE)!
    for (const [topic, text] of this.#values(vhost)) {
      const name = `${vhost.name}/${topic}`
      if (this.#published.get(name) === text) continue
      this.#published.set(name, text)
      vhost.publish(vhost.route(exchange, keyOfTopic(topic)), draftOf(topic, text, 0))
    }
  }

  #values(vhost: VirtualHost): [topic: string, text: string][] {
    const { version, broker } = this.#source
    const totals = this.#source.totals()
    const sessions = vhost.sessions.count
    const seconds = Math.floor((broker.clock.monotonicMs() - this.#startedMs) / 1000)
    const { rss } = process.memoryUsage()
    const values: Readonly<Record<string, string | number>> = {
      version: `waystation version ${version}`,
      uptime: `${seconds} seconds`,
      'clients/total': sessions,
      'clients/connected': totals.clientsConnected,
      'clients/disconnected': Math.max(sessions - totals.clientsConnected, 0),
      'clients/maximum': totals.clientsMaximum,
      'publish/messages/received': totals.publishesReceived,
      'publish/messages/sent': totals.publishesSent,
      'publish/messages/dropped': totals.publishesDropped,
      'bytes/received': totals.bytesReceived,
      'bytes/sent': totals.bytesSent,
      'subscriptions/count': totals.subscriptions,
      'retained messages/count': vhost.retained.count,
      'heap/current': rss,
    }
    return Object.entries(values).map(([name, value]) => [
      `${SYS_LEVEL}/broker/${name}`,
      `${value}`,
    ])
  }
}

function draftOf(topic: string, text: string, flags: number): MessageDraft {
  const draft = new MessageDraft()
  const address = encodeAddress(TOPIC_EXCHANGE, keyOfTopic(topic))
  const body = Buffer.from(text)
  draft.form = NATIVE_FORM.MQTT
  draft.setAddress(address, 0, address.length)
  draft.setHeader(Buffer.of(flags), 0, 1)
  draft.setBody(body, 0, body.length)
  return draft
}
