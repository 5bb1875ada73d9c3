import type { MessageOwner } from '../../model/message-owner.ts'
import type { Allowance } from './allowance.ts'
import type { Room } from './vhost-room.ts'

/** Whether a user may have more stored, in all destinations together. */
export class UserRoom implements Room {
  readonly owner: MessageOwner
  readonly #allowance: Allowance

  constructor(allowance: Allowance, owner: MessageOwner) {
    this.#allowance = allowance
    this.owner = owner
  }

  get fullBecause(): string | null {
    const messagesMax = this.#allowance.max('max-length')
    const bytesMax = this.#allowance.max('max-length-bytes')
    const { title } = this.#allowance
    const { messages, bytes } = this.owner
    if (messages >= messagesMax) {
      return `${title} has as much stored as it may, ${messagesMax} messages`
    }
    if (bytes >= bytesMax) return `${title} has as much stored as it may, ${bytesMax} bytes`
    return null
  }
}
