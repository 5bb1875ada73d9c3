import type { CommitListener } from '../../broker/index.ts'
import { ERROR } from '../../codec/kafka/index.ts'
import { type GroupError, GroupRefusal } from './groups/group-refusal.ts'
import type { GroupTable } from './groups/group-table.ts'
import type { RequestContext } from './request-context.ts'
import { mayUse } from './topics.ts'

/** Whether the user may do anything with a group: there is one permission for all of it. */
export function mayUseGroup(context: RequestContext, groupId: string): boolean {
  return mayUse(context, groupId, 'read')
}

export function groupsOf({ shared, vhost }: RequestContext): GroupTable {
  return shared.groups.of(vhost)
}

/** Why nobody may use a group of this name, or this user may not; `NONE`: there is no reason. */
export function groupFault(context: RequestContext, groupId: string): number {
  if (!mayUseGroup(context, groupId)) return ERROR.GROUP_AUTHORIZATION_FAILED
  return groupId === '' ? ERROR.INVALID_GROUP_ID : ERROR.NONE
}

export function errorCode(error: GroupError): number {
  return ERROR[error]
}

/** The error and the words for it, of whatever a group threw. */
export function refusalFields(error: unknown): { errorCode: number; errorMessage: string } {
  if (!(error instanceof GroupRefusal)) throw error
  return { errorCode: errorCode(error.code), errorMessage: error.message }
}

/** An address as Kafka prints it. */
export function hostText(address: string): string {
  return `/${address}`
}

class Waiter implements CommitListener {
  readonly #done: (error: Error | null) => void

  constructor(done: (error: Error | null) => void) {
    this.#done = done
  }

  committed(_ticket: number, error: Error | null): void {
    this.#done(error)
  }
}

/** Calls back once what this turn brought is on disk, or cannot be stored. */
export function afterCommit(
  { shared: { broker } }: RequestContext,
  done: (error: Error | null) => void,
): void {
  broker.requireSync()
  broker.onCommit(new Waiter(done))
}
