import { encodeProperties, PACKET } from '../../codec/mqtt/index.ts'
import type { StoredMessage } from '../../broker/index.ts'

/** More of a text than a user property can hold is left out: it has 16 bits for its length. */
const TEXT_BYTES_MAX = 65_535

/**
 * What the broker knows of a message beside its publisher: how often it failed, where and why it
 * died; as user properties named like AMQP's headers. Empty for nearly all messages.
 */
export function storyOf(message: StoredMessage, attempts: number): Buffer {
  const userProperties: [string, string][] = []
  const add = (name: string, value: string | number | undefined): void => {
    const text = String(value ?? '')
    if (value === undefined || Buffer.byteLength(text) > TEXT_BYTES_MAX) return
    userProperties.push([name, text.replaceAll('\u0000', '')])
  }
  if (attempts > 0) add('x-delivery-count', attempts)
  const { deaths = [], firstDeath = null, lastDeath = null } = message.annotations ?? {}
  for (const [which, origin] of [
    ['first', firstDeath],
    ['last', lastDeath],
  ] as const) {
    if (origin === null) continue
    add(`x-${which}-death-exchange`, origin.exchange)
    add(`x-${which}-death-queue`, origin.queue)
    add(`x-${which}-death-reason`, origin.reason)
    add(`x-${which}-death-error`, origin.error)
  }
  add('x-last-death-attempts', deaths[0]?.attempts)
  return encodeProperties(PACKET.PUBLISH, { userProperties })
}
