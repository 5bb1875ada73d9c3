import { hashBytes53 } from '../lib/hash32.ts'
import { shortAddressEnd } from '../model/address.ts'
import { BrokerError } from '../model/errors.ts'
import type { HeaderValue } from '../model/header-value.ts'
import type { NativeForm } from '../model/native-form.ts'
import { NO_KEY } from './key-order.ts'
import type { StoredMessage } from './stored-message.ts'

/** How a subscription keeps messages of one key in order. */
export interface KeySharing {
  /** The header that holds the key; empty: the key that the message was published with. */
  readonly header: string
}

export function sameKeySharing(one: KeySharing | null, other: KeySharing | null): boolean {
  return one?.header === other?.header
}

/** What settings of a destination say; null: messages of one key are as others. */
export function keySharingOf(settings: {
  readonly keyShared?: boolean
  readonly keyHeader?: string
}): KeySharing | null {
  const header = settings.keyHeader ?? ''
  return (settings.keyShared ?? header !== '') ? { header } : null
}

/**
 * What a consumer asks for, where `current` holds and others may take part already. Throws
 * `PRECONDITION_FAILED` where they disagree: a queue is shared in one way at a time.
 */
export function agreedKeySharing(
  queue: { readonly name: string; readonly consumerCount: number },
  current: KeySharing | null,
  asked: KeySharing | null,
): KeySharing | null {
  if (sameKeySharing(current, asked)) return asked
  if (current === null && queue.consumerCount === 0) return asked
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `a consumer asks for queue '${queue.name}' to be ${named(asked)}, but it is ${named(current)}`,
  )
}

function named(sharing: KeySharing | null): string {
  if (sharing === null) return 'not key-shared'
  return sharing.header === '' ? 'key-shared' : `key-shared by header '${sharing.header}'`
}

/**
 * The key of a message as a number; two keys may share one, and then are as one. `NO_KEY` where it
 * has none: the header is not there, or it was published to a destination by its name.
 */
export function messageKeyOf(
  message: StoredMessage,
  { header }: KeySharing,
  form: NativeForm | undefined,
): number {
  if (header !== '') return headerKeyOf(message, header, form)
  const { data, addressStart, addressEnd } = message
  const exchangeBytes = data[addressStart]!
  if (exchangeBytes === 0) return NO_KEY
  const shortEnd = shortAddressEnd(data, addressStart)
  const isLong = shortEnd < addressEnd
  const start = isLong ? shortEnd : addressStart + 2 + exchangeBytes
  const end = isLong ? addressEnd : shortEnd
  if (start < end) return hashBytes53(data, start, end)
  const own = form?.key?.(data, message.headerStart, message.headerEnd) ?? null
  return own === null || own.length === 0 ? NO_KEY : hashBytes53(own, 0, own.length)
}

function headerKeyOf(
  { data, headerStart, headerEnd }: StoredMessage,
  name: string,
  form: NativeForm | undefined,
): number {
  if (form === undefined) return NO_KEY
  const value =
    form.header === undefined
      ? form.headers(data, headerStart, headerEnd)?.get(name)
      : form.header(data, headerStart, headerEnd, name)
  const bytes = value === undefined ? null : bytesOf(value)
  return bytes === null ? NO_KEY : hashBytes53(bytes, 0, bytes.length)
}

/** As text, so that a key is the same whatever protocol it came by; the first one of a list. */
function bytesOf(value: HeaderValue): Uint8Array | null {
  if (value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.length === 0 ? null : bytesOf(value[0] as HeaderValue)
  if (value === null || typeof value === 'object') return null
  return Buffer.from(String(value), 'utf8')
}
