import type { LogLine, LogTail } from '../admin/index.ts'
import type { Clock } from '../lib/clock.ts'
import { type Log, SECRET_FIELDS } from './log.ts'

/** Lines that are kept: some minutes of a busy broker, half a megabyte at most. */
const LINES_MAX = 1000
/** Of what a line says beside its text. */
const FIELDS_CHARS_MAX = 500

/** Keeps the last lines of a log for the console, and passes all of them on. */
export class LogRing implements LogTail {
  readonly log: Log
  readonly #clock: Clock
  /** Line `n` stands at `n % LINES_MAX`. */
  readonly #lines: LogLine[] = []
  #lastNumber = 0

  constructor(log: Log, clock: Clock) {
    this.#clock = clock
    const say = (level: LogLine['level']): Log['info'] => {
      return (fields, text) => {
        this.#keep(level, fields, text)
        log[level](fields, text)
      }
    }
    this.log = {
      debug: (fields, text) => log.debug(fields, text),
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
    }
  }

  after(number: number, countMax: number): readonly LogLine[] {
    const lines: LogLine[] = []
    const first = Math.max(number + 1, this.#lastNumber - LINES_MAX + 1, 1)
    for (let at = first; at <= this.#lastNumber && lines.length < countMax; at++) {
      lines.push(this.#lines[at % LINES_MAX]!)
    }
    return lines
  }

  #keep(level: LogLine['level'], fields: object, text: string): void {
    const number = ++this.#lastNumber
    const atMs = this.#clock.now()
    this.#lines[number % LINES_MAX] = { number, atMs, level, text, fields: fieldsText(fields) }
  }
}

/** The fields as they are when they are said: kept as text, so that nothing else lives on. */
function fieldsText(fields: object): string {
  let text: string
  try {
    text = JSON.stringify(fields, (key, value: unknown) => {
      if (SECRET_FIELDS.includes(key)) return '[Redacted]'
      if (value instanceof Error) return value.message
      return typeof value === 'bigint' ? String(value) : value
    })
  } catch {
    // A circle: whoever logs must not be stopped by it, and the log itself shows it.
    return ''
  }
  return text.length > FIELDS_CHARS_MAX ? `${text.slice(0, FIELDS_CHARS_MAX)} …` : text
}
