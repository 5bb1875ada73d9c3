import type { Actor } from '../../model/actor.ts'
import type { OpenedMessage } from '../../model/native-form.ts'
import type { BatchDraft } from '../topics/batch-draft.ts'
import type { Partition } from '../topics/partition.ts'
import type { PartitionPlace } from '../topics/subscription.ts'
import type { Topic } from '../topics/topic.ts'
import { BATCH_TRACES_MAX } from './limits.ts'
import { namesOf } from './message-names.ts'
import type { Step, StepFacts } from './trace-log.ts'
import type { Candidate } from './trace-rule.ts'

interface OffsetRange {
  readonly from: number
  readonly to: number
}

/** Told of a stretch of a partition what became of it. */
export type Follow = (
  place: PartitionPlace,
  range: OffsetRange,
  step: Step,
  facts: StepFacts,
) => void

/**
 * A batch was appended at `baseOffset`: those of its messages that a rule picks are traced. It is
 * opened only where a rule must look into it or took something.
 */
export function traceBatch(
  topic: Topic,
  partition: Partition,
  batch: BatchDraft,
  { baseOffset, actor }: { readonly baseOffset: number; readonly actor: Actor },
): void {
  const { tracer } = topic.vhost
  const picks = tracer.pick(batch.count)
  if (picks === null) return
  const opened = open(topic, batch)
  let left = BATCH_TRACES_MAX
  for (const [at, message] of opened.entries()) {
    if (left === 0) break
    if (!picks.has(at) && !tracer.takes(() => candidateOf(topic, message, batch.form, actor))) {
      continue
    }
    left--
    traceOne(topic, partition, message, { form: batch.form, baseOffset, actor })
  }
}

/** Stretches of a partition were given to somebody, settled, or passed by. */
export function traceRange(
  topic: Topic,
  partition: Partition,
  range: OffsetRange,
  { step, ...facts }: StepFacts & { readonly step: Step },
): void {
  const { traced, index } = partition
  if (traced === null) return
  const { from, to } = range
  const { tracer } = topic.vhost
  const tell = (offset: number): void => {
    const trace = tracer.traceOf(partition, offset)
    if (trace !== 0)
      tracer.step(trace, step, { at: topic.name, partition: index, offset, ...facts })
  }
  if (to - from <= traced.size) {
    for (let offset = from; offset < to; offset++) tell(offset)
    return
  }
  const within: number[] = []
  traced.visit((offset) => {
    if (offset >= from && offset < to) within.push(offset)
  })
  for (const offset of within.toSorted((a, b) => a - b)) tell(offset)
}

function open(topic: Topic, { form, bytes, start, end }: BatchDraft): readonly OpenedMessage[] {
  try {
    return topic.vhost.form(form)?.batch?.open(bytes, start, end) ?? []
  } catch {
    // It was checked when it came; whoever reads it is told what is wrong, a trace is not.
    return []
  }
}

function traceOne(
  topic: Topic,
  partition: Partition,
  { header, body, offsetDelta }: OpenedMessage,
  from: { readonly form: number; readonly baseOffset: number; readonly actor: Actor },
): void {
  const { vhost } = topic
  const { tracer } = vhost
  const place = { header, start: 0, end: header.length }
  const names = namesOf(vhost.name, vhost.form(from.form), place)
  const detail = `partition ${partition.index}`
  const published = { at: topic.name, detail, bytes: body.length }
  const trace = tracer.openNamed(names, from.actor, published)
  tracer.stored(trace, partition, {
    offset: from.baseOffset + offsetDelta,
    destinations: [topic],
    partition: partition.index,
    isSynced: topic.spec.durable,
  })
}

function candidateOf(
  topic: Topic,
  { header }: OpenedMessage,
  form: number,
  actor: Actor,
): Candidate {
  const { vhost, name } = topic
  return {
    vhost: vhost.name,
    exchange: '',
    keys: [name],
    user: actor.user,
    headers: () => vhost.form(form)?.headers(header, 0, header.length) ?? null,
    names: () => namesOf(vhost.name, vhost.form(form), { header, start: 0, end: header.length }),
    goesTo: (wanted) => wanted === name,
  }
}
