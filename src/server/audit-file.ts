import { existsSync } from 'node:fs'
import { appendFile, rename, stat } from 'node:fs/promises'
import type { Log } from './log.ts'

/** Lines that wait for a slow disk; beyond it they are counted, and the log says so. */
const WAITING_MAX = 10_000

/** All files together: enough for months of changes, and for some hours of an attack. */
export const AUDIT_BYTES_DEFAULT: number = 100 * 1024 * 1024
export const AUDIT_FILES_DEFAULT = 10

const MODE = 0o600

export interface AuditFileOptions {
  readonly file: string
  /** A larger one is renamed to `FILE.1`, that to `FILE.2`, and so on. */
  readonly sizeMax: number
  /** How many files there are at most. */
  readonly countMax: number
  readonly log: Log
}

/** A file of bounded size with its predecessors; lines are written in the order they came. */
export class AuditFile implements AsyncDisposable {
  readonly #options: AuditFileOptions
  #waiting: string[] = []
  #lostCount = 0
  #writing: Promise<void> | null = null
  #hasFailed = false

  constructor(options: AuditFileOptions) {
    this.#options = options
  }

  write(line: Readonly<Record<string, unknown>>): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#lostCount += 1
      return
    }
    this.#waiting.push(`${JSON.stringify(line)}\n`)
    this.#writing ??= this.#writeAll()
  }

  /** Resolves when all of it is in the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing
  }

  async #writeAll(): Promise<void> {
    // Not in this turn: what comes with it goes into the same write.
    await Promise.resolve()
    const { file, log } = this.#options
    while (this.#waiting.length > 0) {
      const lines = this.#waiting
      this.#waiting = []
      if (this.#lostCount > 0) lines.push(`${JSON.stringify({ lostLines: this.#lostCount })}\n`)
      try {
        await this.#rotate()
        await appendFile(file, lines.join(''), { mode: MODE })
        this.#lostCount = 0
        this.#hasFailed = false
      } catch (error) {
        this.#lostCount += lines.length
        if (!this.#hasFailed) log.error({ err: error, file }, 'the audit log cannot be written')
        this.#hasFailed = true
      }
    }
    this.#writing = null
  }

  async #rotate(): Promise<void> {
    const { file, sizeMax, countMax } = this.#options
    if (!existsSync(file) || (await stat(file)).size < sizeMax) return
    for (let n = countMax - 1; n > 0; n--) {
      const older = n === 1 ? file : `${file}.${n - 1}`
      if (existsSync(older)) await rename(older, `${file}.${n}`)
    }
  }
}
