import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBroker, queueSpec, turns } from '../../test/support/broker-rig.ts'
import { ManualClock } from '../lib/clock.ts'
import type { Calendar } from './calendar.ts'

const MINUTE_MS = 60_000

const everyMinute: Calendar = {
  parse: () => ({ next: (afterMs) => (Math.floor(afterMs / MINUTE_MS) + 1) * MINUTE_MS }),
}

test('one message stands for all times that were missed, however often the broker is started', async () => {
  const clock = new ManualClock(0)
  let rig = await openBroker({ clock, calendar: everyMinute })
  const { engine } = rig
  await rig.vhost.declareQueue(queueSpec('q'))
  const spec = {
    ...{ name: 'm', cron: '* * * * *', zone: 'UTC', exchange: '', routingKey: 'q' },
    ...{ startMs: null, endMs: null, countMax: null, missed: 'once' as const, createdMs: 0 },
    ...{ form: 0, persistent: true, priority: 0, ttlMs: -1 },
  }
  rig.vhost.schedules.recurring.put(spec, Buffer.alloc(0), Buffer.from('tick'))
  await turns()
  const counts: number[] = []
  for (const downMs of [5.5 * MINUTE_MS, 1, 1, MINUTE_MS]) {
    await rig.broker.close()
    clock.advance(downMs)
    rig = await openBroker({ engine, clock, calendar: everyMinute })
    clock.advance(0)
    await turns()
    counts.push(rig.vhost.destination('q')!.readyCount)
  }
  assert.deepEqual(counts, [1, 1, 1, 2])
  clock.advance(MINUTE_MS)
  await turns()
  assert.equal(rig.vhost.destination('q')!.readyCount, 3)
  await rig.broker.close()
})
