import type {
  Consumer,
  DeliverySink,
  Destination,
  Standing,
  StoredMessage,
} from '../../broker/index.ts'
import { encodeShortString } from '../../codec/amqp091/index.ts'
import { routingKeyOf, shortAddressEnd } from '../../model/address.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import type { Channel } from './channel.ts'
import { foreignHeader } from './foreign-header.ts'
import { type Decoration, decoratedHeader } from './mapping.ts'

/** Room in the frame of a foreign message's header for what the broker adds to it. */
const DECORATION_BYTES = 1024

/** Who unacknowledged deliveries came from: a consumer, or basic.get of one destination. */
export interface DeliveryOwner {
  readonly destination: Destination
  /** Of basic.get: no prefetch counts its deliveries. */
  readonly isGetter: boolean
  /** Its place among the owners of the channel. */
  index: number
  /** Deliveries that wait for their acknowledgement. */
  unacked: number
  /** Null for basic.get, and once the consumer is cancelled. */
  handle: Consumer | null
  /** The destination is deleted: there is nothing left to settle. */
  isGone: boolean
}

export interface ConsumerOptions {
  readonly tag: string
  readonly noAck: boolean
  /** How many deliveries may wait for their acknowledgement; 0: any number. */
  readonly prefetch: number
}

/** One basic.consume: writes deliveries straight into the connection's output buffer. */
export class AmqpConsumer implements DeliverySink, DeliveryOwner {
  readonly destination: Destination
  readonly isGetter = false
  readonly tag: string
  readonly noAck: boolean
  readonly prefetch: number
  index = -1
  unacked = 0
  handle: Consumer | null = null
  isGone = false
  readonly #channel: Channel
  readonly #tagBytes: Buffer
  /** Deliveries of a stream show their offset. */
  readonly #showsOffset: boolean

  constructor(channel: Channel, destination: Destination, options: ConsumerOptions) {
    this.#channel = channel
    this.destination = destination
    this.tag = options.tag
    this.noAck = options.noAck
    this.prefetch = options.prefetch
    this.#tagBytes = encodeShortString(options.tag)
    this.#showsOffset = destination.profile === 'topic'
  }

  deliver(
    consumer: Consumer,
    message: StoredMessage,
    offset: number,
    redelivered: boolean,
    attempts: number,
  ): void {
    const channel = this.#channel
    const { connection, writer } = channel
    const { content, output } = connection
    const { data } = message
    content.setAddress(data, message.addressStart, shortAddressEnd(data, message.addressStart))
    content.setBody(data, message.bodyStart, message.bodyEnd)
    if (attempts > 0 || this.#showsOffset || needsOwnHeader(message)) {
      const streamOffset = this.#showsOffset ? offset : -1
      const header = headerFor(channel, message, { attempts, streamOffset })
      content.setHeader(header, 0, header.length)
    } else content.setHeader(data, message.headerStart, message.headerEnd)
    const at = output.reserve(writer.deliverBytes(this.#tagBytes, content))
    const deliveryTag = channel.nextDeliveryTag()
    output.at = writer.deliver(output.buffer, at, this.#tagBytes, deliveryTag, redelivered, content)
    connection.deliveredCount++
    if (!connection.turnQueued) connection.requestOutput()
    if (!this.noAck) {
      channel.consumers.delivered(this, deliveryTag, offset)
      if (++this.unacked === this.prefetch) consumer.pause()
    }
    if (output.blocked) connection.outputBlocked()
  }

  standing(): Standing {
    const { consumers, number: channel } = this.#channel
    return { ...consumers.standingOf(this), channel }
  }

  holds(offset: number): boolean {
    return this.#channel.consumers.holds(this, offset)
  }

  cancelled(): void {
    this.isGone = true
    this.#channel.consumers.destinationGone(this)
  }
}

/** HOT: whether the stored header is not what a client gets. */
export function needsOwnHeader(message: StoredMessage): boolean {
  return message.form !== NATIVE_FORM.AMQP091 || message.annotations !== null
}

/**
 * The content header with what the broker adds: deaths, attempts, the offset in a stream. That of a
 * message of another protocol is made from its properties.
 */
export function headerFor(
  channel: Channel,
  message: StoredMessage,
  { attempts, streamOffset }: Omit<Decoration, 'annotations'>,
): Buffer {
  const isOwn = message.form === NATIVE_FORM.AMQP091
  const payload = isOwn
    ? message.data.subarray(message.headerStart, message.headerEnd)
    : headerOfForeign(channel, message)
  const annotations = message.annotations
  if (annotations === null && attempts === 0 && streamOffset < 0) return payload
  return decoratedHeader(payload, { annotations, attempts, streamOffset })
}

function headerOfForeign(channel: Channel, message: StoredMessage): Buffer {
  const { connection, vhost, writer } = channel
  const bodySize = message.bodyEnd - message.bodyStart
  const payloadBytesMax = writer.bodyFrameMax - DECORATION_BYTES
  const form = vhost.form(message.form)
  const { data, addressStart, addressEnd } = message
  const isLong = shortAddressEnd(data, addressStart) < addressEnd
  const longRoutingKey = isLong ? routingKeyOf(data, addressStart, addressEnd) : null
  const options = { bodySize, payloadBytesMax, longRoutingKey }
  const { payload, lost } = foreignHeader(form, message, options)
  connection.lostCount += lost
  return payload
}
