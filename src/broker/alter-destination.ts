import { BrokerError } from '../model/errors.ts'
import type { HeaderValue } from '../model/header-value.ts'
import type { ArgumentDialect } from './argument-dialect.ts'
import type { DestinationSpec } from './destination.ts'
import type { BrokerLimits } from './limits.ts'
import type { DestinationPolicy } from './policy.ts'
import { requireOneOrder } from './profile-change.ts'
import { Queue } from './queue.ts'
import type { Topic } from './topics/topic.ts'
import type { VirtualHost } from './virtual-host.ts'

/** What is to be other than it is; what is absent stays. */
export interface DestinationChange {
  /** Arguments by name; null: taken away. */
  readonly arguments?: ReadonlyMap<string, HeaderValue> | undefined
  /** Of a topic; no fewer than it has. */
  readonly partitionCount?: number | undefined
  readonly profile?: DestinationSpec['profile'] | undefined
}

interface AlterParts {
  readonly vhost: VirtualHost
  readonly dialects: Iterable<ArgumentDialect>
  readonly limits: Pick<BrokerLimits, 'partitionCountMax'>
}

/**
 * Changes a destination while it lives and holds messages; resolves when that is stored. All that
 * can be refused is looked at before anything is changed.
 */
export async function alterDestination(
  { vhost, dialects, limits }: AlterParts,
  name: string,
  change: DestinationChange,
): Promise<Queue | Topic> {
  const destination = vhost.destination(name)
  if (destination === undefined) {
    throw new BrokerError('NOT_FOUND', `no queue '${name}' in vhost '${vhost.name}'`)
  }
  const becomes = change.profile ?? destination.profile
  const current = becomes === destination.profile ? destination.spec : asOther(vhost, destination)
  const partitionCount = partitionsOf(destination, becomes, change)
  if (partitionCount > limits.partitionCountMax) {
    throw new BrokerError(
      'LIMIT_EXCEEDED',
      `topic '${name}' cannot have ${partitionCount} partitions, the limit is ${limits.partitionCountMax}`,
    )
  }
  const next = changedArguments(current, change.arguments ?? new Map(), { vhost, dialects })
  let altered = destination
  if (becomes !== destination.profile) altered = await vhost.changeProfile(destination, next)
  else if (next !== current) await vhost.adopt(destination, next)
  if (altered instanceof Queue || partitionCount <= altered.partitions.length) return altered
  await vhost.growTopic(altered, partitionCount)
  return altered
}

function partitionsOf(
  destination: Queue | Topic,
  becomes: DestinationSpec['profile'],
  { partitionCount }: DestinationChange,
): number {
  const there = destination instanceof Queue ? 1 : destination.partitions.length
  if (partitionCount === undefined) return there
  if (becomes === 'queue') {
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `queue '${destination.name}' has no partitions, only a topic has`,
    )
  }
  if (partitionCount >= there) return partitionCount
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `topic '${destination.name}' has ${there} partitions, it cannot be given ${partitionCount}: ` +
      'what is in the others would be lost',
  )
}

/** What is declared with `spec` and other arguments, `null` standing for none; itself if the same. */
function changedArguments(
  spec: DestinationSpec,
  changes: ReadonlyMap<string, HeaderValue>,
  { vhost, dialects }: Pick<AlterParts, 'vhost' | 'dialects'>,
): DestinationSpec {
  if (changes.size === 0) return spec
  const args = new Map(spec.arguments)
  const speaking = new Set<ArgumentDialect>()
  for (const [key, value] of changes) {
    const dialect = [...dialects].find((known) => known.takes(spec, key))
    if (dialect === undefined) {
      // What no dialect knows sets nothing; it may stand here from its declaration.
      if (value === null && args.delete(key)) continue
      throw new BrokerError(
        'PRECONDITION_FAILED',
        `${spec.profile} '${spec.name}' in vhost '${vhost.name}' takes no argument '${key}'`,
      )
    }
    if (dialect.isFixed(key)) {
      throw new BrokerError(
        'PRECONDITION_FAILED',
        `argument '${key}' of ${spec.profile} '${spec.name}' in vhost '${vhost.name}' cannot change while it lives`,
      )
    }
    speaking.add(dialect)
    if (value === null) args.delete(key)
    else args.set(key, dialect.valueOf(value))
  }
  let settings = spec.settings
  for (const dialect of speaking) {
    const before = dialect.settings(spec, vhost.name)
    const after = dialect.settings({ ...spec, arguments: args }, vhost.name)
    // What was set otherwise, as by another dialect, stays.
    settings = { ...without(settings, before), ...after }
  }
  return { ...spec, arguments: args, settings }
}

function without(settings: DestinationPolicy, gone: DestinationPolicy): DestinationPolicy {
  return Object.fromEntries(Object.entries(settings).filter(([key]) => !Object.hasOwn(gone, key)))
}

/**
 * The same destination with the other profile. Its arguments end with it: a limit of a queue, read
 * as what a topic keeps, would let go of messages that wait.
 */
function asOther(vhost: VirtualHost, destination: Queue | Topic): DestinationSpec {
  const { name, spec } = destination
  const profile = destination.profile === 'queue' ? 'topic' : 'queue'
  const place = `${destination.profile} '${name}' in vhost '${vhost.name}' cannot become a ${profile}`
  const { durable, autoDelete, exclusiveOwner } = spec
  if (!durable || autoDelete || exclusiveOwner !== null) {
    const why = 'only what is durable, not exclusive and not auto-delete can'
    throw new BrokerError('PRECONDITION_FAILED', `${place}: ${why}`)
  }
  for (const session of vhost.sessions.list()) {
    if (!session.spec.destinations.includes(name)) continue
    const why = `it belongs to the session '${session.name}'`
    throw new BrokerError('PRECONDITION_FAILED', `${place}: ${why}`)
  }
  if (!(destination instanceof Queue)) requireOneOrder(destination)
  return {
    ...{ name, durable, autoDelete, exclusiveOwner, profile },
    ...{ arguments: new Map(), settings: {} },
    ...{ countsAttempts: false, prioritiesMax: 0, singleActive: false },
  }
}
