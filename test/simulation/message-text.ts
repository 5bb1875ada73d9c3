import type { StoredMessage } from '../../src/broker/index.ts'
import { encodeAddress } from '../../src/model/address.ts'
import { NO_PROPERTIES } from '../../src/model/canonical-properties.ts'
import { MessageDraft } from '../../src/model/message-draft.ts'
import type { NativeForm } from '../../src/model/native-form.ts'

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

/** Longer headers hold the whole id, which is then what duplicates are known by. */
export const SIMULATED_FORM: NativeForm = {
  id: 1,
  name: 'simulated',
  headers: () => null,
  property: (header, start, end, name) => {
    const id = /^h(\d+)\./.exec(header.toString('latin1', start, end))?.[1]
    return name === 'message-id' ? (id ?? null) : null
  },
  extraKeys: () => null,
  expiration: () => null,
  canonical: () => NO_PROPERTIES,
}

/** Whether a message of that number has an id. */
export function hasId(id: number): boolean {
  const header = headerOf(id)
  return SIMULATED_FORM.property(header, 0, header.length, 'message-id') !== null
}

/** Headers and bodies are looked at far more often than they are made. */
const headers = new Map<number, Buffer>()
const bodies = new Map<number, Buffer>()

function headerOf(id: number): Buffer {
  let header = headers.get(id)
  if (header === undefined) {
    header = Buffer.alloc(1 + (id % HEADER_BYTES_MAX), `h${id}.`)
    headers.set(id, header)
  }
  return header
}

function bodyOf(id: number, size: number): Buffer {
  let body = bodies.get(id)
  if (body?.length !== size) {
    body = Buffer.alloc(size, `b${id}.${size}.`)
    body.writeUInt32BE(id, 0)
    bodies.set(id, body)
  }
  return body
}
