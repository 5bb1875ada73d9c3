import { BrokerError } from './errors.ts'
import type { HeaderValue } from './header-value.ts'

/** Ten years: a delay or a date beyond is a mistake in its unit. */
export const DELAY_MS_MAX: number = 3650 * 86_400_000
/** Octets of an id that a publisher chooses; ids of the broker's own begin with `@`. */
const SCHEDULE_ID_BYTES_MAX = 255

/** Every header of an order begins like this, so that a message without one is soon known. */
export const ORDER_PREFIX = 'x-'

/** Headers by which a publisher asks for a time, in every protocol that has headers. */
export const SCHEDULE_HEADER = {
  /** Milliseconds from now. */
  AFTER: 'x-deliver-after',
  /** Milliseconds since 1970. */
  AT: 'x-deliver-at',
  /** A name for what waits, by which it is replaced and cancelled. */
  ID: 'x-schedule-id',
  /** The id of what shall not be delivered any more; the message itself goes nowhere. */
  CANCEL: 'x-schedule-cancel',
  /** A cron expression: the message is published again and again. */
  CRON: 'x-schedule-cron',
  /** The time zone of that, by its IANA name. */
  ZONE: 'x-schedule-zone',
  /** On what a cron expression published: when it was due, in milliseconds since 1970. */
  TIME: 'x-schedule-time',
} as const

/** What a publisher asks of the broker's clock beside a plain delay. */
export interface ScheduleOrder {
  /** Milliseconds since 1970; 0: not asked for. */
  readonly atMs: number
  readonly id: string | null
  readonly cancels: string | null
  readonly cron: string | null
  readonly zone: string | null
}

/**
 * The order in a message's headers, null where there is none. Throws `PRECONDITION_FAILED` where an
 * id is none; a time that cannot be read means now, for the message is worth more than its delay.
 */
export function scheduleOrderOf(
  header: (name: string) => HeaderValue | undefined,
): ScheduleOrder | null {
  const at = header(SCHEDULE_HEADER.AT)
  const id = header(SCHEDULE_HEADER.ID)
  const cancels = header(SCHEDULE_HEADER.CANCEL)
  const cron = header(SCHEDULE_HEADER.CRON)
  const isNone = at === undefined && id === undefined && cancels === undefined && cron === undefined
  if (isNone) return null
  const zone = header(SCHEDULE_HEADER.ZONE)
  return {
    atMs: millisecondsOf(at),
    id: id === undefined ? null : checkedScheduleId(id),
    cancels: cancels === undefined ? null : checkedScheduleId(cancels),
    cron: typeof cron === 'string' ? cron : null,
    zone: typeof zone === 'string' ? zone : null,
  }
}

/** Whole milliseconds above 0; 0 for all else. Some clients write numbers as text. */
function millisecondsOf(value: HeaderValue | undefined): number {
  const isNumeric =
    typeof value === 'number' ||
    typeof value === 'bigint' ||
    (typeof value === 'string' && value.trim() !== '')
  const number = isNumeric ? Math.floor(Number(value)) : 0
  return number > 0 && Number.isFinite(number) ? number : 0
}

/** The delay that a header asks for, within ten years. */
export function delayMsOf(value: HeaderValue | undefined): number {
  return Math.min(millisecondsOf(value), DELAY_MS_MAX)
}

export function checkedScheduleId(value: HeaderValue): string {
  const isPlain = typeof value === 'string' || typeof value === 'number'
  const id = isPlain || typeof value === 'bigint' ? String(value) : ''
  const bytes = Buffer.byteLength(id)
  if (bytes > 0 && bytes <= SCHEDULE_ID_BYTES_MAX && !id.startsWith('@')) return id
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `a schedule id is a text of 1 to ${SCHEDULE_ID_BYTES_MAX} octets that does not begin with @, ` +
      `got ${isPlain ? `'${id.slice(0, 50)}' of ${bytes} octets` : typeof value}`,
  )
}
