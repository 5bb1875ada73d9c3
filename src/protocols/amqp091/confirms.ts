import { type CommitListener, PUBLISH, type PublishResult } from '../../broker/index.ts'
import { SETTLE_FRAME_BYTES } from '../../codec/amqp091/index.ts'
import type { Channel } from './channel.ts'

/** The publishes of one turn, which one commit answers together. */
interface Awaited {
  readonly ticket: number
  /** The last publish that was taken; those before it are covered by `multiple`. */
  lastTag: number
  count: number
}

/**
 * Publisher confirms of one channel: a number for each publish, and one ack for all that a commit
 * stored. A refused publish gets its nack at once, before the ack whose range it lies in.
 */
export class Confirms implements CommitListener {
  readonly #channel: Channel
  readonly #awaited: Awaited[] = []
  #sequence = 0
  #current: Awaited | null = null

  constructor(channel: Channel) {
    this.#channel = channel
  }

  published(result: PublishResult): void {
    const tag = ++this.#sequence
    if (result === PUBLISH.REJECTED) {
      this.#nack(tag, false)
      return
    }
    const { broker } = this.#channel.connection
    const current = this.#current
    if (current !== null && current.ticket === broker.ticket) {
      current.lastTag = tag
      current.count++
      return
    }
    const awaited: Awaited = { ticket: broker.onCommit(this), lastTag: tag, count: 1 }
    this.#awaited.push(awaited)
    this.#current = awaited
  }

  committed(_ticket: number, error: Error | null): void {
    const awaited = this.#awaited.shift()
    if (awaited === this.#current) this.#current = null
    if (awaited === undefined || !this.#channel.isOpen) return
    const { lastTag, count } = awaited
    if (error !== null) {
      this.#nack(lastTag, count > 1)
      return
    }
    const { connection, writer } = this.#channel
    const { output } = connection
    const at = output.reserve(SETTLE_FRAME_BYTES)
    output.at = writer.ack(output.buffer, at, lastTag, count > 1)
    connection.requestOutput()
  }

  #nack(tag: number, multiple: boolean): void {
    const { connection, writer } = this.#channel
    const { output } = connection
    const at = output.reserve(SETTLE_FRAME_BYTES)
    output.at = writer.nack(output.buffer, at, tag, multiple, false)
    connection.requestOutput()
  }
}
