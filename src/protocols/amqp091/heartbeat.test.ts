import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { Heartbeat } from './heartbeat.ts'

function world(): { clock: ManualClock; target: Target; heartbeat: Heartbeat } {
  const clock = new ManualClock()
  const target = new Target()
  return { clock, target, heartbeat: new Heartbeat(clock, 10, target) }
}

class Target {
  aliveCount = 0
  sentCount = 0
  beats = 0
  silent = 0

  sendHeartbeat(): void {
    this.beats++
    this.sentCount += 8
  }

  peerSilent(): void {
    this.silent++
  }
}

test('an idle side says so once an interval, a busy one never', () => {
  const { clock, target } = world()
  for (let second = 0; second < 60; second++) {
    target.aliveCount++
    clock.advance(1000)
  }
  assert.equal(target.beats, 6)
  for (let second = 0; second < 60; second++) {
    target.aliveCount++
    target.sentCount++
    clock.advance(1000)
  }
  assert.equal(target.beats, 6)
  assert.equal(target.silent, 0)
})

test('two silent intervals end it, once', () => {
  const { clock, target } = world()
  clock.advance(19_999)
  assert.equal(target.silent, 0)
  clock.advance(60_000)
  assert.equal(target.silent, 1)
  assert.equal(clock.timerCount, 0)
})

test('whoever is not read on purpose is not silent', () => {
  const { clock, target } = world()
  target.aliveCount = NaN
  clock.advance(120_000)
  assert.equal(target.silent, 0)
  target.aliveCount = 1
  clock.advance(15_000)
  assert.equal(target.silent, 0)
  clock.advance(15_000)
  assert.equal(target.silent, 1)
})

test('stopped it does nothing more', () => {
  const { clock, target, heartbeat } = world()
  heartbeat.stop()
  clock.advance(60_000)
  assert.deepEqual([target.beats, target.silent, clock.timerCount], [0, 0, 0])
})
