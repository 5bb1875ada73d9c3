import { DURABLE_METADATA } from '../relay.ts'
import { Metadata, type MetadataValue } from '../metadata.ts'
import { RpcError } from '../status.ts'
import { KEEP_MS_MAX, KEY_BYTES_MAX } from './limits.ts'

/** Metadata of durable calls, on every wire; docs/durable-calls.md has it for users. */
export const DURABLE: Readonly<Record<DurableName, string>> = {
  /** What is asked: one of `ASKS`. */
  ASK: DURABLE_METADATA,
  /** Of the call that is meant; with every answer and at every attempt. */
  CALL_ID: 'waystation-call-id',
  /** `waiting`, `running`, `done` or `dead`; with every answer. */
  STATE: 'waystation-call-state',
  /** With the answer to a call that is stored: `true` where its key was known. */
  KNOWN: 'waystation-call-known',
  /** Which attempt this is, from 1; at every attempt. */
  ATTEMPT: 'waystation-attempt',
  DELAY_MS: 'waystation-delay-ms',
  NOT_BEFORE_MS: 'waystation-not-before-ms',
  KEEP_MS: 'waystation-keep-result-ms',
  ATTEMPT_TIMEOUT_MS: 'waystation-attempt-timeout-ms',
  /** By which the same call is known, whoever makes it again. */
  KEY: 'idempotency-key',
}

type DurableName =
  | 'ASK'
  | 'CALL_ID'
  | 'STATE'
  | 'KNOWN'
  | 'ATTEMPT'
  | 'DELAY_MS'
  | 'NOT_BEFORE_MS'
  | 'KEEP_MS'
  | 'ATTEMPT_TIMEOUT_MS'
  | 'KEY'

/**
 * - `accept`: store the call, and answer with nothing as soon as it is stored
 * - `wait`: store it, and answer with its outcome
 * - `outcome`: answer with the outcome of one that was stored, as soon as there is one
 * - `state`: say how far it is
 * - `cancel`: end it, if no provider has it
 */
export type DurableAsk = 'accept' | 'wait' | 'outcome' | 'state' | 'cancel'

const ASKS: ReadonlyMap<string, DurableAsk> = new Map<string, DurableAsk>([
  ['1', 'wait'],
  ['true', 'wait'],
  ['wait', 'wait'],
  ['accept', 'accept'],
  ['outcome', 'outcome'],
  ['state', 'state'],
  ['cancel', 'cancel'],
])

/** Ten years: more is a mistake in the unit. */
const TIME_MS_MAX = 3650 * 86_400_000

/** Not handed on to providers: it was for the broker. */
const CONTROL: ReadonlySet<string> = new Set<string>([
  DURABLE.ASK,
  DURABLE.CALL_ID,
  DURABLE.STATE,
  DURABLE.KNOWN,
  DURABLE.ATTEMPT,
  DURABLE.DELAY_MS,
  DURABLE.NOT_BEFORE_MS,
  DURABLE.KEEP_MS,
  DURABLE.ATTEMPT_TIMEOUT_MS,
])

/** What a caller asks of a durable call. */
export interface DurableOrder {
  readonly ask: DurableAsk
  readonly id: string | null
  readonly key: string | null
  /** 0: now. */
  readonly delayMs: number
  /** Milliseconds since 1970; 0: now. */
  readonly notBeforeMs: number
  /** Null: as the broker has it. */
  readonly keepMs: number | null
  readonly attemptTimeoutMs: number | null
  /** What is for the provider. */
  readonly metadata: Metadata
}

/** Throws `RpcError` INVALID_ARGUMENT. */
export function durableOrderOf(metadata: Metadata): DurableOrder {
  const asked = metadata.get(DURABLE.ASK) ?? ''
  const ask = ASKS.get(asked)
  if (ask === undefined) {
    throw invalid(`${DURABLE.ASK} is '${asked}', expected ${[...ASKS.keys()].join(', ')}`)
  }
  const key = metadata.get(DURABLE.KEY)
  if (key !== null && (key === '' || Buffer.byteLength(key) > KEY_BYTES_MAX)) {
    throw invalid(`${DURABLE.KEY} has ${key.length} octets, expected 1 to ${KEY_BYTES_MAX}`)
  }
  const id = metadata.get(DURABLE.CALL_ID)
  if (id === null && key === null && ask !== 'accept' && ask !== 'wait') {
    throw invalid(`${asked} needs ${DURABLE.CALL_ID} or ${DURABLE.KEY}`)
  }
  return {
    ...{ ask, id, key },
    delayMs: millisecondsOf(metadata, DURABLE.DELAY_MS, TIME_MS_MAX) ?? 0,
    notBeforeMs: millisecondsOf(metadata, DURABLE.NOT_BEFORE_MS, Number.MAX_SAFE_INTEGER) ?? 0,
    keepMs: millisecondsOf(metadata, DURABLE.KEEP_MS, KEEP_MS_MAX),
    attemptTimeoutMs: millisecondsOf(metadata, DURABLE.ATTEMPT_TIMEOUT_MS, TIME_MS_MAX),
    metadata: withoutControl(metadata),
  }
}

/** What a provider is told of an attempt, beside what the caller said. */
export function attemptMetadata(stored: Metadata, id: string, attempt: number): Metadata {
  return Metadata.fromFlat([
    ...stored.flat,
    ...[DURABLE.CALL_ID, id, DURABLE.ATTEMPT, String(attempt)],
  ])
}

export function isControl(name: string): boolean {
  return CONTROL.has(name)
}

function withoutControl(metadata: Metadata): Metadata {
  const kept: MetadataValue[] = []
  for (const [name, value] of metadata) if (!isControl(name)) kept.push(name, value)
  return Metadata.fromFlat(kept)
}

function millisecondsOf(metadata: Metadata, name: string, max: number): number | null {
  const text = metadata.get(name)
  if (text === null) return null
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  if (value <= max) return value
  throw invalid(`${name} is '${text}', expected whole milliseconds up to ${max}`)
}

function invalid(text: string): RpcError {
  return new RpcError('INVALID_ARGUMENT', text)
}
