import type { QueueKind } from './queue-kinds.ts'
import type { Token } from './token.ts'

/** A persistent message with an id. */
export interface Taken {
  readonly id: number
  readonly size: number
  readonly timeMs: number
  /** The commit it belongs to. */
  readonly ticket: number
}

/** What a queue should hold, as plainly as can be. */
export class ModelQueue {
  readonly kind: QueueKind
  /** The broker's number for it: one name may stand for several queues, one after the other. */
  readonly id: number
  readonly tokens: Set<Token> = new Set()
  /** Where duplicates are dropped: what was taken in last and will surely be known again. */
  taken: Taken[] = []
  isDeclared = false
  isDeleteAsked = false
  isDeleted = false
  /** How many may have been dropped for want of room and were not missed yet. */
  dropCount = 0
  /** The same where bytes are counted: whether any may. */
  mayDrop = false

  constructor(kind: QueueKind, id: number) {
    this.kind = kind
    this.id = id
  }

  get name(): string {
    return this.kind.name
  }

  get label(): string {
    return `${this.name}#${this.id}`
  }

  /** Whether a crash may leave it behind. */
  get isStored(): boolean {
    return this.kind.isDurable && !this.kind.isExclusive
  }

  get isDropping(): boolean {
    const { messagesMax, bytesMax, overflow } = this.kind.settings
    const isLimited = messagesMax !== undefined || bytesMax !== undefined
    return isLimited && (overflow ?? 'drop-head') === 'drop-head'
  }

  get ready(): Token[] {
    return [...this.tokens].filter((token) => !token.isOut && token.dying === null)
  }

  get outCount(): number {
    let count = 0
    for (const token of this.tokens) if (token.isOut && token.dying === null) count++
    return count
  }

  get refuses(): boolean {
    const { messagesMax, overflow } = this.kind.settings
    if (messagesMax === undefined || (overflow ?? 'drop-head') === 'drop-head') return false
    return this.ready.length >= messagesMax
  }

  /** Whether nothing of it may have died unseen. */
  isCertain(nowMs: number): boolean {
    if (this.dropCount > 0 || this.mayDrop) return false
    return [...this.tokens].every((token) => token.stay.expiresMin > nowMs)
  }

  get isKeyShared(): boolean {
    return this.kind.settings.keyShared === true
  }

  levelOf(token: Token): number {
    if (this.isKeyShared) return 0
    return Math.min(token.priority, this.kind.prioritiesMax)
  }

  /** Something came in or back: notes what may have been dropped for it. */
  grew(): void {
    if (!this.isDropping) return
    const { messagesMax, bytesMax } = this.kind.settings
    const ready = this.ready
    if (messagesMax !== undefined) {
      this.dropCount = Math.max(this.dropCount, ready.length - messagesMax)
    }
    if (bytesMax !== undefined) {
      this.mayDrop ||= ready.reduce((sum, token) => sum + token.size, 0) > bytesMax
    }
  }
}
