import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SyncChoice } from './sync-choice.ts'

/** A loop and a clock that stand still until the test moves them. */
class World {
  readonly times = { activeMs: 0, idleMs: 0 }
  nowMs = 0
  readonly choice = new SyncChoice(
    () => ({ ...this.times }),
    () => this.nowMs,
  )

  pass({ active, idle }: { readonly active: number; readonly idle: number }): void {
    this.times.activeMs += active
    this.times.idleMs += idle
    this.nowMs += active + idle
  }

  /** An idle stretch, then one sync, made in the call if it may be. */
  syncs(milliseconds: number): boolean {
    this.pass({ active: 0, idle: 30 })
    if (!this.choice.isInCall()) return false
    this.pass({ active: milliseconds, idle: 0 })
    this.choice.took(milliseconds)
    return true
  }
}

describe('whether a sync is made in the call', () => {
  it('is not before anything is known of the loop', () => {
    assert.equal(new World().choice.isInCall(), false)
  })

  it('is while the loop waits more than it works', () => {
    const world = new World()
    world.pass({ active: 10, idle: 11 })
    assert.equal(world.choice.isInCall(), true)
    world.pass({ active: 15, idle: 14 })
    assert.equal(world.choice.isInCall(), false)
    world.pass({ active: 10, idle: 10 })
    assert.equal(world.choice.isInCall(), true)
  })

  it('does not take the syncs themselves for work', () => {
    const world = new World()
    world.pass({ active: 0, idle: 30 })
    for (let count = 0; count < 100; count++) {
      assert.equal(world.choice.isInCall(), true)
      world.pass({ active: 1.1, idle: 0.1 })
      world.choice.took(1)
    }
  })

  it('rests after a slow one, longer each time, until the device is quick for long', () => {
    const world = new World()
    assert.equal(world.syncs(3), true)
    assert.equal(world.syncs(0), false)
    world.pass({ active: 0, idle: 200 })
    assert.equal(world.syncs(3), true)
    world.pass({ active: 0, idle: 300 })
    assert.equal(world.syncs(0), false)
    world.pass({ active: 0, idle: 100 })
    for (let count = 0; count < 100; count++) assert.equal(world.syncs(0.3), true)
    assert.equal(world.syncs(3), true)
    world.pass({ active: 0, idle: 200 })
    assert.equal(world.syncs(0), true)
  })

  it('asks a device that stays slow once a minute at most', () => {
    const world = new World()
    let count = 0
    for (let step = 0; step < 20_000; step++) count += Number(world.syncs(50))
    assert.ok(count > 9 && count < 20, `${count} in ten minutes`)
  })
})
