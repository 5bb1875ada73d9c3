import assert from 'node:assert/strict'
import { TimerIndex } from '../../src/broker/timer-index.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import type { GroupParts } from '../../src/protocols/kafka/groups/classic-group.ts'
import { GroupRefusal } from '../../src/protocols/kafka/groups/group-refusal.ts'
import {
  DEFAULT_GROUP_LIMITS,
  defaultTimes,
  type GroupLimits,
} from '../../src/protocols/kafka/groups/limits.ts'
import type { CatalogTopic, TopicCatalog } from '../../src/protocols/kafka/groups/topic-catalog.ts'

/** Topics that a test sets as it likes; the id of `t` is `id-t`. */
export class FakeCatalog implements TopicCatalog {
  readonly #topics: Map<string, CatalogTopic> = new Map()
  version = 0

  constructor(topics: Readonly<Record<string, number>> = {}) {
    for (const [name, count] of Object.entries(topics)) this.set(name, count)
  }

  set(name: string, partitionCount: number): void {
    this.#topics.set(name, { id: `id-${name}`, name, partitionCount })
    this.version += 1
  }

  delete(name: string): void {
    this.#topics.delete(name)
    this.version += 1
  }

  get(name: string): CatalogTopic | undefined {
    return this.#topics.get(name)
  }

  byId(id: string): CatalogTopic | undefined {
    return this.#topics.get(id.slice('id-'.length))
  }

  names(): Iterable<string> {
    return this.#topics.keys()
  }
}

/** What groups are made with, on a clock that stands still until a test moves it. */
export class GroupWorld implements GroupParts {
  readonly clock: ManualClock = new ManualClock()
  readonly timers: TimerIndex = new TimerIndex(this.clock)
  readonly random: SeededRandom = new SeededRandom(1)
  readonly budget = { heldBytes: 0 }
  readonly limits: GroupLimits
  /** As the group last told. */
  memberCount = 0

  constructor(limits: Partial<GroupLimits> = {}) {
    this.limits = { ...DEFAULT_GROUP_LIMITS, ...limits }
  }

  readonly membersChanged: GroupParts['membersChanged'] = (
    _groupId: string,
    count: number,
  ): void => {
    this.memberCount = count
  }

  readonly memberTimes: GroupParts['memberTimes'] = (_groupId, memberCount) =>
    defaultTimes(this.limits, memberCount)
}

/** The code with which a call is refused; 'NONE': it is not. */
export function refusal(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    assert.ok(error instanceof GroupRefusal, String(error))
    return error.code
  }
  return 'NONE'
}
