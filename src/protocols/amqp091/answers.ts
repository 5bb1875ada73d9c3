import type { MethodInput } from '../../codec/amqp091/index.ts'
import { HOLD } from '../../net/index.ts'
import { auditOneOfMany } from './audit.ts'
import type { Channel } from './channel.ts'
import type { Amqp091Connection } from './connection.ts'

/** Changes of bindings that may wait for the disk; with more, the client's next frames wait. */
const AHEAD_MAX = 10_000

/** What is told of a change of bindings when it is stored. */
export interface BindingChange {
  readonly channel: Channel
  readonly methodId: number
  /** null: the client wants no answer. */
  readonly answer: MethodInput | null
  readonly action: string
  readonly source: string
  readonly target: string
  readonly targetKind: 'queue' | 'exchange'
  /** Of what is exclusive to the connection, and its own affair. */
  readonly isPrivate: boolean
}

/** Changes of one turn, which are stored together. */
interface ChangeGroup {
  readonly stored: Promise<void>
  readonly changes: BindingChange[]
  end: { readonly error: Error | null } | null
}

/**
 * What the broker still owes a client that has asked. Changes of bindings are in force at once and
 * answered, in their order, when they are stored: the client's next ones are read meanwhile, so a
 * thousand of them wait for one sync of the disk. All other methods wait until those are answered.
 */
export class Answers {
  readonly #connection: Amqp091Connection
  readonly #groups: ChangeGroup[] = []
  #count = 0
  /** The method that waits; the client's next frames are held. */
  #next: { readonly number: number; readonly methodId: number; run: () => void } | null = null

  constructor(connection: Amqp091Connection) {
    this.#connection = connection
  }

  /** No change of bindings waits for the disk. */
  get isIdle(): boolean {
    return this.#count === 0
  }

  /** Answers when `stored` resolves, which is the same promise for all changes of a turn. */
  whenStored(stored: Promise<void>, change: BindingChange): void {
    const last = this.#groups.at(-1)
    if (last !== undefined && last.stored === stored && last.end === null) last.changes.push(change)
    else {
      const group: ChangeGroup = { stored, changes: [change], end: null }
      this.#groups.push(group)
      stored.then(
        () => this.#ended(group, null),
        (error: Error) => this.#ended(group, error),
      )
    }
    this.#count++
    if (this.#count >= AHEAD_MAX) this.#connection.hold(HOLD.EARLIER)
  }

  /** Runs it behind the answers to what was asked before, at once where all of them were given. */
  afterThose(number: number, methodId: number, run: () => void): void {
    if (this.#count === 0) {
      run()
      return
    }
    this.#next = { number, methodId, run }
    this.#connection.hold(HOLD.EARLIER)
  }

  /** Holds the client's next frames until the broker has answered `channel`. */
  await<Value>(channel: Channel, promise: Promise<Value>, done: (value: Value) => void): void {
    const connection = this.#connection
    const { methodId, number } = channel
    connection.hold(HOLD.ANSWER)
    const finish = (action: () => void): void => {
      if (connection.isClosed) return
      if (channel.isOpen) this.#try(number, methodId, action)
      connection.proceed(HOLD.ANSWER)
    }
    promise.then(
      (value) => finish(() => done(value)),
      (error: unknown) =>
        finish(() => {
          throw error
        }),
    )
  }

  #ended(group: ChangeGroup, error: Error | null): void {
    group.end = { error }
    while (this.#groups.length > 0) {
      const [first] = this.#groups
      if (first === undefined || first.end === null) return
      this.#groups.shift()
      for (const change of first.changes) this.#answer(change, first.end.error)
      this.#count -= first.changes.length
    }
    const next = this.#next
    this.#next = null
    if (next !== null && this.#connection.isRunning) {
      this.#try(next.number, next.methodId, next.run)
    }
    if (this.#connection.isRunning) this.#connection.proceed(HOLD.EARLIER)
  }

  #answer(change: BindingChange, error: Error | null): void {
    const { channel, methodId, answer } = change
    if (error === null && !change.isPrivate) {
      const { action, source, targetKind, target } = change
      auditOneOfMany(channel, action, `exchange '${source}' to ${targetKind} '${target}'`)
    }
    if (!this.#connection.isRunning || !channel.isOpen) return
    this.#try(channel.number, methodId, () => {
      if (error !== null) throw error
      if (answer !== null) channel.send(answer)
    })
  }

  #try(number: number, methodId: number, action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#connection.failed(error, number, methodId)
    }
  }
}
