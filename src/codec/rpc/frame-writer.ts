import type {
  AttachFrame,
  FlatMetadata,
  HelloFrame,
  OpenFrame,
  StatusFrame,
  WelcomeFrame,
} from './payloads.ts'
import { CONTENT_TYPES, COUNTED_HEADER_BYTES, FRAME, HEADER_BYTES } from './spec.ts'

/** Where frames go: a buffer that makes room. What `net` has for the output of a connection fits. */
export interface FrameTarget {
  readonly buffer: Buffer
  /** End of what was written. */
  at: number
  /** Makes room for `size` octets and says where it starts. */
  reserve(size: number): number
}

/** Octets that a UTF-16 unit takes in UTF-8 at most. */
const UNIT_BYTES_MAX = 3

/** The rest of a longer one is cut off: it is for people. */
const STATUS_MESSAGE_LENGTH_MAX = 4096
const TEXT_BYTES_MAX = 0xffff

/** A frame without payload, such as HALF_CLOSE. */
export function writeEmpty(target: FrameTarget, type: number, id: number): void {
  writeHeader(target, { type, flags: 0, id, size: 0 })
}

/** A frame whose payload is octets: DATA, AUTH, PING, PONG. */
export function writeBytes(
  target: FrameTarget,
  { type, id, flags = 0 }: { readonly type: number; readonly id: number; readonly flags?: number },
  bytes: Uint8Array,
): void {
  const size = bytes.length
  const at = target.reserve(HEADER_BYTES + size)
  const { buffer } = target
  putHeader(buffer, at, size, id)
  buffer[at + 8] = type
  buffer[at + 9] = flags
  buffer.set(bytes, at + HEADER_BYTES)
  target.at = at + HEADER_BYTES + size
}

/** CREDIT and CAPACITY. */
export function writeNumber(target: FrameTarget, type: number, id: number, value: number): void {
  const payload = begin(target, { type, flags: 0, id }, 4)
  payload.u32(value)
  payload.end()
}

/** CANCEL, GOAWAY and DETACH. */
export function writeText(target: FrameTarget, type: number, id: number, text: string): void {
  const payload = begin(target, { type, flags: 0, id }, textMax(text))
  payload.plain(text)
  payload.end()
}

export function writeHello(target: FrameTarget, hello: HelloFrame): void {
  const { vhost, mechanism, response, client } = hello
  const max = textMax(vhost) + textMax(mechanism) + 8 + response.length + textMax(client)
  const payload = begin(target, { type: FRAME.HELLO, flags: 0, id: 0 }, max)
  payload.text(vhost)
  payload.text(mechanism)
  payload.bytes(response)
  payload.text(client)
  payload.u32(hello.messageBytesMax)
  payload.end()
}

export function writeWelcome(target: FrameTarget, welcome: WelcomeFrame): void {
  const payload = begin(target, { type: FRAME.WELCOME, flags: 0, id: 0 }, 12)
  payload.u32(welcome.messageBytesMax)
  payload.u32(welcome.callsMax)
  payload.u32(welcome.deadlineMsMax)
  payload.end()
}

export function writeOpen(target: FrameTarget, id: number, open: OpenFrame, flags: number): void {
  const max = 5 + textMax(open.contentType) + textMax(open.path) + metadataMax(open.metadata)
  const payload = begin(target, { type: FRAME.OPEN, flags, id }, max)
  payload.u32(open.timeoutMs)
  const number = CONTENT_TYPES.indexOf(open.contentType, 1)
  payload.u8(Math.max(number, 0))
  if (number < 0) payload.text(open.contentType)
  payload.text(open.path)
  payload.metadata(open.metadata)
  payload.end()
}

export function writeMetadata(target: FrameTarget, id: number, metadata: FlatMetadata): void {
  const payload = begin(target, { type: FRAME.HEAD, flags: 0, id }, metadataMax(metadata))
  payload.metadata(metadata)
  payload.end()
}

/** Of `type` STATUS, or ATTACHED, whose payload is the same. */
export function writeStatus(
  target: FrameTarget,
  { type, id }: { readonly type: number; readonly id: number },
  status: StatusFrame,
): void {
  const { code, message, details, trailers } = status
  if (code === 0 && trailers.length === 0) {
    writeEmpty(target, type, id)
    return
  }
  const text = message.slice(0, STATUS_MESSAGE_LENGTH_MAX)
  let max = 2 + textMax(text) + metadataMax(trailers)
  for (const detail of details) max += textMax(detail.type) + 4 + detail.value.length
  const payload = begin(target, { type, flags: 0, id }, max)
  payload.u8(code)
  payload.text(text)
  payload.u8(details.length)
  for (const detail of details) {
    payload.text(detail.type)
    payload.bytes(detail.value)
  }
  payload.metadata(trailers)
  payload.end()
}

export function writeAttach(target: FrameTarget, id: number, attach: AttachFrame): void {
  let max = 12 + textMax(attach.policy) + textMax(attach.instanceId) + textMax(attach.version)
  for (const service of attach.services) max += textMax(service)
  for (const [name, value] of attach.labels) max += textMax(name) + textMax(value)
  max += 6 + textMax(attach.contract) + attach.descriptors.length
  const payload = begin(target, { type: FRAME.ATTACH, flags: 0, id }, max)
  payload.u32(attach.capacity)
  payload.u32(attach.weight)
  payload.text(attach.policy)
  payload.text(attach.instanceId)
  payload.text(attach.version)
  payload.u16(attach.services.length)
  for (const service of attach.services) payload.text(service)
  payload.u16(attach.labels.length)
  for (const [name, value] of attach.labels) {
    payload.text(name)
    payload.text(value)
  }
  payload.text32(attach.contract)
  payload.bytes(attach.descriptors)
  payload.end()
}

interface Header {
  readonly type: number
  readonly flags: number
  readonly id: number
}

function writeHeader(target: FrameTarget, header: Header & { readonly size: number }): void {
  const at = target.reserve(HEADER_BYTES + header.size)
  const { buffer } = target
  putHeader(buffer, at, header.size, header.id)
  buffer[at + 8] = header.type
  buffer[at + 9] = header.flags
  target.at = at + HEADER_BYTES
}

/** Octet by octet: these are the frames of every call. */
function putHeader(buffer: Buffer, at: number, size: number, id: number): void {
  const length = size + COUNTED_HEADER_BYTES
  buffer[at] = length >>> 24
  buffer[at + 1] = length >>> 16
  buffer[at + 2] = length >>> 8
  buffer[at + 3] = length
  buffer[at + 4] = id >>> 24
  buffer[at + 5] = id >>> 16
  buffer[at + 6] = id >>> 8
  buffer[at + 7] = id
}

function textMax(text: string): number {
  return 2 + text.length * UNIT_BYTES_MAX
}

function metadataMax(metadata: FlatMetadata): number {
  let max = 2
  for (const part of metadata) {
    max += 4 + (typeof part === 'string' ? part.length * UNIT_BYTES_MAX : part.length)
  }
  return max
}

const NOWHERE: FrameTarget = { buffer: Buffer.alloc(0), at: 0, reserve: () => 0 }

/** Writes fields behind a header that gets its length at the end. One for all: see `begin`. */
class Payload {
  #target: FrameTarget = NOWHERE
  #buffer: Buffer = NOWHERE.buffer
  #start = 0
  #at = 0

  begin(target: FrameTarget, { type, flags, id }: Header, sizeMax: number): void {
    // Once, because making room may move or send what was written before.
    const start = target.reserve(HEADER_BYTES + sizeMax)
    const { buffer } = target
    putHeader(buffer, start, 0, id)
    buffer[start + 8] = type
    buffer[start + 9] = flags
    this.#target = target
    this.#buffer = buffer
    this.#start = start
    this.#at = start + HEADER_BYTES
  }

  end(): void {
    const length = this.#at - this.#start - HEADER_BYTES + COUNTED_HEADER_BYTES
    this.#buffer.writeUInt32BE(length, this.#start)
    this.#target.at = this.#at
    this.#target = NOWHERE
    this.#buffer = NOWHERE.buffer
  }

  u8(value: number): void {
    this.#buffer[this.#at++] = value
  }

  u16(value: number): void {
    this.#buffer[this.#at++] = value >>> 8
    this.#buffer[this.#at++] = value
  }

  /** Fractions are rounded up, and what is above 32 bits is the largest. */
  u32(value: number): void {
    const number = Math.min(Math.max(Math.ceil(value), 0), 0xffff_ffff)
    this.#at = this.#buffer.writeUInt32BE(number, this.#at)
  }

  plain(text: string): void {
    this.#at += this.#buffer.write(text, this.#at)
  }

  text(text: string): void {
    const size = this.#buffer.write(text, this.#at + 2)
    if (size > TEXT_BYTES_MAX) throw new RangeError(`a text of ${size} octets, 65535 fit`)
    this.u16(size)
    this.#at += size
  }

  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  metadata(flat: FlatMetadata): void {
    this.u16(flat.length / 2)
    for (let index = 0; index < flat.length; index += 2) {
      this.text(flat[index] as string)
      const value = flat[index + 1]!
      if (typeof value === 'string') this.text32(value)
      else this.bytes(value)
    }
  }

  text32(text: string): void {
    const size = this.#buffer.write(text, this.#at + 4)
    this.u32(size)
    this.#at += size
  }
}

const shared: Payload = new Payload()

/** The frame is written before the next one begins, so one object serves all. */
function begin(target: FrameTarget, header: Header, sizeMax: number): Payload {
  shared.begin(target, header, sizeMax)
  return shared
}
