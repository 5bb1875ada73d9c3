/** A broker that takes tokens of an identity provider, and a clock to let them end. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { type Clock, systemClock, type Timer } from '../../../src/lib/clock.ts'
import type { StartOptions } from '../../../src/server/index.ts'
import { type SecuredBroker, securedBroker } from './secured-broker.ts'
import { AUDIENCE, ISSUER, TokenIssuer } from './token-issuer.ts'

export interface TokenWorld extends SecuredBroker {
  readonly issuer: TokenIssuer
  readonly keysFile: string
  readonly clock: ShiftedClock
}

/** The machine's clock, set to another time by hand. */
export class ShiftedClock implements Clock {
  shiftMs = 0

  now(): number {
    return systemClock.now() + this.shiftMs
  }

  monotonicMs(): number {
    return systemClock.monotonicMs()
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return systemClock.setTimer(delayMs, callback)
  }
}

export async function tokenWorld(
  t: TestContext,
  listen: StartOptions['listen'] = {},
): Promise<TokenWorld> {
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-tokens-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const issuer = await TokenIssuer.make('first')
  const keysFile = path.join(folder, 'jwks.json')
  issuer.writeKeys(keysFile)
  const clock = new ShiftedClock()
  const world = await securedBroker(t, {
    oauth2: { resourceServerId: AUDIENCE, issuer: ISSUER, keysFile },
    heartbeatSeconds: 0,
    clock,
    listen,
  })
  return { ...world, issuer, keysFile, clock }
}
