import { BrokerError } from '../model/errors.ts'
import {
  HASHINGS_AT_ONCE_MAX,
  HASHINGS_WAITING_MAX,
  HASHINGS_WAITING_PER_ADDRESS_MAX,
  HASHINGS_WAITING_PER_USER_MAX,
} from './limits.ts'

/** Who wants something hashed. */
export interface HashingSource {
  readonly address: string
  readonly username: string
}

type Start = () => void

/** What waits from one address, by user. */
interface Waiting {
  count: number
  readonly users: Map<string, Start[]>
}

/**
 * Hashing in turns: the addresses take turns, and of one address its users. So who guesses delays
 * everybody else by one hashing or two, however many guesses he sends, and what he sends beyond a
 * few of one user, or half of all places of one address, is refused at once.
 */
export class HashingQueue {
  /** In the order of their turns. */
  readonly #addresses = new Map<string, Waiting>()
  #waitingCount = 0
  #running = 0

  /**
   * Rejects with `UNAVAILABLE` when too many wait, with `ACCESS_REFUSED` when too many different
   * passwords of that user wait that came from that address.
   */
  async run<R>(source: HashingSource, work: () => Promise<R>): Promise<R> {
    if (this.#running < HASHINGS_AT_ONCE_MAX) this.#running += 1
    else await this.#turn(source)
    try {
      return await work()
    } finally {
      // The place is handed on, so that nobody slips in between.
      const next = this.#next()
      if (next === null) this.#running -= 1
      else next()
    }
  }

  async #turn({ address, username }: HashingSource): Promise<void> {
    const waiting = this.#addresses.get(address) ?? { count: 0, users: new Map<string, Start[]>() }
    const mine = waiting.users.get(username) ?? []
    if (mine.length >= HASHINGS_WAITING_PER_USER_MAX) {
      const text = `${mine.length} other passwords of user '${username}' from ${address} wait`
      throw new BrokerError('ACCESS_REFUSED', `${text}, it was not looked at`)
    }
    if (waiting.count >= HASHINGS_WAITING_PER_ADDRESS_MAX) {
      const limit = `limit is ${HASHINGS_WAITING_PER_ADDRESS_MAX}`
      throw overrun(`${waiting.count} logins from ${address} wait to be verified, ${limit}`)
    }
    if (this.#waitingCount >= HASHINGS_WAITING_MAX) {
      const limit = `limit is ${HASHINGS_WAITING_MAX}`
      throw overrun(`${this.#waitingCount} logins wait to be verified, ${limit}`)
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    mine.push(resolve)
    waiting.users.set(username, mine)
    waiting.count += 1
    this.#addresses.set(address, waiting)
    this.#waitingCount += 1
    await promise
  }

  /** Whose turn it is; who has more waits behind all others. */
  #next(): Start | null {
    for (const [address, waiting] of this.#addresses) {
      this.#addresses.delete(address)
      for (const [username, starts] of waiting.users) {
        waiting.users.delete(username)
        const start = starts.shift()!
        if (starts.length > 0) waiting.users.set(username, starts)
        waiting.count -= 1
        this.#waitingCount -= 1
        if (waiting.count > 0) this.#addresses.set(address, waiting)
        return start
      }
    }
    return null
  }
}

function overrun(text: string): BrokerError {
  return new BrokerError('UNAVAILABLE', text)
}
