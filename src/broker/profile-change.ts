import type { CommitCycle } from './commit-cycle.ts'
import type { DestinationSpec } from './destination.ts'
import { QueueCopy } from './queue-copy.ts'
import type { Queue } from './queue.ts'
import type { Topic } from './topics/topic.ts'

/** What a change of profile needs of the virtual host. */
export interface ProfileChangeParts {
  readonly cycle: CommitCycle
  /** A topic under a new number that nobody is told of; its number is never given again. */
  openHidden(spec: DestinationSpec): Promise<Topic>
  /** Throws where the queue is not there any more. */
  checkThere(): void
  /** Stores that the name stands for the topic: before that it is the queue's, after it not. */
  store(topic: Topic): Promise<void>
  /** Takes the queue's place in lists and bindings with the topic. */
  replace(topic: Topic): void
  /** Deletes a topic that nobody was told of. */
  discard(topic: Topic): Promise<void>
}

/**
 * Makes a topic of a queue. The log of the topic is filled under a number of its own; one commit
 * of the metadata then gives it the name. A crash before that leaves the queue as it is, for logs
 * that no name leads to are deleted at a start; a crash after it leaves the topic, for records of a
 * number that no name leads to are passed over.
 */
export async function makeTopicOf(
  queue: Queue,
  spec: DestinationSpec,
  parts: ProfileChangeParts,
): Promise<Topic> {
  const topic = await parts.openHidden(spec)
  const copy = new QueueCopy(queue, topic, parts.cycle)
  try {
    parts.checkThere()
    queue.freeze()
    await copy.run()
    parts.checkThere()
    await parts.store(topic)
    parts.checkThere()
  } catch (error) {
    queue.thaw()
    await parts.discard(topic)
    throw error
  } finally {
    copy.close()
  }
  parts.replace(topic)
  queue.dispose()
  return topic
}
