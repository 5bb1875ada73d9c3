import type {
  Broker,
  Consumer,
  DeliverySink,
  Route,
  StoredMessage,
  VirtualHost,
} from '../../broker/index.ts'
import { encodeAddress } from '../../model/address.ts'
import { NO_HEADERS } from '../../model/header-value.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'

/** Whose packet ids: of messages the client sends, or of those that are sent to it. */
export const WAY: { readonly IN: 0; readonly OUT: 1 } = { IN: 0, OUT: 1 }
export type Way = 0 | 1

/** The way and the packet id, as the header of a message. */
const ID_BYTES = 3

/**
 * Packet ids of QoS 2 that stand between the two halves of their exchange: received and not
 * released (in), released and not completed (out).
 *
 * For a durable session each one is a message in a queue of its own, so that an id and what it
 * stands for are stored, and forgotten, in one commit; that is what keeps QoS 2 exactly once when
 * the broker is killed.
 */
export class PacketIds implements DeliverySink {
  readonly #broker: Broker
  readonly #ids: Map<number, number> = new Map()
  readonly #counts: [number, number] = [0, 0]
  #vhost: VirtualHost | null = null
  #queueName = ''
  #consumer: Consumer | null = null
  #expected = 0
  #loaded: (() => void) | null = null
  #route: Route | null = null
  /** One for all ids: a publish copies what it is given. */
  readonly #draft = new MessageDraft()
  readonly #header: Buffer = Buffer.alloc(ID_BYTES)

  constructor(broker: Broker) {
    this.#broker = broker
  }

  get isDurable(): boolean {
    return this.#consumer !== null
  }

  /** Keeps them in `queueName` from now on and reads those that are there. */
  async open(vhost: VirtualHost, queueName: string): Promise<void> {
    const queue = vhost.destination(queueName)!
    this.#vhost = vhost
    this.#queueName = queueName
    const draft = this.#draft
    const address = encodeAddress('', queueName)
    draft.form = NATIVE_FORM.MQTT
    draft.persistent = true
    draft.setAddress(address, 0, address.length)
    draft.setHeader(this.#header, 0, ID_BYTES)
    this.#expected = queue.readyCount
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#loaded = resolve
    this.#consumer = queue.consume({
      sink: this,
      tag: 'packet-ids',
      noAck: false,
      exclusive: true,
      priority: 0,
      owner: this,
      arguments: NO_HEADERS,
    })
    this.#consumer.resume()
    if (this.#expected === 0) resolve()
    await promise
  }

  has(way: Way, packetId: number): boolean {
    return this.#ids.has((way << 16) | packetId)
  }

  count(way: Way): number {
    return this.#counts[way]
  }

  /** The ids of one way, in the order they came. */
  *list(way: Way): Iterable<number> {
    for (const key of this.#ids.keys()) if (key >>> 16 === way) yield key & 0xffff
  }

  /** Part of the present atomic group, if there is one. */
  add(way: Way, packetId: number): void {
    if (this.#consumer === null) this.#added((way << 16) | packetId, 0)
    else this.#vhost!.publish(this.#currentRoute(), this.#fill(way, packetId))
  }

  /** False when it is not there. */
  remove(way: Way, packetId: number): boolean {
    const key = (way << 16) | packetId
    const offset = this.#ids.get(key)
    if (offset === undefined) return false
    this.#ids.delete(key)
    this.#counts[way]--
    if (this.#consumer !== null) {
      this.#consumer.destination.accept(offset)
      // A client uses the id again for another message: it must not be taken for the old one.
      this.#broker.requireSync()
    }
    return true
  }

  deliver(_consumer: Consumer, message: StoredMessage, offset: number): void {
    const { data, headerStart, headerEnd, form } = message
    const way = data[headerStart]!
    const isOurs = form === NATIVE_FORM.MQTT && headerEnd - headerStart === ID_BYTES && way <= 1
    if (isOurs) this.#added((way << 16) | data.readUInt16BE(headerStart + 1), offset)
    // Somebody published to the queue by its name, which means nothing.
    else this.#consumer?.destination.accept(offset)
    if (this.#expected > 0 && --this.#expected === 0) this.#loaded!()
  }

  cancelled(): void {
    this.#consumer = null
  }

  /** They go back to their queue, for the next connection of the session. */
  close(): void {
    const consumer = this.#consumer
    this.#consumer = null
    if (consumer === null) return
    consumer.pause()
    for (const offset of this.#ids.values()) consumer.destination.release(offset)
    consumer.cancel()
  }

  #added(key: number, offset: number): void {
    if (!this.#ids.has(key)) this.#counts[(key >>> 16) as Way]++
    this.#ids.set(key, offset)
  }

  /** What was found last, as long as it holds. */
  #currentRoute(): Route {
    const vhost = this.#vhost!
    if (this.#route?.version !== vhost.topologyVersion) {
      this.#route = vhost.route(vhost.exchange('')!, this.#queueName)
    }
    return this.#route
  }

  #fill(way: Way, packetId: number): MessageDraft {
    const header = this.#header
    header[0] = way
    header[1] = packetId >> 8
    header[2] = packetId & 0xff
    return this.#draft
  }
}
