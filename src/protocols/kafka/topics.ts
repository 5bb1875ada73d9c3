import { auditRefusal } from './audit.ts'
import type { PermissionKind } from '../../auth/index.ts'
import { Topic, type VirtualHost } from '../../broker/index.ts'
import { ZERO_UUID } from '../../codec/kafka/index.ts'
import type { HeaderMap } from '../../model/header-value.ts'
import { TOPIC_NAME_LENGTH_MAX } from './limits.ts'
import type { KafkaShared, RequestContext } from './request-context.ts'
import { topicSettings } from './topic-config.ts'

/** The exchange of a topic takes what Kafka's producers write and hands it to other bindings. */
const EVERYTHING_KEY = '#'
const NO_ARGUMENTS: HeaderMap = new Map()
const NAME = /^[a-zA-Z0-9._-]+$/

/** Kafka's own words for what is wrong with the name of a new topic; null: nothing. */
export function topicNameFault(name: string): string | null {
  if (name === '') return 'Topic name is invalid: the empty string is not allowed'
  if (name === '.' || name === '..') return `Topic name is invalid: '.' or '..' is not allowed`
  if (name.length > TOPIC_NAME_LENGTH_MAX) {
    return `Topic name is invalid: the length of '${name}' is longer than the max allowed length ${TOPIC_NAME_LENGTH_MAX}`
  }
  if (NAME.test(name)) return null
  return (
    `Topic name is invalid: '${name}' contains one or more characters other than ` +
    `ASCII alphanumerics, '.', '_' and '-'`
  )
}

/** Every destination of profile topic is one of Kafka's, streams of AMQP too. */
export function findTopic(vhost: VirtualHost, name: string): Topic | null {
  const found = vhost.destination(name)
  return found instanceof Topic && !found.isFrozen ? found : null
}

export function* topicsOf(vhost: VirtualHost): Generator<Topic> {
  for (const destination of vhost.destinations()) {
    if (!(destination instanceof Topic) || destination.isFrozen) continue
    if (destination.exclusiveOwner === null) yield destination
  }
}

/** Whether the user of the request may do that with a topic. */
export function mayUse(context: RequestContext, name: string, kind: PermissionKind): boolean {
  if (couldUse(context, name, kind)) return true
  auditRefusal(context, kind, `'${name}'`)
  return false
}

/** The same where nobody asks for it yet. */
export function couldUse(context: RequestContext, name: string, kind: PermissionKind): boolean {
  const { shared, principal, vhost } = context
  return shared.users.allowed(principal, vhost.name, name, kind)
}

/** Kafka's DESCRIBE follows from any other permission. */
export function mayDescribe(context: RequestContext, name: string): boolean {
  return (
    couldUse(context, name, 'read') ||
    couldUse(context, name, 'write') ||
    couldUse(context, name, 'configure')
  )
}

/**
 * Creates a topic with the exchange of its name and the binding between them, unless those are
 * there; gives the topic when all of it is stored. The caller has checked name and permission.
 */
export async function createTopic(
  vhost: VirtualHost,
  name: string,
  options: { readonly partitionCount: number; readonly config: HeaderMap },
): Promise<Topic> {
  const topic = await vhost.declareQueue({
    name,
    profile: 'topic',
    durable: true,
    autoDelete: false,
    exclusiveOwner: null,
    arguments: options.config,
    settings: topicSettings(options.config),
    countsAttempts: false,
    prioritiesMax: 0,
    singleActive: false,
    partitionCount: options.partitionCount,
  })
  if (!(topic instanceof Topic)) throw new TypeError(`'${name}' is a queue`)
  if (vhost.exchange(name) === undefined) {
    await vhost.declareExchange({
      name,
      type: 'topic',
      delayed: false,
      durable: true,
      autoDelete: false,
      internal: false,
      arguments: NO_ARGUMENTS,
      alternateExchange: null,
    })
  }
  await vhost.bind({
    source: name,
    targetKind: 'destination',
    target: name,
    key: EVERYTHING_KEY,
    arguments: NO_ARGUMENTS,
  })
  return topic
}

/** Deletes a topic with its exchange, if nothing else is bound to that. */
export async function deleteTopic(vhost: VirtualHost, topic: Topic): Promise<void> {
  await vhost.deleteDestination(topic.name, { ifUnused: false, ifEmpty: false })
  const exchange = vhost.exchange(topic.name)
  if (exchange !== undefined && exchange.matcher.isEmpty) {
    await vhost.deleteExchange(topic.name, { ifUnused: true })
  }
}

const CLUSTER_KEY = 'kafka/cluster-id'
const CLUSTER_ID_BYTES = 16
const TOPIC_PART_AT = 8

interface TopicIndex {
  readonly version: number
  readonly byId: ReadonlyMap<string, Topic>
}

/**
 * The ids by which Kafka's clients know this store and its topics. A topic's id is made of the
 * cluster's and of the number that the destination has in the store, which is never given again.
 */
export class KafkaIds {
  readonly clusterId: string
  readonly #prefix: Buffer
  readonly #indexes: WeakMap<VirtualHost, TopicIndex> = new WeakMap()

  constructor({ broker, random }: Pick<KafkaShared, 'broker' | 'random'>) {
    let stored = broker.state.get(CLUSTER_KEY)
    if (stored === undefined) {
      stored = Buffer.from(random.bytes(CLUSTER_ID_BYTES))
      broker.state.set(CLUSTER_KEY, stored)
    }
    this.clusterId = stored.toString('base64url')
    this.#prefix = stored.subarray(0, TOPIC_PART_AT)
  }

  topicId(topic: Topic): string {
    const bytes = Buffer.alloc(CLUSTER_ID_BYTES)
    this.#prefix.copy(bytes)
    bytes.writeBigUInt64BE(BigInt(topic.id), TOPIC_PART_AT)
    return bytes.toString('base64url')
  }

  find(vhost: VirtualHost, topicId: string): Topic | null {
    if (topicId === ZERO_UUID) return null
    let index = this.#indexes.get(vhost)
    if (index?.version !== vhost.topologyVersion) {
      const byId = new Map<string, Topic>()
      for (const topic of topicsOf(vhost)) byId.set(this.topicId(topic), topic)
      index = { version: vhost.topologyVersion, byId }
      this.#indexes.set(vhost, index)
    }
    return index.byId.get(topicId) ?? null
  }
}
