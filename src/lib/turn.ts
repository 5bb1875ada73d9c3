/** Something that wants to run once before the current turn of the event loop ends. */
export interface TurnTask {
  /** Owned by `Turn`: true while the task waits. Start with false. */
  turnQueued: boolean
  runTurn(): void
}

/**
 * The end of a turn of the event loop, in three phases: `dispatch` gives messages to consumers,
 * `store` appends what the turn brought, `output` writes to sockets.
 *
 * Socket reads only collect; whatever they brought is then stored as one batch and answered by
 * one write per connection. A task queued for an earlier phase than the one that runs, or for its
 * own, waits for the next turn, so no task can keep the loop from its sockets.
 */
export class Turn {
  #dispatch: TurnTask[] = []
  #store: TurnTask[] = []
  #output: TurnTask[] = []
  #spare: TurnTask[] = []
  #armed = false
  readonly #run = (): void => this.#runPhases()

  /** Nothing waits for the end of this turn or the next. */
  get isIdle(): boolean {
    return !this.#armed
  }

  dispatch(task: TurnTask): void {
    if (task.turnQueued) return
    task.turnQueued = true
    this.#dispatch.push(task)
    if (!this.#armed) this.#arm()
  }

  store(task: TurnTask): void {
    if (task.turnQueued) return
    task.turnQueued = true
    this.#store.push(task)
    if (!this.#armed) this.#arm()
  }

  output(task: TurnTask): void {
    if (task.turnQueued) return
    task.turnQueued = true
    this.#output.push(task)
    if (!this.#armed) this.#arm()
  }

  #arm(): void {
    this.#armed = true
    setImmediate(this.#run)
  }

  #runPhases(): void {
    const dispatch = this.#dispatch
    this.#dispatch = this.#spare
    runAll(dispatch)
    this.#spare = dispatch
    const store = this.#store
    this.#store = []
    runAll(store)
    const output = this.#output
    this.#output = []
    runAll(output)
    this.#armed = false
    if (this.#dispatch.length + this.#store.length + this.#output.length > 0) this.#arm()
  }
}

function runAll(tasks: TurnTask[]): void {
  for (const task of tasks) {
    // Reset first: a task may queue itself again for the next turn.
    task.turnQueued = false
    task.runTurn()
  }
  tasks.length = 0
}
