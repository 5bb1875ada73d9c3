/** When something is due again and again. */
export interface CronTimes {
  /** The first time after `afterMs`, both in milliseconds since 1970; null: there is none. */
  next(afterMs: number): number | null
}

/** Reads cron expressions. The broker is handed one, since time zones are the world's. */
export interface Calendar {
  /** Throws `RangeError` with the reason where expression or zone (IANA's name) is none. */
  parse(cron: string, zone: string): CronTimes
}
