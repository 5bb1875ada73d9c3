import { PUBLISH, type StoredMessage, type VirtualHost } from '../../broker/index.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { withGroup } from './message-header.ts'
import { copyInto } from './retained.ts'

/**
 * Puts messages of QoS 2 that a group's member is to have into the queue of its session. There
 * they wait for it when its connection breaks, keep their packet id, and end with the session
 * (section 4.8.2); in the queue of the group they would go to another member.
 */
export class GroupCopies {
  /** Of the group, as it was subscribed. */
  readonly filter: string
  readonly #vhost: VirtualHost
  readonly #queueName: string
  readonly #filterBytes: Buffer
  readonly #draft = new MessageDraft()

  constructor(vhost: VirtualHost, queueName: string, filter: string) {
    this.#vhost = vhost
    this.#queueName = queueName
    this.filter = filter
    this.#filterBytes = Buffer.from(filter)
  }

  /** False when the queue takes no more. `trace` goes on with the copy. */
  put(message: StoredMessage, trace: number): boolean {
    const vhost = this.#vhost
    const { data, headerStart, headerEnd } = message
    const header = withGroup(data.subarray(headerStart, headerEnd), this.#filterBytes)
    copyInto(this.#draft, message, { header, nowMs: vhost.now() })
    const route = vhost.route(vhost.exchange('')!, this.#queueName)
    this.#draft.ofBroker = true
    this.#draft.owner = vhost.flows.ownerOf(message)
    this.#draft.trace = trace
    return vhost.publish(route, this.#draft) === PUBLISH.ROUTED
  }
}
