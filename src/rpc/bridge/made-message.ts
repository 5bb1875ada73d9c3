import { PUBLISH, type PublishResult, type VirtualHost } from '../../broker/index.ts'
import { encodeAddress } from '../../model/address.ts'
import type { CanonicalProperties } from '../../model/canonical-properties.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'

/** Exchange and routing key. */
export interface Place {
  readonly exchange: string
  readonly key: string
}

/** A message that is made here. */
export interface MadeMessage {
  readonly properties: CanonicalProperties
  readonly body: Uint8Array
  /** Where whoever takes it sees that it was published to; default: where it is. */
  readonly shownAs?: Place
}

/**
 * Publishes a message of the broker's own. Throws `BrokerError` LIMIT_EXCEEDED where what it says
 * of itself is too long.
 */
export function publishMade(
  vhost: VirtualHost,
  place: Place,
  { properties, body, shownAs = place }: MadeMessage,
): PublishResult {
  const exchange = vhost.exchange(place.exchange)
  const header = vhost.form(NATIVE_FORM.AMQP091)?.encoded?.(properties, body.length)
  if (exchange === undefined || header === undefined) return PUBLISH.UNROUTED
  const draft = new MessageDraft()
  draft.form = NATIVE_FORM.AMQP091
  draft.ofBroker = true
  draft.ttlMs = properties.expirationMs ?? -1
  const address = encodeAddress(shownAs.exchange, shownAs.key)
  draft.setAddress(address, 0, address.length)
  draft.setHeader(header, 0, header.length)
  draft.setBody(Buffer.from(body.buffer, body.byteOffset, body.length), 0, body.length)
  return vhost.publish(vhost.route(exchange, place.key), draft)
}
