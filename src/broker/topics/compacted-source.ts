import type { Log, LogEntry, ReadDone } from '../../engine/contract.ts'
import type { EntrySource } from './entry-source.ts'

/** The name of the log that holds what is compacted of another, after so many times. */
export function cleanLogName(name: string, generation: number): string {
  return `${name}.clean.${generation}`
}

/**
 * The entries of a partition: below a clean point those of a compacted log, from there on those of
 * the log that is written. Both count offsets alike: an entry of the compacted log stands for all
 * offsets up to the next one, whatever of them is left in it.
 */
export class CompactedSource implements EntrySource {
  readonly name: string
  readonly #main: Log
  #clean: Log | null = null
  #cleanEnd = 0
  #generation = 0

  constructor(main: Log) {
    this.name = main.name
    this.#main = main
  }

  /** Null: nothing was compacted. */
  get clean(): Log | null {
    return this.#clean
  }

  /** Where the compacted part ends. */
  get cleanEnd(): number {
    return this.#cleanEnd
  }

  /** How often it was compacted. */
  get generation(): number {
    return this.#generation
  }

  /** The lowest offset of which there may be something. */
  get startOffset(): number {
    return this.#clean === null ? this.#main.startOffset : 0
  }

  get storedBytes(): number {
    return this.#main.storedBytes + (this.#clean?.storedBytes ?? 0)
  }

  /** From now on everything below `cleanEnd` is read from `clean`, which is whole and on disk. */
  switchTo(clean: Log, cleanEnd: number, generation: number): void {
    this.#clean = clean
    this.#cleanEnd = cleanEnd
    this.#generation = generation
    this.#main.discard(this.#main.startOffset, cleanEnd)
  }

  /** All of the compacted part was deleted. */
  drop(): void {
    this.#clean = null
    this.#cleanEnd = 0
  }

  peek(offset: number): LogEntry | null {
    return this.#logOf(offset).peek(offset)
  }

  read(offset: number, bytesMax: number, done: ReadDone, target?: Buffer): void {
    this.#logOf(offset).read(offset, bytesMax, done, target)
  }

  #logOf(offset: number): Log {
    return this.#clean !== null && offset < this.#cleanEnd ? this.#clean : this.#main
  }
}
