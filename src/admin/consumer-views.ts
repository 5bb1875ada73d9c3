import { Queue } from '../broker/queue.ts'
import { whyQueue, whyTopic, type WhyView } from '../broker/tracing/why.ts'
import type { VirtualHost } from '../broker/virtual-host.ts'

/** A consumer of a queue or topic. */
export interface ConsumerView extends Omit<WhyView['consumers'][number], 'reasons'> {
  readonly vhost: string
  readonly destination: string
  /** Codes of what keeps messages from it; `nothing`: nothing does. */
  readonly reasons: readonly string[]
}

export function* consumerViews(vhost: VirtualHost): Iterable<ConsumerView> {
  for (const each of vhost.destinations()) {
    if (each.consumerCount === 0) continue
    const { destination, consumers } = each instanceof Queue ? whyQueue(each) : whyTopic(each)
    for (const { reasons, ...consumer } of consumers) {
      const codes = reasons.map(({ code }) => code)
      yield { vhost: vhost.name, destination, ...consumer, reasons: codes }
    }
  }
}
