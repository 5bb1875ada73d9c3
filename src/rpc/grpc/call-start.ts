import type { Clock } from '../../lib/clock.ts'
import { type Callee, deadlineAfter, serviceOf } from '../call.ts'
import { Metadata } from '../metadata.ts'
import { type Status, statusOf } from '../status.ts'
import type { GrpcLimits } from './limits.ts'
import { type Caller, isCaller, type LoginOutcome, type Logins } from './login.ts'
import type { Opening } from './opening.ts'
import { isOwnService } from './own-services.ts'

export interface StartParts {
  readonly clock: Clock
  readonly limits: GrpcLimits
  readonly logins: Logins
  /** Something was written: it must leave at the end of the turn. */
  readonly requestOutput: () => void
}

/** A call whose head has come. */
export interface Startable {
  begin(callee: Callee, deadlineMs: number): void
  status(status: Status, trailers: Metadata): void
}

/** Hands a call to whom it is for, once it is known who calls and that they may. */
export function startCall(parts: StartParts, call: Startable, opening: Opening): void {
  if (opening.refusal !== null) return call.status(opening.refusal, Metadata.EMPTY)
  const { clock, limits, logins } = parts
  const deadlineMs = deadlineAfter(clock.monotonicMs(), opening.timeoutMs, limits.deadlineMsMax)
  const login = logins.of(opening.authorization, opening.vhost)
  if (login.outcome !== null) return begin(call, login.outcome, opening, deadlineMs)
  login.whenOver((outcome) => {
    begin(call, outcome, opening, deadlineMs)
    parts.requestOutput()
  })
}

/** What changes something must not be done by whoever can show somebody a link or a picture. */
function getRefusal(caller: Caller, { isGet, path }: Opening): Status | null {
  if (!isGet || caller.isSafe(path)) return null
  return statusOf('UNIMPLEMENTED', `${path} is not known to be without side effects: use POST`)
}

function begin(call: Startable, outcome: LoginOutcome, opening: Opening, deadlineMs: number): void {
  if (!isCaller(outcome)) return call.status(outcome, Metadata.EMPTY)
  if (isOwnService(serviceOf(opening.path))) return call.begin(outcome.own, deadlineMs)
  const refusal = outcome.refusalOf(opening.path) ?? getRefusal(outcome, opening)
  if (refusal === null) call.begin(outcome.relay, deadlineMs)
  else call.status(refusal, Metadata.EMPTY)
}
