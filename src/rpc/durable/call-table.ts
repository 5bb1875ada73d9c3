import type { BrokerLog, StateTable, TimerIndex, TimerTarget } from '../../broker/index.ts'
import {
  type CallRecord,
  decodeCallRecord,
  encodeCallRecord,
  type Outcome,
  type StoredState,
} from './call-record.ts'
import type { DurableLimits } from './limits.ts'

/** Waits for what becomes of a call. */
export interface CallWaiter {
  /** What the call is now is on disk. */
  stored(call: KnownCall): void
  /** That cannot be stored. */
  failed(error: Error): void
}

/** A call that was accepted, until its outcome is forgotten. */
export class KnownCall {
  readonly id: string
  readonly path: string
  readonly key: string | null
  readonly contentType: string
  readonly acceptedMs: number
  readonly keepMs: number
  /** Of its message; -1: it is not known. */
  offset: number
  state: StoredState
  /** What it became last is on disk. */
  isStored = true
  /** Of the commit that stores that. */
  ticket = 0
  /** A provider has it. */
  isRunning = false
  waiters: Set<CallWaiter> | null = null
  /** Owned by `CallTable`. */
  readonly serial: number
  expiresMs: number
  outcomeBytes = 0
  timer = 0

  constructor(serial: number, id: string, record: Omit<CallRecord, 'outcome'>) {
    this.serial = serial
    this.id = id
    this.path = record.path
    this.key = record.key
    this.contentType = record.contentType
    this.acceptedMs = record.acceptedMs
    this.keepMs = record.keepMs
    this.offset = record.offset
    this.state = record.state
    this.expiresMs = record.expiresMs
  }
}

interface TableParts {
  /** Before the id of each in the state table. */
  readonly prefix: string
  readonly state: StateTable
  readonly timers: TimerIndex
  readonly now: () => number
  readonly limits: DurableLimits
  readonly log: BrokerLog
}

/**
 * The durable calls of one virtual host: those that wait and the outcomes of those that ended, by
 * id and by key. A change is part of the commit of its turn, like the message it belongs to: a call
 * is known exactly if its message was stored, and done exactly if that is settled.
 */
export class CallTable implements TimerTarget {
  /** Outcomes that were forgotten before their time. */
  evictedCount = 0
  readonly #parts: TableParts
  readonly #byId = new Map<string, KnownCall>()
  readonly #byKey = new Map<string, KnownCall>()
  readonly #bySerial = new Map<number, KnownCall>()
  /** Those with an outcome, the oldest first. */
  readonly #ended = new Set<KnownCall>()
  #outcomeBytes = 0
  #lastSerial = 0

  constructor(parts: TableParts) {
    this.#parts = parts
    const { state, prefix } = parts
    const found = Array.from(state.entries(prefix), ([key, value]) => {
      return { id: key.slice(prefix.length), record: decodeCallRecord(value), bytes: value.length }
    })
    found.sort((one, other) => endedMsOf(one.record) - endedMsOf(other.record))
    for (const { id, record, bytes } of found) this.#recover(id, record, bytes)
  }

  get size(): number {
    return this.#byId.size
  }

  get endedCount(): number {
    return this.#ended.size
  }

  get outcomeBytes(): number {
    return this.#outcomeBytes
  }

  calls(): Iterable<KnownCall> {
    return this.#byId.values()
  }

  get(id: string): KnownCall | null {
    return this.#byId.get(id) ?? null
  }

  withKey(path: string, key: string): KnownCall | null {
    return this.#byKey.get(keyOf(path, key)) ?? null
  }

  /** False: there are as many as there may be, and all of them wait. */
  makeRoom(): boolean {
    while (this.#byId.size >= this.#parts.limits.callsMax) {
      if (!this.#evictOldest()) return false
    }
    return true
  }

  /** Known from now on, and stored with the message of the call. */
  add(id: string, record: Omit<CallRecord, 'outcome' | 'state' | 'expiresMs'>): KnownCall {
    this.#lastSerial += 1
    const call = new KnownCall(this.#lastSerial, id, { ...record, state: 'waiting', expiresMs: 0 })
    this.#index(call)
    this.store(call, null)
    return call
  }

  /** The end of a call: `done` for good, `dead` until somebody takes it out of the dead letters. */
  end(call: KnownCall, state: 'done' | 'dead', outcome: Outcome): void {
    call.state = state
    call.expiresMs = this.#parts.now() + call.keepMs
    this.#forgetOutcome(call)
    this.#ended.add(call)
    call.outcomeBytes = this.store(call, outcome)
    this.#outcomeBytes += call.outcomeBytes
    this.#arm(call)
    while (this.#outcomeBytes > this.#parts.limits.outcomeBytesMax && this.#ended.size > 1) {
      this.#evictOldest()
    }
  }

  /** It was dead, and is on its way again. */
  revive(call: KnownCall): void {
    call.state = 'waiting'
    call.expiresMs = 0
    this.#forgetOutcome(call)
    this.store(call, null)
  }

  outcomeOf(call: KnownCall): Outcome | null {
    const value = this.#parts.state.get(this.#parts.prefix + call.id)
    return value === undefined ? null : decodeCallRecord(value).outcome
  }

  /** As if it had never been. */
  forget(call: KnownCall): void {
    this.#forgetOutcome(call)
    this.#byId.delete(call.id)
    this.#bySerial.delete(call.serial)
    if (call.key !== null) {
      const key = keyOf(call.path, call.key)
      if (this.#byKey.get(key) === call) this.#byKey.delete(key)
    }
    this.#parts.state.delete(this.#parts.prefix + call.id)
  }

  /** The time of an outcome is over. */
  onTimer(serial: number): void {
    const call = this.#bySerial.get(serial)
    if (call === undefined) return
    call.timer = 0
    this.forget(call)
  }

  /** Its virtual host is gone: so is all of it. */
  dispose(): void {
    for (const call of [...this.#byId.values()]) this.forget(call)
  }

  store(call: KnownCall, outcome: Outcome | null): number {
    const { path, key, contentType, acceptedMs, keepMs, offset, state, expiresMs } = call
    const record = { path, key, contentType, acceptedMs, keepMs, offset, state, expiresMs, outcome }
    const value = encodeCallRecord(record)
    call.isStored = false
    this.#parts.state.set(this.#parts.prefix + call.id, value)
    return value.length
  }

  #recover(id: string, record: CallRecord, bytes: number): void {
    this.#lastSerial += 1
    const call = new KnownCall(this.#lastSerial, id, record)
    this.#index(call)
    if (call.state === 'waiting') return
    this.#ended.add(call)
    call.outcomeBytes = bytes
    this.#outcomeBytes += bytes
    this.#arm(call)
  }

  #index(call: KnownCall): void {
    this.#byId.set(call.id, call)
    this.#bySerial.set(call.serial, call)
    if (call.key !== null) this.#byKey.set(keyOf(call.path, call.key), call)
  }

  #arm(call: KnownCall): void {
    call.timer = this.#parts.timers.schedule(call.expiresMs, this, call.serial)
  }

  #forgetOutcome(call: KnownCall): void {
    if (call.timer !== 0) this.#parts.timers.cancel(call.timer)
    call.timer = 0
    this.#ended.delete(call)
    this.#outcomeBytes -= call.outcomeBytes
    call.outcomeBytes = 0
  }

  #evictOldest(): boolean {
    for (const call of this.#ended) {
      if (this.evictedCount === 0) {
        const { callsMax, outcomeBytesMax } = this.#parts.limits
        this.#parts.log.warn(
          { calls: this.size, callsMax, bytes: this.#outcomeBytes, outcomeBytesMax },
          'outcomes of durable calls are forgotten before their time',
        )
      }
      this.evictedCount += 1
      this.forget(call)
      return true
    }
    return false
  }
}

function keyOf(path: string, key: string): string {
  return `${path} ${key}`
}

function endedMsOf({ expiresMs, keepMs }: CallRecord): number {
  return expiresMs - keepMs
}
