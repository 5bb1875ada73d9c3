/** Messages of proto/waystation/rpc/v1/provider.proto, written and read by hand: there is one for each step of a call. */
import { decodeFields, encodeFields, type ProtobufField, textOf } from '../../codec/grpc/index.ts'
import type { Metadata, MetadataValue } from '../metadata.ts'
import type { StatusDetail } from '../status.ts'

const FROM = { REGISTER: 1, CAPACITY: 2, HEAD: 3, REPLY: 4, END: 5, DRAIN: 6 } as const
const TO = { REGISTERED: 1, CALL: 2, REQUEST: 3, CANCEL: 4, CREDIT: 5, DRAIN: 6 } as const
const NO_BYTES: Uint8Array = new Uint8Array(0)
const UINT32_MAX = 0xffff_ffff

export type FromProvider =
  | { readonly kind: 'register'; readonly register: RegisterMessage }
  | { readonly kind: 'capacity'; readonly capacity: number }
  | { readonly kind: 'head'; readonly id: number; readonly metadata: EntryList }
  | { readonly kind: 'reply'; readonly id: number; readonly message: Uint8Array }
  | { readonly kind: 'end'; readonly id: number; readonly end: EndMessage }
  | { readonly kind: 'drain' }

export interface RegisterMessage {
  readonly services: readonly string[]
  readonly instanceId: string
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  readonly weight: number
  readonly capacity: number
  readonly policy: string
  readonly messageBytesMax: number
  /** A view; empty: it has none. */
  readonly descriptors: Uint8Array
}

export interface EndMessage {
  readonly code: number
  readonly text: string
  readonly details: readonly StatusDetail[]
  readonly trailers: EntryList
  /** Null: there is no last reply. */
  readonly message: Uint8Array | null
  readonly isRefused: boolean
}

type EntryList = readonly (readonly [string, MetadataValue])[]

/** Null: it is no message that is known here. What it has of bytes is a view. */
export function decodeFromProvider(bytes: Uint8Array): FromProvider | null {
  const choice = decodeFields(bytes)?.findLast(([number]) => number <= FROM.DRAIN)
  if (choice === undefined || !(choice[1] instanceof Uint8Array)) return null
  const fields = decodeFields(choice[1])
  if (fields === null) return null
  const id = numberOf(fields, 1)
  switch (choice[0]) {
    case FROM.REGISTER:
      return { kind: 'register', register: registerOf(fields) }
    case FROM.CAPACITY:
      return { kind: 'capacity', capacity: numberOf(fields, 1) }
    case FROM.HEAD:
      return { kind: 'head', id, metadata: entriesOf(fields, 2) }
    case FROM.REPLY:
      return { kind: 'reply', id, message: bytesOf(fields, 2) ?? NO_BYTES }
    case FROM.END:
      return { kind: 'end', id, end: endOf(fields) }
    default:
      return { kind: 'drain' }
  }
}

function registerOf(fields: readonly ProtobufField[]): RegisterMessage {
  const texts = (number: number): string[] =>
    fields.flatMap(([known, value]) => {
      return known === number && value instanceof Uint8Array ? [utf8(value)] : []
    })
  const labels: Record<string, string> = {}
  for (const entry of messagesOf(fields, 4)) labels[textOf(entry, 1)] = textOf(entry, 2)
  return {
    services: texts(1),
    instanceId: textOf(fields, 2),
    version: textOf(fields, 3),
    labels,
    weight: numberOf(fields, 5),
    capacity: numberOf(fields, 6),
    policy: textOf(fields, 7),
    messageBytesMax: numberOf(fields, 8),
    descriptors: bytesOf(fields, 9) ?? NO_BYTES,
  }
}

function endOf(fields: readonly ProtobufField[]): EndMessage {
  return {
    code: numberOf(fields, 2),
    text: textOf(fields, 3),
    details: messagesOf(fields, 4).map((detail) => ({
      type: textOf(detail, 1),
      // A status is kept by whoever gets it, and the octets are not ours.
      value: Uint8Array.from(bytesOf(detail, 2) ?? NO_BYTES),
    })),
    trailers: entriesOf(fields, 5),
    message: bytesOf(fields, 6),
    isRefused: numberOf(fields, 7) !== 0,
  }
}

function entriesOf(fields: readonly ProtobufField[], number: number): EntryList {
  return messagesOf(fields, number).map((entry) => {
    const name = textOf(entry, 1).toLowerCase()
    const value = name.endsWith('-bin')
      ? Uint8Array.from(bytesOf(entry, 3) ?? NO_BYTES)
      : textOf(entry, 2)
    return [name, value]
  })
}

function messagesOf(fields: readonly ProtobufField[], number: number): ProtobufField[][] {
  return fields.flatMap(([known, value]) => {
    if (known !== number || !(value instanceof Uint8Array)) return []
    return [decodeFields(value) ?? []]
  })
}

function numberOf(fields: readonly ProtobufField[], number: number): number {
  const value = fields.findLast(([known]) => known === number)?.[1]
  return typeof value === 'number' ? Math.min(value, UINT32_MAX) : 0
}

function bytesOf(fields: readonly ProtobufField[], number: number): Uint8Array | null {
  const value = fields.findLast(([known]) => known === number)?.[1]
  return value instanceof Uint8Array ? value : null
}

function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}

export function encodeRegistered(instanceId: string, messageBytesMax: number): Buffer {
  return wrapped(TO.REGISTERED, [
    [1, instanceId],
    [2, messageBytesMax],
  ])
}

export interface CallMessage {
  readonly id: number
  readonly path: string
  readonly metadata: Metadata
  readonly timeoutMs: number
  readonly contentType: string
  readonly isOneWay: boolean
}

export function encodeCall(call: CallMessage): Buffer {
  const fields: ProtobufField[] = [
    [1, call.id],
    [2, call.path],
  ]
  for (const [name, value] of call.metadata) {
    const entry: ProtobufField[] = [[1, name], typeof value === 'string' ? [2, value] : [3, value]]
    fields.push([3, encodeFields(entry)])
  }
  fields.push([4, call.timeoutMs], [5, call.contentType])
  if (call.isOneWay) fields.push([6, 1])
  return wrapped(TO.CALL, fields)
}

/** `message` null: only the end of a stream of requests. */
export function encodeRequest(id: number, message: Uint8Array | null, isLast: boolean): Buffer {
  const fields: ProtobufField[] = [[1, id]]
  if (message !== null) fields.push([2, message])
  if (isLast) fields.push([3, 1])
  return wrapped(TO.REQUEST, fields)
}

export function encodeCancel(id: number, reason: string): Buffer {
  return wrapped(TO.CANCEL, [
    [1, id],
    [2, reason],
  ])
}

export function encodeCredit(id: number, octets: number): Buffer {
  return wrapped(TO.CREDIT, [
    [1, id],
    [2, octets],
  ])
}

export function encodeDrain(reason: string): Buffer {
  return wrapped(TO.DRAIN, [[1, reason]])
}

function wrapped(kind: number, fields: readonly ProtobufField[]): Buffer {
  return encodeFields([[kind, encodeFields(fields)]])
}
