/** Whoever guesses passwords is slowed down, on every listener; nobody else is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Clock, systemClock, type Timer } from '../../../src/lib/clock.ts'
import { ADMIN, type ListenerName, securedBroker } from './secured-broker.ts'

const LISTENERS: readonly ListenerName[] = ['amqp', 'mqtt', 'mqtt-ws', 'kafka', 'http']

/** The first three are free, the waits of the next are 0.25 s, 0.75 s, 1.75 s and so on to 10 s. */
const GUESSES = 11

/**
 * A machine so fast that no time passes between two guesses, however slow it is: so each of them waits
 * for all before it. Waits are cut short; what is meant to give up on somebody is not.
 */
const noTimePasses: Clock = {
  now: () => systemClock.now(),
  monotonicMs: () => 0,
  setTimer: (delayMs: number, callback: () => void): Timer => {
    return systemClock.setTimer(delayMs < 10_000 ? delayMs / 20 : delayMs, callback)
  },
}

test('guesses at one user wait for each other, and the last are refused unseen', async (t) => {
  const { clients, lines } = await securedBroker(t, { clock: noTimePasses, heartbeatSeconds: 0 })
  for (const listener of LISTENERS) {
    const user = `victim-${listener}`
    for (let n = 0; n < GUESSES; n++) {
      await assert.rejects(clients.logIn(listener, { user, password: `guess number ${n}` }))
    }
    const seen = lines.filter((line) => line.includes(`'${user}' - invalid credentials`))
    const unseen = lines.filter((line) => {
      return line.includes(`'${user}' from 127.0.0.1 failed too often and was not looked at`)
    })
    assert.ok(seen.length > 0, `${listener}: none was looked at`)
    assert.ok(unseen.length > 0, `${listener}: all were looked at`)
    // Others from the same address are let in.
    await clients.logIn(listener, { user: ADMIN.name, password: ADMIN.password })
  }
})
