import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cronCalendar } from './cron-calendar.ts'

function times(cron: string, zone: string, from: string, count: number): string[] {
  const calendar = cronCalendar.parse(cron, zone)
  const found: string[] = []
  let at: number | null = Date.parse(from)
  while (found.length < count) {
    at = calendar.next(at)
    if (at === null) break
    found.push(new Date(at).toISOString().slice(0, 16))
  }
  return found
}

test('a fixed time in the hour that is skipped comes when the gap ends', () => {
  assert.deepEqual(times('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', 2), [
    '2026-03-29T01:00',
    '2026-03-30T00:30',
  ])
  assert.deepEqual(times('30 2 * * *', 'America/New_York', '2026-03-07T12:00Z', 2), [
    '2026-03-08T07:00',
    '2026-03-09T06:30',
  ])
})

test('a fixed time in the hour that comes twice comes once, an interval in both', () => {
  assert.deepEqual(times('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', 2), [
    '2026-10-25T00:30',
    '2026-10-26T01:30',
  ])
  assert.deepEqual(times('*/30 * * * *', 'Europe/Berlin', '2026-10-24T23:45Z', 5), [
    '2026-10-25T00:00',
    '2026-10-25T00:30',
    '2026-10-25T01:00',
    '2026-10-25T01:30',
    '2026-10-25T02:00',
  ])
})

test('what is no expression, no zone or never due', () => {
  assert.throws(() => cronCalendar.parse('often', 'UTC'), RangeError)
  assert.throws(() => cronCalendar.parse('61 * * * *', 'UTC'), RangeError)
  assert.throws(() => cronCalendar.parse('* * * * *', 'Mars/Olympus'), /'Mars\/Olympus'/)
  assert.throws(() => cronCalendar.parse(`${'*/1,'.repeat(100)}* * * * *`, 'UTC'), RangeError)
  assert.equal(cronCalendar.parse('0 0 31 2 *', 'UTC').next(0), null)
})
