import type { TransactionEnd } from '../../model/native-form.ts'
import type { BrokerLog } from '../broker-log.ts'
import type { CommitCycle } from '../commit-cycle.ts'
import type { BrokerLimits } from '../limits.ts'
import type { StateTable } from '../state-table.ts'
import type { TimerIndex, TimerTarget } from '../timer-index.ts'
import { ProducerIds } from './producer-ids.ts'
import {
  decodePosition,
  encodePosition,
  type NewPosition,
  type PartitionPlace,
} from './subscription.ts'
import type { Subscriptions } from './subscriptions.ts'
import {
  EPOCH_MAX,
  pendingKey,
  type PendingPosition,
  placeKey,
  type ProducerIdentity,
  Transaction,
} from './transaction.ts'

/** Where the messages of a transaction stand. */
export interface TransactionPartition {
  endTransaction(end: TransactionEnd, form: number): number
}

/** A transaction that is open in a partition. */
export type OpenInPartition = ProducerIdentity & PartitionPlace

export interface TransactionParts {
  readonly state: StateTable
  readonly cycle: CommitCycle
  readonly timers: TimerIndex
  readonly limits: BrokerLimits
  readonly log: BrokerLog
  readonly subscriptions: Subscriptions
  /** Undefined when it is gone. */
  partition(place: PartitionPlace): TransactionPartition | undefined
  /** What is open in any partition. */
  openInPartitions(): Iterable<OpenInPartition>
  /** Whether ends can be written in this native form: it may not be registered yet. */
  hasForm(form: number): boolean
  now(): number
}

const RETRY_MS = 1000

/**
 * What became of a call; only `ok` changed anything, synced with the commit of the turn.
 *
 * - `unknown-producer`: no such transactional id, or it belongs to another producer id by now
 * - `fenced`: the producer has a newer epoch
 * - `invalid-state`: there is no transaction to end, or it was ended the other way
 * - `not-added`: the partition or subscription is not part of the transaction
 * - `invalid-timeout`: not above 0, or above the limit
 * - `limit-exceeded`: there are as many transactional ids as there may be
 */
export type TransactionResult =
  | 'ok'
  | 'unknown-producer'
  | 'fenced'
  | 'invalid-state'
  | 'not-added'
  | 'invalid-timeout'
  | 'limit-exceeded'

/** With whom to go on; both -1 unless `ok`. */
export interface ProducerOutcome extends ProducerIdentity {
  readonly result: TransactionResult
}

export interface ProducerRequest {
  readonly timeoutMs: number
  /** The native form of what it will write. */
  readonly form: number
  /** Who it was before, when it wants to go on after an error. Default null: it is new. */
  readonly expected?: ProducerIdentity | null
}

/**
 * The transactions of one virtual host: what a producer wrote to any number of partitions, and the
 * positions it committed, count together or not at all.
 *
 * The end of a transaction, its markers in all partitions, and its positions are one commit of the
 * engine, so there is nothing that prepares, and nothing to go on with after a crash but the
 * transactions that nobody ended.
 */
export class Transactions implements TimerTarget {
  readonly #parts: TransactionParts
  readonly #prefix: string
  readonly #pendingPrefix: string
  readonly #producerIds: ProducerIds
  readonly #byName: Map<string, Transaction> = new Map()
  readonly #byNumber: Map<number, Transaction> = new Map()
  /** In how many transactions a position waits, by `pendingKey`. */
  readonly #pendingCounts: Map<string, number> = new Map()
  /** 0 stands for the look for those whose time is over. */
  #nextNumber = 1
  #expiryTimer = 0

  /** `id` is a number of the virtual host that no other has or had. */
  constructor(id: number, parts: TransactionParts) {
    this.#parts = parts
    this.#prefix = `transaction/${id}/`
    this.#pendingPrefix = `pending-position/${id}/`
    this.#producerIds = new ProducerIds(`producer-ids/${id}`, parts.state)
  }

  /** All transactional ids that are known. */
  list(): Iterable<Transaction> {
    return this.#byName.values()
  }

  find(name: string): Transaction | undefined {
    return this.#byName.get(name)
  }

  /** An id for a producer without transactions; good when the commit of this turn is on disk. */
  newProducerId(): number {
    this.#parts.cycle.requireSync()
    return this.#producerIds.take()
  }

  /**
   * A producer begins: it gets a newer epoch than all before it, which are fenced, and whatever
   * they left open is aborted.
   */
  init(name: string, { timeoutMs, form, expected = null }: ProducerRequest): ProducerOutcome {
    const { transactionTimeoutMsMax, transactionalIdCountMax } = this.#parts.limits
    if (!(timeoutMs > 0 && timeoutMs <= transactionTimeoutMsMax)) return refused('invalid-timeout')
    let transaction = this.#byName.get(name)
    if (transaction === undefined) {
      if (this.#byName.size >= transactionalIdCountMax) return refused('limit-exceeded')
      transaction = this.#add(name)
    }
    if (expected !== null && !mayInit(transaction, expected)) return refused('fenced')
    if (transaction.state === 'ongoing') this.#fence(transaction, expected?.producerEpoch ?? -1)
    else if (!isRetry(transaction, expected)) this.#nextEpoch(transaction, expected !== null)
    // What was fenced to the last epoch there is cannot be written with.
    if (transaction.producerEpoch > EPOCH_MAX) this.#rotate(transaction)
    transaction.timeoutMs = timeoutMs
    transaction.form = form
    transaction.state = 'empty'
    this.#store(transaction)
    return accepted(transaction)
  }

  /** Makes partitions part of the transaction, which begins with the first of them. */
  addPartitions(
    name: string,
    identity: ProducerIdentity,
    places: readonly PartitionPlace[],
  ): TransactionResult {
    const transaction = this.#of(name, identity)
    if (typeof transaction === 'string') return transaction
    let isChanged = false
    for (const place of places) {
      const key = placeKey(place)
      if (transaction.partitions.has(key)) continue
      transaction.partitions.set(key, place)
      isChanged = true
    }
    if (isChanged) this.#goOn(transaction)
    return 'ok'
  }

  /** Whether a producer may write to a partition as part of its transaction; changes nothing. */
  checkPartition(
    name: string,
    identity: ProducerIdentity,
    place: PartitionPlace,
  ): TransactionResult {
    const transaction = this.#of(name, identity)
    if (typeof transaction === 'string') return transaction
    return transaction.partitions.has(placeKey(place)) ? 'ok' : 'not-added'
  }

  /** Says that positions of a subscription will be part of the transaction. */
  addSubscription(
    name: string,
    identity: ProducerIdentity,
    subscription: string,
  ): TransactionResult {
    const transaction = this.#of(name, identity)
    if (typeof transaction === 'string') return transaction
    if (!transaction.subscriptions.has(subscription)) {
      transaction.subscriptions.add(subscription)
      this.#goOn(transaction)
    }
    return 'ok'
  }

  /**
   * Positions that count when the transaction is committed. `adds`: the subscription need not have
   * been added before. Throws `LIMIT_EXCEEDED`, and then nothing is kept.
   */
  commitPositions(
    name: string,
    identity: ProducerIdentity,
    {
      subscription,
      positions,
      adds = false,
    }: {
      readonly subscription: string
      readonly positions: readonly NewPosition[]
      readonly adds?: boolean
    },
  ): TransactionResult {
    const transaction = this.#of(name, identity)
    if (typeof transaction === 'string') return transaction
    if (!transaction.subscriptions.has(subscription) && !adds) return 'not-added'
    this.#parts.subscriptions.checkRoom(subscription, positions, this.#pendingCounts.size)
    if (adds) this.addSubscription(name, identity, subscription)
    for (const position of positions) this.#hold(transaction, { ...position, subscription })
    this.#parts.cycle.requireSync()
    return 'ok'
  }

  /** Whether a transaction that goes on would change this position. */
  isPending(place: PartitionPlace & { readonly subscription: string }): boolean {
    return this.#pendingCounts.has(pendingKey(place))
  }

  /**
   * Ends the transaction; the same end may be told again. `bumps`: the producer goes on with the
   * next epoch, so that nothing it sent before can come into the next transaction.
   */
  end(
    name: string,
    identity: ProducerIdentity,
    { isCommit, bumps = false }: { readonly isCommit: boolean; readonly bumps?: boolean },
  ): ProducerOutcome {
    const transaction = this.#byName.get(name)
    if (transaction === undefined) return refused('unknown-producer')
    return bumps
      ? this.#endAndBump(transaction, identity, isCommit)
      : this.#end(transaction, identity, isCommit)
  }

  /** A transaction has taken too long, or it is time to look for ids that nobody uses. */
  onTimer(number: number): void {
    if (number === 0) {
      this.#expire()
      return
    }
    const transaction = this.#byNumber.get(number)
    if (transaction === undefined || transaction.state !== 'ongoing') return
    if (!this.#parts.hasForm(transaction.form)) {
      // The broker has just started.
      const { timers } = this.#parts
      transaction.timer = timers.schedule(this.#parts.now() + RETRY_MS, this, number)
      return
    }
    const { name: transactionalId, timeoutMs, producerId } = transaction
    this.#parts.log.info(
      { transactionalId, producerId, timeoutMs },
      'a transaction was aborted because it took too long',
    )
    this.#fence(transaction, -1)
    this.#store(transaction)
  }

  /** Brings back what is stored; what nobody ended goes on, and so does its time. */
  restore(): void {
    const { state } = this.#parts
    const byProducer = new Map<number, Transaction>()
    for (const [key, value] of state.entries(this.#prefix)) {
      const name = key.slice(this.#prefix.length)
      const transaction = Transaction.decode(name, this.#nextNumber++, value)
      this.#byName.set(name, transaction)
      this.#byNumber.set(transaction.number, transaction)
      byProducer.set(transaction.producerId, transaction)
      if (transaction.state === 'ongoing') this.#startTimer(transaction)
    }
    for (const [key, value] of state.entries(this.#pendingPrefix)) {
      const producerEnd = key.indexOf('/', this.#pendingPrefix.length)
      const producerId = Number(key.slice(this.#pendingPrefix.length, producerEnd))
      const position = { ...decodePosition(value), ...parsePending(key.slice(producerEnd + 1)) }
      const transaction = byProducer.get(producerId)
      if (transaction !== undefined) this.#remember(transaction, position)
    }
    this.#armExpiry(RETRY_MS)
  }

  /** The virtual host is gone: so is all of this. */
  dispose(): void {
    const { state, timers } = this.#parts
    timers.cancel(this.#expiryTimer)
    for (const transaction of this.#byName.values()) timers.cancel(transaction.timer)
    for (const prefix of [this.#prefix, this.#pendingPrefix]) {
      for (const [key] of [...state.entries(prefix)]) state.delete(key)
    }
    this.#producerIds.dispose()
    this.#byName.clear()
    this.#byNumber.clear()
    this.#pendingCounts.clear()
  }

  // --- inside ---

  #add(name: string): Transaction {
    const transaction = new Transaction(name, this.#nextNumber++, this.#producerIds.take())
    this.#byName.set(name, transaction)
    this.#byNumber.set(transaction.number, transaction)
    this.#armExpiry()
    return transaction
  }

  #of(
    name: string,
    { producerId, producerEpoch }: ProducerIdentity,
  ): Transaction | TransactionResult {
    const transaction = this.#byName.get(name)
    if (transaction === undefined || transaction.producerId !== producerId) {
      return 'unknown-producer'
    }
    return transaction.producerEpoch === producerEpoch ? transaction : 'fenced'
  }

  #end(transaction: Transaction, identity: ProducerIdentity, isCommit: boolean): ProducerOutcome {
    const { producerId, producerEpoch, state } = transaction
    if (producerId !== identity.producerId) return refused('unknown-producer')
    if (producerEpoch !== identity.producerEpoch) return refused('fenced')
    if (state === 'ongoing') {
      this.#finish(transaction, isCommit, producerEpoch)
      this.#store(transaction)
    } else if (state !== endState(isCommit)) return refused('invalid-state')
    return accepted(transaction)
  }

  #endAndBump(
    transaction: Transaction,
    { producerId, producerEpoch }: ProducerIdentity,
    isCommit: boolean,
  ): ProducerOutcome {
    const { state } = transaction
    const isOver = state === 'committed' || state === 'aborted'
    const isRotated =
      isOver &&
      transaction.lastProducerId === producerId &&
      producerEpoch === EPOCH_MAX &&
      transaction.producerEpoch === 0
    if (transaction.producerId !== producerId && !isRotated) return refused('unknown-producer')
    // Its end was stored and the answer lost: by now it has the next epoch.
    const isTold = isRotated || (isOver && transaction.producerEpoch === producerEpoch + 1)
    if (isTold) {
      return state === endState(isCommit) ? accepted(transaction) : refused('invalid-state')
    }
    if (transaction.producerEpoch !== producerEpoch) return refused('fenced')
    // Nothing was added, and yet its producer gave it up: so it learns its epoch.
    if (state !== 'ongoing' && isCommit) return refused('invalid-state')
    this.#finish(transaction, isCommit, producerEpoch + 1)
    if (transaction.isEpochExhausted) this.#rotate(transaction)
    else transaction.producerEpoch++
    transaction.lastEpoch = producerEpoch
    this.#store(transaction)
    return accepted(transaction)
  }

  /** Aborts what goes on in the name of the next epoch, so that its producer can write no more. */
  #fence(transaction: Transaction, lastEpoch: number): void {
    const epoch = Math.min(transaction.producerEpoch, EPOCH_MAX) + 1
    this.#finish(transaction, false, epoch)
    transaction.producerEpoch = epoch
    transaction.lastEpoch = lastEpoch
  }

  #finish(transaction: Transaction, isCommit: boolean, producerEpoch: number): void {
    const { producerId, form } = transaction
    const end: TransactionEnd = { producerId, producerEpoch, isCommit }
    for (const place of transaction.partitions.values()) {
      this.#parts.partition(place)?.endTransaction(end, form)
    }
    this.#endPending(transaction, isCommit)
    this.#parts.timers.cancel(transaction.timer)
    transaction.timer = 0
    transaction.clear()
    transaction.state = endState(isCommit)
  }

  #endPending(transaction: Transaction, isCommit: boolean): void {
    const bySubscription = new Map<string, PendingPosition[]>()
    for (const [key, position] of transaction.pending) {
      this.#parts.state.delete(this.#pendingKey(transaction, key))
      this.#countPending(key, -1)
      // A topic that is gone has no positions.
      if (!isCommit || this.#parts.partition(position) === undefined) continue
      const positions = bySubscription.get(position.subscription)
      if (positions === undefined) bySubscription.set(position.subscription, [position])
      else positions.push(position)
    }
    for (const [subscription, positions] of bySubscription) {
      this.#parts.subscriptions.apply(subscription, positions)
    }
  }

  /** The next epoch, of another producer id where there is none. */
  #nextEpoch(transaction: Transaction, keepsLast: boolean): void {
    const { producerEpoch } = transaction
    if (transaction.isEpochExhausted) this.#rotate(transaction)
    else transaction.producerEpoch++
    transaction.lastEpoch = keepsLast ? producerEpoch : -1
  }

  #rotate(transaction: Transaction): void {
    transaction.lastProducerId = transaction.producerId
    transaction.producerId = this.#producerIds.take()
    transaction.producerEpoch = 0
  }

  /** Something was added: the transaction begins, if it has not yet. */
  #goOn(transaction: Transaction): void {
    if (transaction.state !== 'ongoing') {
      transaction.state = 'ongoing'
      transaction.startMs = this.#parts.now()
      this.#startTimer(transaction)
    }
    this.#store(transaction)
  }

  #startTimer(transaction: Transaction): void {
    const { startMs, timeoutMs, number } = transaction
    transaction.timer = this.#parts.timers.schedule(startMs + timeoutMs, this, number)
  }

  #store(transaction: Transaction): void {
    transaction.changeMs = this.#parts.now()
    this.#parts.state.set(this.#prefix + transaction.name, transaction.encode())
    this.#parts.cycle.requireSync()
  }

  #hold(transaction: Transaction, position: PendingPosition): void {
    const key = this.#remember(transaction, position)
    const { offset, leaderEpoch = -1, metadata = '', expiresAtMs = -1 } = position
    const commitMs = this.#parts.now()
    this.#parts.state.set(
      this.#pendingKey(transaction, key),
      encodePosition({ offset, leaderEpoch, metadata, expiresAtMs, commitMs }),
    )
  }

  #remember(transaction: Transaction, position: PendingPosition): string {
    const key = pendingKey(position)
    if (!transaction.pending.has(key)) this.#countPending(key, 1)
    transaction.pending.set(key, position)
    return key
  }

  #countPending(key: string, change: number): void {
    const count = (this.#pendingCounts.get(key) ?? 0) + change
    if (count > 0) this.#pendingCounts.set(key, count)
    else this.#pendingCounts.delete(key)
  }

  #pendingKey({ producerId }: Transaction, key: string): string {
    return `${this.#pendingPrefix}${producerId}/${key}`
  }

  #expire(): void {
    this.#expiryTimer = 0
    this.#endStrays()
    const beforeMs = this.#parts.now() - this.#parts.limits.transactionalIdExpiryMs
    for (const transaction of [...this.#byName.values()]) {
      if (transaction.state === 'ongoing' || transaction.changeMs > beforeMs) continue
      this.#byName.delete(transaction.name)
      this.#byNumber.delete(transaction.number)
      this.#parts.state.delete(this.#prefix + transaction.name)
    }
    this.#armExpiry()
  }

  /**
   * Aborts what is open in a partition and not part of a transaction: a crash may have brought back
   * a topic that was being deleted when its transaction was ended.
   */
  #endStrays(): void {
    const ongoing = new Map<number, Transaction>()
    let form = 0
    for (const transaction of this.#byName.values()) {
      form = transaction.form
      if (transaction.state === 'ongoing') ongoing.set(transaction.producerId, transaction)
    }
    if (!this.#parts.hasForm(form)) return
    for (const open of [...this.#parts.openInPartitions()]) {
      const { producerId, producerEpoch, topicId, partition } = open
      if (ongoing.get(producerId)?.partitions.has(placeKey(open)) === true) continue
      this.#parts.log.warn(
        { topicId, partition, producerId },
        'a transaction was aborted that nobody could have ended',
      )
      this.#parts
        .partition(open)
        ?.endTransaction({ producerId, producerEpoch, isCommit: false }, form)
    }
  }

  #armExpiry(afterMs: number = this.#parts.limits.transactionCheckMs): void {
    if (this.#expiryTimer !== 0 || this.#byName.size === 0) return
    this.#expiryTimer = this.#parts.timers.schedule(this.#parts.now() + afterMs, this)
  }
}

function endState(isCommit: boolean): 'committed' | 'aborted' {
  return isCommit ? 'committed' : 'aborted'
}

/** Whether who says it was `expected` may have the next epoch. */
function mayInit(transaction: Transaction, expected: ProducerIdentity): boolean {
  // Nobody had one yet: whatever it was before has expired.
  if (transaction.producerEpoch < 0) return true
  // Who has a transaction open got the answer: it can only be an older one that asks.
  if (transaction.state !== 'ongoing' && isRetry(transaction, expected)) return true
  return (
    expected.producerId === transaction.producerId &&
    expected.producerEpoch === transaction.producerEpoch
  )
}

/** It asked before, and the answer was lost. */
function isRetry(transaction: Transaction, expected: ProducerIdentity | null): boolean {
  if (expected === null || expected.producerEpoch !== transaction.lastEpoch) return false
  if (expected.producerEpoch < 0) return false
  const { producerId, lastProducerId } = transaction
  return expected.producerEpoch >= EPOCH_MAX
    ? expected.producerId === lastProducerId
    : expected.producerId === producerId
}

function accepted({ producerId, producerEpoch }: Transaction): ProducerOutcome {
  return { result: 'ok', producerId, producerEpoch }
}

function refused(result: Exclude<TransactionResult, 'ok'>): ProducerOutcome {
  return { result, producerId: -1, producerEpoch: -1 }
}

function parsePending(key: string): PartitionPlace & { readonly subscription: string } {
  const topicEnd = key.indexOf('/')
  const partitionEnd = key.indexOf('/', topicEnd + 1)
  return {
    topicId: Number(key.slice(0, topicEnd)),
    partition: Number(key.slice(topicEnd + 1, partitionEnd)),
    subscription: key.slice(partitionEnd + 1),
  }
}
