import type { StoredMessage } from '../../src/broker/index.ts'
import { encodeAddress } from '../../src/model/address.ts'
import { MessageDraft } from '../../src/model/message-draft.ts'

const HEADER_BYTES_MAX = 40

/** A message that tells who it is in every byte, so that none can be mistaken for another. */
export function draftOf(
  id: number,
  given: { readonly exchange: string; readonly key: string; readonly size: number },
): MessageDraft {
  const draft = new MessageDraft()
  const address = encodeAddress(given.exchange, given.key)
  draft.setAddress(address, 0, address.length)
  const header = headerOf(id)
  draft.setHeader(header, 0, header.length)
  const body = bodyOf(id, given.size)
  draft.setBody(body, 0, body.length)
  draft.form = 1
  return draft
}

export function idOf(message: StoredMessage): number {
  return message.data.readUInt32BE(message.bodyStart)
}

/** What is wrong with the bytes of a message; null: nothing. */
export function bodyFault(message: StoredMessage): string | null {
  const { data, bodyStart, bodyEnd, headerStart, headerEnd } = message
  const id = idOf(message)
  const size = bodyEnd - bodyStart
  if (!data.subarray(bodyStart, bodyEnd).equals(bodyOf(id, size))) return 'has another body'
  if (!data.subarray(headerStart, headerEnd).equals(headerOf(id))) return 'has another header'
  return null
}

function headerOf(id: number): Buffer {
  return Buffer.alloc(1 + (id % HEADER_BYTES_MAX), `h${id}.`)
}

function bodyOf(id: number, size: number): Buffer {
  const body = Buffer.alloc(size, `b${id}.${size}.`)
  body.writeUInt32BE(id, 0)
  return body
}
