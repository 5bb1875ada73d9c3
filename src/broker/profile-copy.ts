import type { EngineError } from '../engine/contract.ts'
import type { Turn, TurnTask } from '../lib/turn.ts'
import { encodeAnnotations } from './annotations.ts'
import type { CommitCycle, CommitListener } from './commit-cycle.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import type { StoredMessage } from './stored-message.ts'

/** How much is copied with one commit: bounds the time of a turn and what waits for the disk. */
const STEP_COUNT_MAX = 5000
const STEP_BYTES_MAX = 8 * 1024 * 1024

/** How a step ended. LOADING: it waits for the disk and calls `wake`. WAITING: for others. */
export type StepEnd = 'more' | 'caught-up' | 'loading' | 'waiting'

/**
 * Copies all that a destination holds to one that nobody sees yet, in the order it came.
 *
 * In the turn in which it has caught up, the copy becomes the destination's successor, and whatever
 * is published from then on is stored in both: so whichever of the two a crash leaves holds all.
 */
export abstract class ProfileCopy implements TurnTask, CommitListener {
  turnQueued = false
  readonly #turn: Turn
  readonly #cycle: CommitCycle
  readonly #end: PromiseWithResolvers<void> = Promise.withResolvers()
  #isCommitting = false
  #isOver = false
  /** Of this step. */
  #countLeft = 0
  #bytesLeft = 0

  constructor(turn: Turn, cycle: CommitCycle) {
    this.#turn = turn
    this.#cycle = cycle
  }

  /** Resolves when the copy is the successor and all that was copied is on disk. */
  run(): Promise<void> {
    this.wake()
    return this.#end.promise
  }

  runTurn(): void {
    if (this.#isCommitting || this.#isOver) return
    this.#countLeft = STEP_COUNT_MAX
    this.#bytesLeft = STEP_BYTES_MAX
    const end = this.step()
    if (end === 'loading') return
    if (end === 'caught-up') {
      this.#isOver = true
      this.succeed()
      // Even if nothing was copied: what is answered is on disk.
      this.#cycle.requireSync()
    }
    this.#isCommitting = true
    this.#cycle.onCommit(this)
  }

  committed(_ticket: number, error: EngineError | null): void {
    this.#isCommitting = false
    if (error !== null) this.fail(error)
    else if (this.#isOver) this.#end.resolve()
    else this.wake()
  }

  /** Lets go of all it read, whether it came to its end or not. */
  close(): void {
    this.#isOver = true
    this.forget()
  }

  protected wake(): void {
    this.#turn.dispatch(this)
  }

  protected fail(error: Error): void {
    this.#end.reject(error)
  }

  /** Whether this step goes no further. */
  protected get isStepFull(): boolean {
    return this.#countLeft <= 0 || this.#bytesLeft <= 0
  }

  /** Fills the draft with a stored message; what it points to is the view's. */
  protected fill(draft: MessageDraft, message: StoredMessage): void {
    const { data, annotations } = message
    draft.form = message.form
    draft.persistent = message.persistent
    draft.priority = message.priority
    draft.setAddress(data, message.addressStart, message.addressEnd)
    draft.setHeader(data, message.headerStart, message.headerEnd)
    draft.setBody(data, message.bodyStart, message.bodyEnd)
    draft.annotations = annotations === null ? null : encodeAnnotations(annotations)
    this.#countLeft--
    this.#bytesLeft -= message.bodyEnd - message.addressStart
  }

  /** Copies until the step is full or something else ends it. */
  protected abstract step(): StepEnd
  /** From now on what is published is stored in both. */
  protected abstract succeed(): void
  protected abstract forget(): void
}
