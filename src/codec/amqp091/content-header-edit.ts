import {
  CONTENT_HEADER_FIXED_BYTES,
  ContentHeaderView,
  propertyBytes,
  writeContentHeaderStart,
  writeProperty,
} from './content-header.ts'
import type { PropertyPlace } from './content-header.ts'
import { fieldValueBytes, skipFieldValue, writeFieldEntry } from './field-table.ts'
import type { FieldTable } from './field-value.ts'
import { PROPERTIES, PROPERTY } from './spec.gen.ts'
import type { BasicProperties, PropertyName } from './spec.gen.ts'

/** What to change in a content header. What is not named stays as it was, octet for octet. */
export interface ContentHeaderEdit {
  readonly bodySize?: number
  /** Properties to put in place of the old ones; `headers` here replaces the whole table. */
  readonly set?: BasicProperties
  readonly remove?: readonly PropertyName[]
  /** Headers to put in place of those with the same key, or at the table's end. */
  readonly setHeaders?: FieldTable
  readonly removeHeaders?: readonly string[]
}

/**
 * A copy of a content header's payload with some of it changed: x-death and x-delivery-count set,
 * BCC or the expiration taken out, a reply-to rewritten.
 *
 * The payload is checked as `ContentHeaderView.read` does. A table that loses its last header
 * stays, empty; setting a header makes a table where there was none.
 */
export function editContentHeader(payload: Buffer, edit: ContentHeaderEdit): Buffer {
  const view = new ContentHeaderView()
  view.read(payload, 0, payload.length)
  const parts = PROPERTIES.map(({ name }, place) =>
    partOf(payload, view, { edit, name, place: place as PropertyPlace }),
  )
  const bytes = parts.reduce((sum, part) => sum + (part?.length ?? 0), CONTENT_HEADER_FIXED_BYTES)
  const out = Buffer.allocUnsafe(bytes)
  let flags = 0
  let at = CONTENT_HEADER_FIXED_BYTES
  for (const [place, part] of parts.entries()) {
    if (part === null) continue
    flags |= 0x8000 >> place
    out.set(part, at)
    at += part.length
  }
  writeContentHeaderStart(out, edit.bodySize ?? view.bodySize, flags)
  return out
}

interface PartEdit {
  readonly edit: ContentHeaderEdit
  readonly name: PropertyName
  readonly place: PropertyPlace
}

/** The octets a property has after the edit; null when it is absent then. */
function partOf(payload: Buffer, view: ContentHeaderView, part: PartEdit): Uint8Array | null {
  const { edit, name, place } = part
  const fresh = edit.set?.[name]
  const touchesHeaders = edit.setHeaders !== undefined || edit.removeHeaders !== undefined
  if (edit.set !== undefined && fresh !== undefined) {
    const out = Buffer.allocUnsafe(propertyBytes(edit.set, name))
    writeProperty(out, 0, edit.set, name)
    return name === 'headers' && touchesHeaders ? editTable(out, 4, out.length, edit) : out
  }
  const isRemoved = edit.remove?.includes(name) === true
  if (place === PROPERTY.HEADERS && touchesHeaders) {
    if (view.has(place) && !isRemoved) {
      return editTable(payload, view.headersStart, view.headersEnd, edit)
    }
    const hasNew = edit.setHeaders !== undefined && edit.setHeaders.size > 0
    return hasNew ? editTable(payload, 0, 0, edit) : null
  }
  if (isRemoved || !view.has(place)) return null
  return payload.subarray(view.valueStart(place), view.valueEnd(place))
}

/** The table of the entries in `[start, end)`, edited, with its size in front. */
function editTable(bytes: Buffer, start: number, end: number, edit: ContentHeaderEdit): Buffer {
  const pending = new Map(edit.setHeaders)
  let room = 4 + end - start
  for (const [key, value] of pending) room += 1 + Buffer.byteLength(key) + fieldValueBytes(value)
  const out = Buffer.allocUnsafe(room)
  let to = 4
  for (let at = start; at < end;) {
    const valueAt = at + 1 + bytes[at]!
    const key = bytes.toString('utf8', at + 1, valueAt)
    const next = skipFieldValue(bytes, valueAt, end)
    const value = pending.get(key)
    if (value !== undefined) {
      to = writeFieldEntry(out, to, key, value)
      pending.delete(key)
    } else if (edit.setHeaders?.has(key) !== true && edit.removeHeaders?.includes(key) !== true) {
      out.set(bytes.subarray(at, next), to)
      to += next - at
    }
    at = next
  }
  for (const [key, value] of pending) to = writeFieldEntry(out, to, key, value)
  out.writeUInt32BE(to - 4, 0)
  return out.subarray(0, to)
}
