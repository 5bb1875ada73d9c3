import { Cron } from 'croner'
import type { Calendar } from '../broker/calendar.ts'

/** Longer than any expression that a person would write: what is read is bounded. */
const TEXT_LENGTH_MAX = 200

/**
 * Cron expressions of five to seven fields and names like `@daily`, in any time zone that Node
 * knows. Of an hour that is skipped in spring a fixed time comes at its end; of an hour that comes
 * twice in autumn a fixed time comes the first time.
 */
export const cronCalendar: Calendar = {
  parse(cron, zone) {
    if (cron.length > TEXT_LENGTH_MAX || zone.length > TEXT_LENGTH_MAX) {
      throw new RangeError(`a cron expression of more than ${TEXT_LENGTH_MAX} characters`)
    }
    let expression: Cron
    try {
      // Without a function it starts no timer.
      expression = new Cron(cron, { timezone: zone, paused: true })
      expression.nextRun(new Date(0))
    } catch (cause) {
      const { message } = cause as Error
      throw new RangeError(`'${cron}' in '${zone}' is no schedule: ${message}`, { cause })
    }
    return { next: (afterMs) => expression.nextRun(new Date(afterMs))?.getTime() ?? null }
  },
}
