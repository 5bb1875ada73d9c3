import type { Broker, Topic, VirtualHost } from '../../broker/index.ts'
import { mix32 } from '../../lib/hash32.ts'
import type { RandomSource } from '../../lib/random.ts'
import type { GroupConfigs } from './group-config.ts'
import { GroupTable, type ReadState } from './groups/group-table.ts'
import { DEFAULT_GROUP_LIMITS, type GroupLimits, type MemberTimes } from './groups/limits.ts'
import { ShareSessions } from './groups/share-sessions.ts'
import type { CatalogTopic, TopicCatalog } from './groups/topic-catalog.ts'
import { findTopic, type KafkaIds, topicsOf } from './topics.ts'

interface VhostGroupsParts {
  readonly broker: Broker
  readonly random: RandomSource
  readonly ids: KafkaIds
  readonly configs: GroupConfigs
  readonly limits?: Partial<GroupLimits>
}

/** The groups of each virtual host, made when somebody first asks for them. */
export class VhostGroups {
  readonly limits: GroupLimits
  readonly #parts: VhostGroupsParts
  readonly #tables: Map<VirtualHost, GroupTable> = new Map()
  readonly #sessions: Map<VirtualHost, ShareSessions> = new Map()

  constructor(parts: VhostGroupsParts) {
    this.#parts = parts
    this.limits = { ...DEFAULT_GROUP_LIMITS, ...parts.limits }
  }

  of(vhost: VirtualHost): GroupTable {
    const known = this.#tables.get(vhost)
    if (known !== undefined) return known
    const { broker, random, ids, configs } = this.#parts
    this.#dropDeleted()
    const table = new GroupTable({
      catalog: new VhostCatalog(vhost, ids),
      timers: broker.timers,
      // The one that timers go by.
      clock: broker.clock,
      random,
      limits: this.limits,
      watcher: {
        membersChanged: (groupId, count, readState) => {
          // Sessions of a virtual host that was deleted end later, and nothing is kept of them.
          if (broker.vhost(vhost.name) !== vhost) return
          if (readState === 'shared') vhost.shared.setMembers(groupId, count)
          else vhost.subscriptions.setMembers(groupId, count)
        },
      },
      timesOf: (groupId, readState) => timesOf(configs.of(vhost, groupId), readState),
    })
    this.#tables.set(vhost, table)
    return table
  }

  /** What share consumers read at the moment. */
  sessionsOf(vhost: VirtualHost): ShareSessions {
    const known = this.#sessions.get(vhost)
    if (known !== undefined) return known
    this.#dropDeleted()
    const sessions = new ShareSessions(this.limits.shareSessionsMax)
    this.#sessions.set(vhost, sessions)
    return sessions
  }

  /** Ends what a client has open that is gone: what it had leased goes to others at once. */
  connectionClosed(connection: object): void {
    for (const [vhost, sessions] of this.#sessions) {
      for (const { groupId, memberId } of sessions.closeOwned(connection)) {
        for (const partition of vhost.shared.find(groupId)?.partitions() ?? []) {
          partition.releaseMember(memberId)
        }
      }
    }
  }

  /** Virtual hosts come and go seldom, so it is enough to look when one comes. */
  #dropDeleted(): void {
    for (const [vhost, table] of this.#tables) {
      if (this.#parts.broker.vhost(vhost.name) === vhost) continue
      this.#tables.delete(vhost)
      this.#sessions.delete(vhost)
      table.close()
    }
  }
}

/** What somebody has configured for a group. */
function timesOf(config: ReadonlyMap<string, string>, readState: ReadState): Partial<MemberTimes> {
  if (config.size === 0) return {}
  const kind = readState === 'shared' ? 'share' : 'consumer'
  const intervalMs = config.get(`${kind}.heartbeat.interval.ms`)
  const timeoutMs = config.get(`${kind}.session.timeout.ms`)
  return {
    ...(intervalMs !== undefined && { heartbeatIntervalMs: Number(intervalMs) }),
    ...(timeoutMs !== undefined && { sessionTimeoutMs: Number(timeoutMs) }),
  }
}

/** The topics of a virtual host as groups see them. */
class VhostCatalog implements TopicCatalog {
  readonly #vhost: VirtualHost
  readonly #ids: KafkaIds
  readonly #topicIds: WeakMap<Topic, string> = new WeakMap()
  #topologyVersion = -1
  #signature = 0
  #version = 0

  constructor(vhost: VirtualHost, ids: KafkaIds) {
    this.#vhost = vhost
    this.#ids = ids
  }

  /** Queues of other protocols come and go far more often: they are no reason to look again. */
  get version(): number {
    const { topologyVersion } = this.#vhost
    if (topologyVersion === this.#topologyVersion) return this.#version
    this.#topologyVersion = topologyVersion
    let signature = 0
    for (const topic of topicsOf(this.#vhost)) {
      signature =
        (signature + mix32(topic.id) + mix32(topic.id ^ mix32(topic.partitions.length))) | 0
    }
    if (signature !== this.#signature) this.#version += 1
    this.#signature = signature
    return this.#version
  }

  get(name: string): CatalogTopic | undefined {
    const topic = findTopic(this.#vhost, name)
    return topic === null ? undefined : this.#describe(topic)
  }

  byId(id: string): CatalogTopic | undefined {
    const topic = this.#ids.find(this.#vhost, id)
    return topic === null ? undefined : this.#describe(topic)
  }

  *names(): Iterable<string> {
    for (const topic of topicsOf(this.#vhost)) yield topic.name
  }

  #describe(topic: Topic): CatalogTopic {
    let id = this.#topicIds.get(topic)
    if (id === undefined) {
      id = this.#ids.topicId(topic)
      this.#topicIds.set(topic, id)
    }
    return { id, name: topic.name, partitionCount: topic.partitions.length }
  }
}
