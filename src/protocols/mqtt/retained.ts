import { filteredOf, type StoredMessage } from '../../broker/index.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import { matchesLevels } from './filter.ts'
import { flagsOf, HEADER } from './message-header.ts'
import type { SubscriberParts } from './subscriber.ts'
import type { HeldSubscription } from './subscriptions.ts'
import { topicOfKey } from './topic-key.ts'

/**
 * Sends what is retained for a new subscription: QoS 0 at once, the rest as copies through the
 * session's queue, which stores, numbers and repeats them like all else. Resolves when all is
 * sent or the client has gone.
 */
export async function sendRetained(
  { vhost, outbox }: SubscriberParts,
  { parsed, qos, messages }: HeldSubscription,
  queueName: string,
): Promise<void> {
  if (parsed.kind !== 'topic') return
  const { levels, pattern } = parsed
  const draft = new MessageDraft()
  const send = (message: StoredMessage, key: string): void => {
    if (!matchesLevels(levels, topicOfKey(key).split('/'))) return
    if (messages?.takes(filteredOf(message, vhost.form(message.form))) === false) return
    const published = (flagsOf(message) & HEADER.QOS) >> 1
    if (Math.min(published, qos) === 0) {
      outbox.deliverRetained(message)
      return
    }
    copyInto(draft, message, { header: retainedHeader(message), nowMs: vhost.now() })
    const route = vhost.route(vhost.exchange('')!, queueName)
    vhost.publish(route, draft)
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const match = vhost.retained.match(
    pattern,
    (message, key) => {
      if (outbox.isOpen) {
        send(message, key)
        if (!outbox.isBlocked) return true
      }
      void outbox.drained().then(() => {
        if (outbox.isOpen) match.resume()
        else match.finish()
      })
      return false
    },
    (error) => {
      if (error === null) resolve()
      else reject(error)
    },
  )
  await promise
}

function retainedHeader(message: StoredMessage): Buffer {
  const header = Buffer.from(message.data.subarray(message.headerStart, message.headerEnd))
  if (message.form === NATIVE_FORM.MQTT && header.length > 0) header[0]! |= HEADER.RETAINED_COPY
  return header
}

/** A copy of a stored message with another header, and what is left of its time. */
export function copyInto(
  draft: MessageDraft,
  message: StoredMessage,
  { header, nowMs }: { readonly header: Buffer; readonly nowMs: number },
): void {
  const { data, expiresAtMs } = message
  draft.form = message.form
  draft.persistent = message.persistent
  draft.priority = message.priority
  draft.ttlMs = expiresAtMs === 0 ? -1 : Math.max(expiresAtMs - nowMs, 0)
  draft.setAddress(data, message.addressStart, message.addressEnd)
  draft.setHeader(header, 0, header.length)
  draft.setBody(data, message.bodyStart, message.bodyEnd)
}
