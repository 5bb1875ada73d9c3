import type { MessageOwner } from '../model/message-owner.ts'

class Owner implements MessageOwner {
  readonly name: string
  readonly nameBytes: Buffer
  messages = 0
  bytes = 0

  constructor(name: string) {
    this.name = name
    this.nameBytes = Buffer.from(name, 'utf8')
  }
}

/** Users whose stored messages are counted, by name: those that have a limit, or had one. */
export class Owners {
  readonly #byName: Map<string, Owner> = new Map()

  of(name: string): MessageOwner {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const owner = new Owner(name)
    this.#byName.set(name, owner)
    return owner
  }

  find(name: string): MessageOwner | null {
    return this.#byName.get(name) ?? null
  }

  /** The user is gone; what it has stored stays counted, for it may come again. */
  forget(name: string): void {
    if (this.#byName.get(name)?.messages === 0) this.#byName.delete(name)
  }
}
