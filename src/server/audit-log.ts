import type { Clock, Timer } from '../lib/clock.ts'
import type { AuditEvent, AuditSink } from '../model/audit.ts'

/** What happens again and again is told once, and again with its count after so long. */
const REPEATS_MS = 10_000

/** Kinds of events whose repeats are counted; one more is told each time. 4 MB at most. */
const REPEATS_MAX = 10_000

/** A name from a client may be long. */
const TEXT_LENGTH_MAX = 512

interface Repeat {
  readonly event: AuditEvent
  count: number
}

/**
 * Writes each event as a line of JSON. Somebody who is refused a thousand times in a second, or who
 * binds one queue by as many keys, is one line and a count, so that nobody can wash away what was
 * written before.
 */
export class AuditLog implements AuditSink {
  readonly #clock: Clock
  readonly #write: (line: Readonly<Record<string, unknown>>) => void
  readonly #repeats = new Map<string, Repeat>()
  #timer: Timer | null = null

  constructor(clock: Clock, write: (line: Readonly<Record<string, unknown>>) => void) {
    this.#clock = clock
    this.#write = write
  }

  record(event: AuditEvent): void {
    if (event.event === 'changed' && event.isOneOfMany !== true) {
      this.#tell(event)
      return
    }
    const { event: what, user, peer, vhost, action, object } = event
    const key = JSON.stringify([what, user, hostOf(peer), vhost, action, object])
    const repeat = this.#repeats.get(key)
    if (repeat !== undefined) {
      repeat.count += 1
      return
    }
    if (this.#repeats.size < REPEATS_MAX) this.#repeats.set(key, { event, count: 0 })
    this.#timer ??= this.#clock.setTimer(REPEATS_MS, () => this.flush())
    this.#tell(event)
  }

  /** Tells what was counted. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    for (const { event, count } of this.#repeats.values()) {
      if (count > 0) this.#tell(event, count)
    }
    this.#repeats.clear()
  }

  #tell(event: AuditEvent, repeated?: number): void {
    const line: Record<string, unknown> = { time: new Date(this.#clock.now()).toISOString() }
    const { isOneOfMany: _isOneOfMany, ...told } = event
    for (const [name, value] of Object.entries(told)) {
      line[name] = typeof value === 'string' ? value.slice(0, TEXT_LENGTH_MAX) : value
    }
    if (repeated !== undefined) line['repeated'] = repeated
    this.#write(line)
  }
}

/** Without the port, which is another one each time. */
function hostOf(peer: string | undefined): string | undefined {
  return peer?.replace(/:\d+ -> .*$/, '')
}
