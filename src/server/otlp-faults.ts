import type * as Api from '@opentelemetry/api'
import type { Log } from './log.ts'

/** Tells the log what OpenTelemetry's own code cannot send: otherwise nobody would know. */
export function tellOtlpFaults({ diag, DiagLogLevel }: typeof Api, log: Log): void {
  const warn = (message: string): void => log.warn({ message }, 'OTLP: something cannot be sent')
  const quiet = (): void => undefined
  const logger = { error: warn, warn, info: quiet, debug: quiet, verbose: quiet }
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
}
