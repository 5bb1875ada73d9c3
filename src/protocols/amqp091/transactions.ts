import type { CommitListener } from '../../broker/index.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import type { Channel } from './channel.ts'
import { type Settle, unknownTag } from './consumers.ts'
import { AmqpError, preconditionFailed } from './errors.ts'
import type { RouteSlot } from './route-cache.ts'

interface Publish {
  readonly slot: RouteSlot
  readonly extraKeys: readonly string[] | null
  readonly draft: MessageDraft
  readonly mandatory: boolean
}

interface Settlement {
  readonly deliveryTag: number
  readonly how: Settle
}

/** What a publish costs beside its octets, and what a settlement costs: objects and references. */
const PUBLISH_BYTES = 256
const SETTLEMENT_BYTES = 48

/**
 * Publishes and settlements of a tx channel, kept until tx.commit applies them as one entry of the
 * store. What one connection may keep is bounded; the one that is too many closes the channel.
 */
export class Transaction implements CommitListener {
  readonly #channel: Channel
  #publishes: Publish[] = []
  #settlements: Settlement[] = []
  #bytes = 0
  #answer: ((error: Error | null) => void) | null = null

  constructor(channel: Channel) {
    this.#channel = channel
  }

  /** Copies the draft: its bytes are borrowed. */
  addPublish(
    slot: RouteSlot,
    extraKeys: readonly string[] | null,
    draft: MessageDraft,
    mandatory: boolean,
  ): void {
    const octets = draft.headerEnd - draft.headerStart + draft.bodyEnd - draft.bodyStart
    this.#charge(octets + PUBLISH_BYTES)
    this.#publishes.push({ slot, extraKeys, draft: copyOf(draft), mandatory })
  }

  addSettlement(deliveryTag: number, multiple: boolean, how: Settle): void {
    const { unacked } = this.#channel.consumers
    if (!multiple) {
      const slot = unacked.find(deliveryTag)
      if (slot === -1) throw unknownTag(deliveryTag)
      this.#hold(slot, how)
    } else {
      if (deliveryTag !== 0 && unacked.find(deliveryTag) === -1) throw unknownTag(deliveryTag)
      const last = deliveryTag === 0 ? Infinity : deliveryTag
      for (let slot = unacked.first(); slot !== -1 && unacked.tagAt(slot) <= last;) {
        const next = unacked.after(slot)
        this.#hold(slot, how)
        slot = next
      }
    }
  }

  /** Applies everything at once; `answer` is called when it is stored, or is not. */
  commit(answer: (error: Error | null) => void): void {
    const { broker } = this.#channel.connection
    // Before anything is applied: an exchange may be gone since, and then all of it is refused.
    for (const { slot } of this.#publishes) this.#channel.publishes.ensure(slot)
    const publishes = this.#publishes
    const settlements = this.#settlements
    this.forget()
    this.#answer = answer
    broker.beginAtomic()
    try {
      this.#apply(publishes, settlements)
    } finally {
      broker.endAtomic()
    }
    broker.onCommit(this)
  }

  /** Publishes are dropped; settled deliveries wait for their settlement again. */
  rollback(): void {
    const { unacked } = this.#channel.consumers
    for (const { deliveryTag } of this.#settlements) {
      const slot = unacked.findHeld(deliveryTag)
      if (slot !== -1) unacked.release(slot)
    }
    this.forget()
  }

  /** Drops what is kept, as the channel does that closes. */
  forget(): void {
    this.#channel.connection.transactionBytes -= this.#bytes
    this.#publishes = []
    this.#settlements = []
    this.#bytes = 0
  }

  committed(_ticket: number, error: Error | null): void {
    const answer = this.#answer
    this.#answer = null
    answer?.(error)
  }

  #apply(publishes: readonly Publish[], settlements: readonly Settlement[]): void {
    const { consumers, publishes: path } = this.#channel
    for (const { slot, extraKeys, draft, mandatory } of publishes) {
      const routed = path.publish(slot, extraKeys, draft)
      if (mandatory && !routed) path.sendReturn(draft)
    }
    for (const { deliveryTag, how } of settlements) {
      const slot = consumers.unacked.findHeld(deliveryTag)
      if (slot === -1) continue
      consumers.unacked.release(slot)
      consumers.settleSlot(slot, how)
    }
    consumers.refreshAll()
  }

  #hold(slot: number, how: Settle): void {
    const { unacked } = this.#channel.consumers
    this.#charge(SETTLEMENT_BYTES)
    this.#settlements.push({ deliveryTag: unacked.tagAt(slot), how })
    unacked.hold(slot)
  }

  #charge(bytes: number): void {
    const { connection } = this.#channel
    this.#bytes += bytes
    connection.transactionBytes += bytes
    const { transactionBytesMax } = connection.limits
    if (connection.transactionBytes > transactionBytesMax) {
      throw preconditionFailed(`transactions of more than ${transactionBytesMax} octets`)
    }
  }
}

/** What tx.commit answers when the store failed. */
export function commitFailed(cause: Error): AmqpError {
  return new AmqpError('INTERNAL_ERROR', 'the transaction could not be stored', { cause })
}

function copyOf(draft: MessageDraft): MessageDraft {
  const { header, headerStart, headerEnd, body, bodyStart, bodyEnd } = draft
  const copy = new MessageDraft()
  copy.form = draft.form
  copy.actor = draft.actor
  copy.persistent = draft.persistent
  copy.priority = draft.priority
  copy.ttlMs = draft.ttlMs
  copy.delayMs = draft.delayMs
  copy.schedule = draft.schedule
  const own = Buffer.concat([
    header.subarray(headerStart, headerEnd),
    body.subarray(bodyStart, bodyEnd),
  ])
  copy.setHeader(own, 0, headerEnd - headerStart)
  copy.setBody(own, headerEnd - headerStart, own.length)
  return copy
}
