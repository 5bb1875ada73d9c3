import { BrokerError } from '../model/errors.ts'
import type { NativeForm } from '../model/native-form.ts'
import type { DestinationSpec } from './destination.ts'
import type { ProfileCopy } from './profile-copy.ts'
import { QueueCopy } from './queue-copy.ts'
import { Queue } from './queue.ts'
import type { Shards } from './shards.ts'
import { TopicCopy } from './topics/topic-copy.ts'
import type { Topic } from './topics/topic.ts'

/** What a change of profile needs of the virtual host. */
export interface ProfileChangeParts {
  readonly shards: Shards
  readonly forms: ReadonlyMap<number, NativeForm>
  /** A number that is never given again, whatever happens from here on. */
  takeStoredId(): Promise<number>
  openTopic(id: number, spec: DestinationSpec): Promise<Topic>
  /** Throws where it is not there any more. */
  checkThere(destination: Queue | Topic): void
  /** Stores that its name stands for it, and for nothing else. */
  store(destination: Queue | Topic): Promise<void>
  /** Takes one out of lists and bindings, and puts the other in. */
  replace(old: Queue | Topic, next: Queue | Topic): void
  /** Deletes what a disposed topic is stored in. */
  deletePartitions(topic: Topic): Promise<void>
}

/**
 * Makes a topic of a queue, or a queue of a topic, and resolves when that is stored. All is copied
 * under a number of its own; one commit of the metadata then gives it the name. Whenever a crash
 * comes, the name leads to the old one or to the new one, and either holds all: logs and records of
 * numbers that no name leads to are deleted or passed over at a start.
 */
export async function changeProfile(
  old: Queue | Topic,
  spec: DestinationSpec,
  parts: ProfileChangeParts,
): Promise<Queue | Topic> {
  const id = await parts.takeStoredId()
  const { next, copy } =
    old instanceof Queue
      ? await queueToTopic(old, { id, spec }, parts)
      : topicToQueue(old, { id, spec }, parts)
  try {
    parts.checkThere(old)
    old.freeze()
    await copy.run()
    parts.checkThere(old)
    await parts.store(next)
    parts.checkThere(old)
  } catch (error) {
    old.thaw()
    await discard(next, parts)
    throw error
  } finally {
    copy.close()
  }
  parts.replace(old, next)
  if (next instanceof Queue) next.thaw()
  await discard(old, parts)
  return next
}

/** A queue has one order, and nothing in it that may yet be given up. */
export function requireOneOrder({ name, vhost, partitions }: Topic): void {
  let why: string | null = null
  if (partitions.length > 1)
    why = `it has ${partitions.length} partitions, and no order across them`
  else if (partitions[0]!.hasOpenTransactions) why = 'a transaction is open in it'
  if (why === null) return
  const place = `topic '${name}' in vhost '${vhost.name}'`
  throw new BrokerError('PRECONDITION_FAILED', `${place} cannot become a queue: ${why}`)
}

interface Started {
  readonly next: Queue | Topic
  readonly copy: ProfileCopy
}

interface Given {
  readonly id: number
  readonly spec: DestinationSpec
}

async function queueToTopic(
  queue: Queue,
  { id, spec }: Given,
  parts: ProfileChangeParts,
): Promise<Started> {
  const next = await parts.openTopic(id, spec)
  return { next, copy: new QueueCopy(queue, next, parts.shards.cycle) }
}

function topicToQueue(topic: Topic, { id, spec }: Given, parts: ProfileChangeParts): Started {
  // Again: it may have waited for others that changed it.
  requireOneOrder(topic)
  const next = new Queue(id, topic.vhost, spec, parts.shards.durable)
  // It gives nothing out before it has the name.
  next.freeze()
  next.recovered()
  return { next, copy: new TopicCopy(topic, next, parts) }
}

async function discard(destination: Queue | Topic, parts: ProfileChangeParts): Promise<void> {
  destination.dispose()
  if (destination instanceof Queue) return
  // What this turn brought is still on its way into its log.
  await new Promise<void>((resolve) => {
    parts.shards.cycle.onCommit({ committed: () => resolve() })
  })
  await parts.deletePartitions(destination)
}
