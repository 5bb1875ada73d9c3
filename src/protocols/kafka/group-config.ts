import type { StateTable, VirtualHost } from '../../broker/index.ts'
import { choice, ConfigTable, int } from './config-spec.ts'

/** Our own beside Kafka's: whether a share group keeps the order of each key. */
export const KEY_SHARED = 'waystation.key.shared'

/** Kafka 4's configuration of groups with its defaults ('Group Configs' of its documentation). */
export const GROUP_CONFIG: ConfigTable = new ConfigTable('group', [
  int('consumer.heartbeat.interval.ms', '5000', 1, 'How often members of a consumer group report.'),
  int('consumer.session.timeout.ms', '45000', 1, 'A member silent for so long is gone.'),
  int('share.heartbeat.interval.ms', '5000', 1, 'How often members of a share group report.'),
  int('share.session.timeout.ms', '45000', 1, 'A member silent for so long is gone.'),
  int('share.record.lock.duration.ms', '30000', 1000, 'How long an acquired record is locked.'),
  choice(
    'share.auto.offset.reset',
    'latest',
    ['latest', 'earliest'],
    'Where a share group begins on a partition that it never read.',
  ),
  choice(
    'share.isolation.level',
    'read_uncommitted',
    ['read_committed', 'read_uncommitted'],
    'Whether records of open and aborted transactions are given out.',
  ),
  choice(
    KEY_SHARED,
    'false',
    ['true', 'false'],
    'Whether records of one key go out in order, never to two members at a time.',
  ),
])

/** What was set for groups, stored with the groups' offsets. */
export class GroupConfigs {
  readonly #state: StateTable

  constructor(state: StateTable) {
    this.#state = state
  }

  /** What was set; the rest has its default. */
  of(vhost: VirtualHost, group: string): Map<string, string> {
    const stored = this.#state.get(keyOf(vhost, group))
    if (stored === undefined) return new Map()
    return new Map(Object.entries(JSON.parse(stored.toString('utf8')) as Record<string, string>))
  }

  value(vhost: VirtualHost, group: string, name: string): string {
    return GROUP_CONFIG.value(this.of(vhost, group), name)
  }

  /** Part of the commit of this turn. */
  set(vhost: VirtualHost, group: string, config: ReadonlyMap<string, string>): void {
    const key = keyOf(vhost, group)
    if (config.size === 0) this.#state.delete(key)
    else this.#state.set(key, Buffer.from(JSON.stringify(Object.fromEntries(config)), 'utf8'))
  }

  *groups(vhost: VirtualHost): Generator<string> {
    const prefix = keyOf(vhost, '')
    for (const [key] of this.#state.entries(prefix)) {
      yield decodeURIComponent(key.slice(prefix.length))
    }
  }
}

function keyOf(vhost: VirtualHost, group: string): string {
  return `kafka/group-config/${encodeURIComponent(vhost.name)}/${encodeURIComponent(group)}`
}
