import { Meter, type SharedSubscription, type Topic } from '../../broker/index.ts'

/**
 * Gives share groups messages of a topic no faster than its consume rate says: all members of a
 * group together, for they share what it has. A meter lives as long as the group and the topic.
 */
export class SharePace {
  readonly #meters: WeakMap<SharedSubscription, WeakMap<Topic, Meter>> = new WeakMap()

  /** How long until a group may have more of a topic; 0: now. */
  waitMs(group: SharedSubscription, topic: Topic, nowMs: number): number {
    return this.#meter(group, topic, nowMs)?.waitMs(nowMs) ?? 0
  }

  /** A member was given so much. An answer may run ahead; the next one comes so much later. */
  given(
    group: SharedSubscription,
    topic: Topic,
    {
      count,
      bytes,
      nowMs,
    }: { readonly count: number; readonly bytes: number; readonly nowMs: number },
  ): void {
    this.#meter(group, topic, nowMs)?.use(count, bytes, nowMs)
  }

  #meter(group: SharedSubscription, topic: Topic, nowMs: number): Meter | null {
    const known = this.#meters.get(group)
    const about = `consume rate of topic '${topic.name}'`
    const meter = Meter.for(known?.get(topic) ?? null, about, topic.readerRates, nowMs)
    if (meter === null) return null
    if (known === undefined) this.#meters.set(group, new WeakMap([[topic, meter]]))
    else known.set(topic, meter)
    return meter
  }
}
