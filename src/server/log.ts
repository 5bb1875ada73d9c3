import type { LogFormat, LogLevel } from './config-schema.ts'

/** What the broker's parts log through; pino's loggers fit, and any other of this shape. */
export interface Log {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** Says nothing: what an embedded broker logs to unless it is told otherwise. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** Fields that never reach a log, however deep a caller's mistake puts them. */
export const SECRET_FIELDS: readonly string[] = [
  'password',
  'passphrase',
  'token',
  'authorization',
  'secret',
]

/** So much waits for a reader that is too slow; beyond it lines are dropped. */
const BACKLOG_BYTES_MAX = 8 * 1024 * 1024

export interface LogOptions {
  readonly level: LogLevel
  /** `auto`: for eyes on a terminal, JSON elsewhere. */
  readonly format: LogFormat
}

/**
 * Writes to standard output, one line each: the log is what a broker has to say, and what goes to
 * standard error is why it ended. JSON does not wait for its reader, so that nobody who stops
 * reading stops the broker; what is not written yet is written when the process exits.
 */
export async function openLog({ level, format }: LogOptions): Promise<Log> {
  if (level === 'silent') return silentLog
  // Loaded when wanted: an embedded broker that says nothing should not wait for them.
  const { pino } = await import('pino')
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string): object => ({ level: label }) },
    redact: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
  }
  const isPretty = format === 'pretty' || (format === 'auto' && process.stdout.isTTY)
  if (!isPretty)
    return plain(
      pino(options, pino.destination({ dest: 1, sync: false, maxLength: BACKLOG_BYTES_MAX })),
    )
  const { PinoPretty } = await import('pino-pretty')
  const colorize = process.stdout.hasColors?.() === true
  return plain(pino(options, PinoPretty({ colorize, sync: true, translateTime: 'SYS:HH:MM:ss.l' })))
}

/** The types of pino's loggers allow any further method, a promise's too; ours do not. */
function plain(logger: Log): Log {
  return logger
}
