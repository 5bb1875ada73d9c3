import type { EngineError, Log } from '../engine/contract.ts'
import { headerMapFromJson, headerToJson } from '../model/header-json.ts'
import { BrokerError } from '../model/errors.ts'
import { NO_HEADERS } from '../model/header-value.ts'
import type { BindingSpec } from './binding.ts'
import type { CommitCycle, CommitListener, Stager } from './commit-cycle.ts'
import type { BrokerLimits } from './limits.ts'
import { readLog } from './log-reader.ts'
import { RecordBatch } from './record-batch.ts'

/**
 * A record, big-endian: u32 size of all of it, u8 kind, u8 what the target is, u16 bytes of the
 * source's name, u16 of the target's, u16 zero, u32 bytes of the key, u32 number of the virtual
 * host; then the source, the target and the key in UTF-8, and the arguments as JSON, if any.
 */
const HEAD_BYTES = 20
const NAME_BYTES_MAX = 0xffff

export const BINDING_RECORD = { ADD: 1, REMOVE: 2 } as const

export type BindingRecordKind = (typeof BINDING_RECORD)[keyof typeof BINDING_RECORD]

const TO_DESTINATION = 0
const TO_EXCHANGE = 1

/** One step of the history of all bindings. */
export interface BindingRecord {
  readonly kind: BindingRecordKind
  /** Of the virtual host; another one has another number, also under the same name. */
  readonly vhostId: number
  readonly spec: BindingSpec
}

/** `nowhere`: one of its ends is not there, or takes it no more. */
export type ApplyBinding = (record: BindingRecord) => 'changed' | 'same' | 'nowhere'

/** What there is, for the log to be written again. */
export type LivingBindings = () => Iterable<Omit<BindingRecord, 'kind'>>

/**
 * The stored bindings of all virtual hosts: a log of those that came and those that went, from which
 * a start makes them again. It keeps nothing of them in memory, for there may be a million and the
 * exchanges have them already.
 *
 * All of a turn are one entry with one sync. When more of the log is dead than lives, all that
 * lives is written once more, a piece a turn, and everything before is given back: any end of the
 * history that begins before such a piece leads to the same bindings.
 */
export class BindingLog implements Stager, CommitListener {
  staged = false
  readonly #log: Log
  readonly #cycle: CommitCycle
  readonly #limits: BrokerLimits
  readonly #batch: RecordBatch
  #living: LivingBindings = () => []
  /** Bytes of the records that would bring back what there is now. */
  #liveBytes = 0
  #logBytes = 0
  /** Of the records since the rewriting that goes on began. */
  #rewrittenBytes = 0
  #rest: Iterator<Omit<BindingRecord, 'kind'>, unknown> | null = null
  #beginOffset = 0
  /** The commit with which the rewriting is complete; 0: none is on its way. */
  #endTicket = 0
  /** Whoever waits for a commit, in the order of their tickets. */
  readonly #waits: { readonly ticket: number; readonly end: PromiseWithResolvers<void> }[] = []
  #last: Promise<void> = Promise.resolve()

  constructor(log: Log, cycle: CommitCycle, limits: BrokerLimits) {
    this.#log = log
    this.#cycle = cycle
    this.#limits = limits
    this.#batch = new RecordBatch(log, limits.entryBytes)
  }

  /**
   * Reads the history from its start. From then on `living` is asked when the log is written again.
   * Returns those that lead nowhere: a crash came between them and one of their ends. They are gone
   * from now on, so that nothing that gets the same name one day inherits them.
   */
  async replay(apply: ApplyBinding, living: LivingBindings): Promise<readonly BindingRecord[]> {
    this.#living = living
    const nowhere = new Map<string, BindingRecord>()
    for await (const { data } of readLog(this.#log, this.#log.startOffset)) {
      for (let at = 0; at < data.length; at += data.readUInt32BE(at)) {
        const size = data.readUInt32BE(at)
        const record = readRecord(data, at)
        this.#logBytes += size
        const isAdded = record.kind === BINDING_RECORD.ADD
        const result = apply(record)
        if (result === 'changed') this.#liveBytes += isAdded ? size : -size
        else if (result === 'nowhere' && isAdded) nowhere.set(bodyOf(data, at), record)
        else if (!isAdded && nowhere.size > 0) nowhere.delete(bodyOf(data, at))
      }
    }
    const left = [...nowhere.values()]
    for (const { vhostId, spec } of left) {
      this.#write({ kind: BINDING_RECORD.REMOVE, vhostId, spec })
    }
    if (left.length > 0) this.#awaitCommit()
    return left
  }

  /** Part of the commit of this turn, which `settled` waits for. */
  write(record: BindingRecord): void {
    const size = this.#write(record)
    this.#liveBytes += record.kind === BINDING_RECORD.ADD ? size : -size
    this.#awaitCommit()
  }

  /** Resolves when all that was written is on the device; the same promise for all of a turn. */
  settled(): Promise<void> {
    return this.#last
  }

  stage(): void {
    if (this.#rest === null && this.#isDue()) this.#begin()
    if (this.#rest !== null) this.#rewriteSome(this.#rest)
    this.#batch.append()
  }

  committed(ticket: number, error: EngineError | null): void {
    if (ticket === this.#endTicket) {
      this.#endTicket = 0
      if (error === null) this.#log.discard(this.#log.startOffset, this.#beginOffset)
    }
    const at = this.#waits.findIndex((wait) => wait.ticket === ticket)
    if (at < 0) return
    for (const { end } of this.#waits.splice(at, 1)) {
      if (error === null) end.resolve()
      else end.reject(error)
    }
  }

  /** The commit of this turn is told, once, and is synced. */
  #awaitCommit(): void {
    const { ticket } = this.#cycle
    if (this.#waits.at(-1)?.ticket === ticket) return
    const end = Promise.withResolvers<void>()
    // A failure is told to whoever waits; without one it is no unhandled rejection.
    end.promise.catch(() => undefined)
    this.#waits.push({ ticket, end })
    this.#last = end.promise
    this.#cycle.requireSync()
    this.#cycle.onCommit(this)
    this.#cycle.touch(this)
  }

  #isDue(): boolean {
    if (this.#endTicket !== 0) return false
    const deadBytes = this.#logBytes - this.#liveBytes
    return deadBytes > Math.max(this.#limits.stateDeadBytesMin, this.#liveBytes)
  }

  #begin(): void {
    // In an entry of its own, so that all before it can go.
    this.#batch.append()
    this.#beginOffset = this.#log.nextOffset
    this.#rewrittenBytes = 0
    this.#rest = this.#living()[Symbol.iterator]()
  }

  /** Bindings that come meanwhile may be written twice, which is the same as once. */
  #rewriteSome(rest: Iterator<Omit<BindingRecord, 'kind'>, unknown>): void {
    let bytes = 0
    while (bytes < this.#limits.snapshotPieceBytes) {
      const next = rest.next()
      if (next.done === true) {
        this.#rest = null
        this.#logBytes = this.#rewrittenBytes
        break
      }
      bytes += this.#write({ kind: BINDING_RECORD.ADD, ...next.value })
    }
    if (this.#rest !== null) {
      this.#cycle.touch(this)
      return
    }
    this.#endTicket = this.#cycle.ticket
    this.#awaitCommit()
  }

  /** Returns the bytes of the record. */
  #write({ kind, vhostId, spec }: BindingRecord): number {
    const { source, target, targetKind, key } = spec
    const args = spec.arguments.size === 0 ? '' : JSON.stringify(headerToJson(spec.arguments))
    const sourceBytes = nameBytes(source)
    const targetBytes = nameBytes(target)
    const keyBytes = Buffer.byteLength(key)
    const size = HEAD_BYTES + sourceBytes + targetBytes + keyBytes + Buffer.byteLength(args)
    let at = this.#batch.reserve(size)
    const { buffer } = this.#batch
    buffer.writeUInt32BE(size, at)
    buffer[at + 4] = kind
    buffer[at + 5] = targetKind === 'exchange' ? TO_EXCHANGE : TO_DESTINATION
    buffer.writeUInt16BE(sourceBytes, at + 6)
    buffer.writeUInt16BE(targetBytes, at + 8)
    buffer.writeUInt16BE(0, at + 10)
    buffer.writeUInt32BE(keyBytes, at + 12)
    buffer.writeUInt32BE(vhostId, at + 16)
    at += HEAD_BYTES
    buffer.write(source, at, 'utf8')
    at += sourceBytes
    buffer.write(target, at, 'utf8')
    at += targetBytes
    buffer.write(key, at, 'utf8')
    if (args !== '') buffer.write(args, at + keyBytes, 'utf8')
    this.#logBytes += size
    this.#rewrittenBytes += size
    return size
  }
}

function nameBytes(name: string): number {
  const bytes = Buffer.byteLength(name)
  if (bytes <= NAME_BYTES_MAX) return bytes
  const text = `a name in a binding has ${bytes} bytes, above the limit of ${NAME_BYTES_MAX}`
  throw new BrokerError('LIMIT_EXCEEDED', text)
}

/** All of a record but its kind: the same for a binding that comes and the same one that goes. */
function bodyOf(data: Buffer, start: number): string {
  return data.toString('latin1', start + 5, start + data.readUInt32BE(start))
}

function readRecord(data: Buffer, start: number): BindingRecord {
  const sourceAt = start + HEAD_BYTES
  const targetAt = sourceAt + data.readUInt16BE(start + 6)
  const keyAt = targetAt + data.readUInt16BE(start + 8)
  const argsAt = keyAt + data.readUInt32BE(start + 12)
  const end = start + data.readUInt32BE(start)
  return {
    kind: data[start + 4] as BindingRecordKind,
    vhostId: data.readUInt32BE(start + 16),
    spec: {
      source: data.toString('utf8', sourceAt, targetAt),
      target: data.toString('utf8', targetAt, keyAt),
      targetKind: data[start + 5] === TO_EXCHANGE ? 'exchange' : 'destination',
      key: data.toString('utf8', keyAt, argsAt),
      arguments:
        argsAt === end
          ? NO_HEADERS
          : headerMapFromJson(JSON.parse(data.toString('utf8', argsAt, end))),
    },
  }
}
