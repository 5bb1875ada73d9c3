import { type CommitLevel, type Engine, EngineError } from '../engine/contract.ts'
import type { Turn, TurnTask } from '../lib/turn.ts'
import { Pressure } from './pressure.ts'

/** Told when the records of a turn are stored, or that they are not. */
export interface CommitListener {
  /** Called once for each ticket it registered for, in ticket order. */
  committed(ticket: number, error: EngineError | null): void
}

/** Gathers records of a turn and appends them to its log when told. */
export interface Stager {
  /** Owned by `CommitCycle`: true while it waits to be staged. */
  staged: boolean
  stage(): void
}

/**
 * Turns whatever a turn of the event loop brought into one engine commit, and tells those who
 * wait for it. A ticket names the commit that the records of the current turn belong to.
 */
export class CommitCycle implements TurnTask {
  turnQueued = false
  /** The ticket of the commit that is being gathered. */
  ticket = 1
  /** Looked at whenever the backlog of the disk changes. */
  readonly pressure: Pressure = new Pressure()
  #isClosed = false
  readonly #engine: Engine
  readonly #turn: Turn
  #stagers: Stager[] = []
  #listeners: CommitListener[] = []
  #level: CommitLevel = 'written'

  constructor(engine: Engine, turn: Turn) {
    this.#engine = engine
    this.#turn = turn
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Nothing is stored any more: what a turn still brings was promised to nobody. */
  close(): void {
    this.#isClosed = true
  }

  /** Says that `stager` has records for this turn's commit. */
  touch(stager: Stager): void {
    if (stager.staged) return
    stager.staged = true
    this.#stagers.push(stager)
    this.#turn.store(this)
  }

  /** The commit of this turn is answered only when it is on the device. */
  requireSync(): void {
    this.#level = 'synced'
  }

  /** Registers for the commit of this turn and returns its ticket; once per listener and ticket. */
  onCommit(listener: CommitListener): number {
    this.#listeners.push(listener)
    this.#turn.store(this)
    return this.ticket
  }

  runTurn(): void {
    if (this.#isClosed) {
      this.#refuse()
      return
    }
    const stagers = this.#stagers
    this.#stagers = []
    for (const stager of stagers) {
      stager.staged = false
      stager.stage()
    }
    const listeners = this.#listeners
    const level = this.#level
    const ticket = this.ticket++
    this.#listeners = []
    this.#level = 'written'
    this.#engine.commit(level, (error) => {
      for (const listener of listeners) listener.committed(ticket, error)
      this.pressure.measure(this.#engine.uncommittedBytes)
    })
    this.pressure.measure(this.#engine.uncommittedBytes)
  }

  #refuse(): void {
    const listeners = this.#listeners
    const ticket = this.ticket++
    this.#stagers = []
    this.#listeners = []
    const error = new EngineError('closed', 'the broker is closed')
    for (const listener of listeners) listener.committed(ticket, error)
  }
}
