import assert from 'node:assert/strict'

/** What one message has been through, as its publisher and its consumers know it. */
interface Fate {
  readonly sequence: number
  confirmed: boolean
  /** An ack was sent; the broker may or may not have got it. */
  acked: boolean
  /** The ack was committed, and the broker has said so. */
  settled: boolean
}

/**
 * Everything that was promised for one queue: a confirmed message must be there until it is
 * settled, a settled one must never be seen again, and messages of a publisher keep their order.
 */
export class Ledger {
  /** Over all rounds. */
  confirmedCount = 0
  readonly #fates: Map<string, Fate> = new Map()
  #nextSequence = 0

  /** A body for a new message. */
  next(): string {
    const body = `m${this.#nextSequence}`
    this.#fates.set(body, {
      sequence: this.#nextSequence++,
      confirmed: false,
      acked: false,
      settled: false,
    })
    return body
  }

  confirmed(body: string): void {
    this.#fateOf(body).confirmed = true
    this.confirmedCount++
  }

  acked(body: string): void {
    this.#fateOf(body).acked = true
  }

  settled(body: string): void {
    this.#fateOf(body).settled = true
  }

  /** Called for each delivery: fails for a message that was settled for good. */
  seen(body: string): void {
    assert.ok(!this.#fateOf(body).settled, `${body} came back after its ack was committed`)
  }

  /** Called with all that the queue still held, in order; returns how many were confirmed. */
  verify(drained: readonly string[], seed: string): number {
    const left = new Set(drained)
    assert.equal(left.size, drained.length, `${seed}: a message is in the queue twice`)
    let confirmed = 0
    for (const [body, fate] of this.#fates) {
      if (fate.confirmed) confirmed++
      if (!fate.confirmed || fate.acked || fate.settled) continue
      assert.ok(left.has(body), `${seed}: ${body} was confirmed and is missing`)
    }
    const sequences = drained.map((body) => this.#fateOf(body).sequence)
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => a - b),
      `${seed}: order is lost`,
    )
    return confirmed
  }

  #fateOf(body: string): Fate {
    const fate = this.#fates.get(body)
    assert.ok(fate !== undefined, `nobody published '${body}'`)
    return fate
  }
}
