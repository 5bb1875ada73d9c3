import type { DestinationSpec } from '../../src/broker/index.ts'

type Settings = DestinationSpec['settings']

/** A queue of the simulated world: what it is declared with. */
export interface QueueKind {
  readonly name: string
  readonly settings: Settings
  readonly isDurable: boolean
  readonly isExclusive: boolean
  readonly isAutoDelete: boolean
  readonly isSingleActive: boolean
  readonly countsAttempts: boolean
  readonly prioritiesMax: number
  /** There from the beginning and never deleted: dead letters and held-back messages go there. */
  readonly isFixed: boolean
}

function kind(name: string, settings: Settings = {}, more: Partial<QueueKind> = {}): QueueKind {
  return {
    name,
    settings,
    isDurable: true,
    isExclusive: false,
    isAutoDelete: false,
    isSingleActive: false,
    countsAttempts: false,
    prioritiesMax: 0,
    isFixed: false,
    ...more,
  }
}

/** As long as some of the pauses of the world. */
export const DEDUPLICATION_MS = 3000

const toDead: Settings = { deadLetterExchange: '', deadLetterRoutingKey: 'dead' }
const fixed = { isFixed: true }

/** One of everything, so that each pair of features meets sooner or later. */
export const QUEUE_KINDS: readonly QueueKind[] = [
  kind('dead', {}, fixed),
  kind('later', {}, fixed),
  kind(
    'work',
    { attemptsMax: 2, deadLetterExchange: '', deadLetterRoutingKey: 'retry' },
    { ...fixed, countsAttempts: true },
  ),
  kind('retry', { messageTtlMs: 400, deadLetterExchange: '', deadLetterRoutingKey: 'work' }, fixed),
  kind(
    'keyed',
    { keyShared: true, attemptsMax: 2, ...toDead },
    { ...fixed, countsAttempts: true, prioritiesMax: 1 },
  ),
  kind('plain'),
  kind('other'),
  kind('third'),
  kind('once', { deduplicationWindowMs: DEDUPLICATION_MS }),
  kind('aging', { messageTtlMs: 1500, ...toDead }),
  kind('fading', { messageTtlMs: 700 }),
  kind('heads', { messagesMax: 6, ...toDead }),
  kind('short', { messagesMax: 4 }),
  kind('bytes', { bytesMax: 3000, ...toDead }),
  kind('tails', { messagesMax: 6, overflow: 'reject' }),
  kind('refusing', { messagesMax: 5, overflow: 'reject-dead-letter', ...toDead }),
  kind('ranked', toDead, { prioritiesMax: 4 }),
  kind('single', {}, { isSingleActive: true }),
  kind('passing', {}, { isDurable: false }),
  kind('mortal', { messagesMax: 8, ...toDead }, { isDurable: false }),
  kind('private', {}, { isExclusive: true }),
  kind('unloved', {}, { isAutoDelete: true }),
]

/** The one stream. */
export const STREAM = 'history'
/** The exchange that holds messages back; bound to `later` for good. */
export const DELAYED = 'delayed'
export const FANOUT = 'amq.fanout'
/** Bound to `keyed` for good: what is published to it has a key. */
export const KEYED = 'amq.topic'

export function queueSpec(given: QueueKind, owner: object | null): DestinationSpec {
  return {
    name: given.name,
    profile: 'queue',
    durable: given.isDurable,
    autoDelete: given.isAutoDelete,
    exclusiveOwner: given.isExclusive ? owner : null,
    arguments: new Map(),
    settings: given.settings,
    countsAttempts: given.countsAttempts,
    prioritiesMax: given.prioritiesMax,
    singleActive: given.isSingleActive,
  }
}
