import { later } from '../../lib/later.ts'
import { EngineError } from '../contract.ts'
import type { Log, LogEntry, ReadDone, Retention } from '../contract.ts'
import { closedError } from './engine-errors.ts'
import type { LogCore } from './log-core.ts'

/** The one writer of a log, until a newer epoch opens it: then this handle appends no more. */
export class EmbeddedLog implements Log {
  readonly name: string
  readonly #core: LogCore
  readonly #close: (log: EmbeddedLog) => Promise<void>
  #fault: EngineError | null = null

  constructor(core: LogCore, close: (log: EmbeddedLog) => Promise<void>) {
    this.name = core.name
    this.#core = core
    this.#close = close
  }

  get startOffset(): number {
    return this.#core.startOffset
  }

  get nextOffset(): number {
    return this.#core.nextOffset
  }

  get committedOffset(): number {
    return this.#core.committedOffset
  }

  get storedBytes(): number {
    return this.#core.storedBytes
  }

  append(data: Buffer, count: number, free?: () => void): number {
    if (this.#fault !== null) throw this.#fault
    return this.#core.append(data, count, free)
  }

  peek(offset: number): LogEntry | null {
    return this.#core.peek(offset)
  }

  read(offset: number, bytesMax: number, done: ReadDone, target?: Buffer): void {
    const fault = this.#fault
    if (fault === null) this.#core.read(offset, bytesMax, done, target)
    else later(() => done(fault, []))
  }

  async offsetForTime(timeMs: number): Promise<number> {
    if (this.#fault !== null) throw this.#fault
    return this.#core.offsetForTime(timeMs)
  }

  discard(from: number, to: number): void {
    if (this.#fault === null) this.#core.discard(from, to)
  }

  setRetention(retention: Retention): void {
    if (this.#fault === null) this.#core.setRetention(retention)
  }

  onCommitted(listener: ((committedOffset: number) => void) | null): void {
    if (this.#fault === null) this.#core.listener = listener
  }

  /** From now on a writer with a newer epoch owns the log. */
  fence(epoch: number): void {
    this.#fault ??= new EngineError(
      'fenced',
      `log '${this.name}' was opened by a writer with epoch ${epoch}`,
    )
  }

  /** From now on nothing can be done through this handle. */
  shut(): void {
    this.#fault ??= closedError(`log '${this.name}'`)
  }

  async close(): Promise<void> {
    if (this.#fault === null) await this.#close(this)
  }
}
