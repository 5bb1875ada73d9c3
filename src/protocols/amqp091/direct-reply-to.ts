import { shortAddressEnd } from '../../model/address.ts'
import type { Inbox, InboxSink, StoredMessage } from '../../broker/index.ts'
import { encodeShortString } from '../../codec/amqp091/index.ts'
import type { Channel } from './channel.ts'
import { headerFor, needsOwnHeader } from './consumer.ts'

/** The name a requester consumes from and puts into reply-to; each channel gets its own behind it. */
export const REPLY_TO_NAME = 'amq.rabbitmq.reply-to'

/**
 * Direct reply-to: answers go straight from the responder's channel to the requester's, through
 * no queue. The name is random enough that nobody answers who was not asked.
 */
export class ReplyConsumer implements InboxSink {
  readonly tag: string
  readonly #channel: Channel
  readonly #tagBytes: Buffer
  readonly #inbox: Inbox

  constructor(channel: Channel, tag: string) {
    this.#channel = channel
    this.tag = tag
    this.#tagBytes = encodeShortString(tag)
    const { random } = channel.connection
    const name = `${REPLY_TO_NAME}.${random.id()}.${random.id()}`
    this.#inbox = channel.vhost.openInbox(name, this)
  }

  get inboxName(): string {
    return this.#inbox.name
  }

  close(): void {
    this.#inbox.close()
  }

  deliverDirect(message: StoredMessage): void {
    const channel = this.#channel
    const { connection, writer } = channel
    const { content, output } = connection
    const addressEnd = shortAddressEnd(message.data, message.addressStart)
    content.setAddress(message.data, message.addressStart, addressEnd)
    if (needsOwnHeader(message)) {
      const header = headerFor(channel, message, { attempts: 0, streamOffset: -1 })
      content.setHeader(header, 0, header.length)
    } else content.setHeader(message.data, message.headerStart, message.headerEnd)
    content.setBody(message.data, message.bodyStart, message.bodyEnd)
    const at = output.reserve(writer.deliverBytes(this.#tagBytes, content))
    const deliveryTag = channel.nextDeliveryTag()
    output.at = writer.deliver(output.buffer, at, this.#tagBytes, deliveryTag, false, content)
    connection.deliveredCount++
    connection.requestOutput()
  }
}
