import { ByteReadError, ByteReader } from '../../lib/byte-reader.ts'
import { RpcFrameError } from './frame-error.ts'
import { DETAILS_MAX, METADATA_ENTRIES_MAX } from './limits.ts'
import { CONTENT_TYPES } from './spec.ts'

/** Name, value, name, value; the value of a name that ends in `-bin` is bytes. */
export type FlatMetadata = readonly (string | Uint8Array)[]

/** The client's first frame. */
export interface HelloFrame {
  readonly vhost: string
  /** Of SASL, such as `PLAIN`. */
  readonly mechanism: string
  readonly response: Uint8Array
  /** Who it is, for listings; empty: it does not say. */
  readonly client: string
  /** The largest message it takes. */
  readonly messageBytesMax: number
}

/** What the server grants to who has logged in. */
export interface WelcomeFrame {
  readonly messageBytesMax: number
  /** Calls open at once in each direction. */
  readonly callsMax: number
  readonly deadlineMsMax: number
}

export interface OpenFrame {
  readonly path: string
  readonly contentType: string
  readonly timeoutMs: number
  readonly metadata: FlatMetadata
}

export interface StatusFrame {
  readonly code: number
  readonly message: string
  readonly details: readonly { readonly type: string; readonly value: Uint8Array }[]
  readonly trailers: FlatMetadata
}

export interface AttachFrame {
  readonly capacity: number
  readonly weight: number
  /** Empty: nothing is said. */
  readonly policy: string
  readonly instanceId: string
  readonly version: string
  readonly services: readonly string[]
  readonly labels: readonly (readonly [string, string])[]
  /** What its services offer, as JSON; empty: it does not say. */
  readonly contract: string
  /** Descriptors of its services, a FileDescriptorSet; empty: it has none. */
  readonly descriptors: Uint8Array
}

/** Nearly every call ends so: no octets. */
const OK_FRAME: StatusFrame = { code: 0, message: '', details: [], trailers: [] }

const NO_METADATA: FlatMetadata = []

const NO_BYTES: Uint8Array = new Uint8Array(0)

export function decodeHello(payload: Buffer): HelloFrame {
  return decoded(payload, (reader) => ({
    vhost: text16(reader),
    mechanism: text16(reader),
    response: bytes32(reader),
    client: text16(reader),
    messageBytesMax: reader.u32(),
  }))
}

export function decodeWelcome(payload: Buffer): WelcomeFrame {
  return decoded(payload, (reader) => ({
    messageBytesMax: reader.u32(),
    callsMax: reader.u32(),
    deadlineMsMax: reader.u32(),
  }))
}

export function decodeOpen(payload: Buffer): OpenFrame {
  return decoded(payload, (reader) => {
    const timeoutMs = reader.u32()
    const number = reader.u8()
    const contentType = number === 0 ? text16(reader) : CONTENT_TYPES[number]
    if (contentType === undefined) throw new RpcFrameError('MALFORMED', `content type ${number}`)
    return { timeoutMs, contentType, path: text16(reader), metadata: flatMetadata(reader) }
  })
}

export function decodeMetadata(payload: Buffer): FlatMetadata {
  return decoded(payload, flatMetadata)
}

export function decodeStatus(payload: Buffer): StatusFrame {
  if (payload.length === 0) return OK_FRAME
  return decoded(payload, (reader) => {
    const code = reader.u8()
    const message = text16(reader)
    const count = bounded(reader.u8(), DETAILS_MAX, 'details')
    const details = []
    for (let index = 0; index < count; index++) {
      details.push({ type: text16(reader), value: bytes32(reader) })
    }
    return { code, message, details, trailers: flatMetadata(reader) }
  })
}

export function decodeAttach(payload: Buffer): AttachFrame {
  return decoded(payload, (reader) => ({
    capacity: reader.u32(),
    weight: reader.u32(),
    policy: text16(reader),
    instanceId: text16(reader),
    version: text16(reader),
    services: list(reader, () => text16(reader)),
    labels: list(reader, () => [text16(reader), text16(reader)] as const),
    contract: reader.remaining === 0 ? '' : reader.text(reader.u32()),
    descriptors: reader.remaining === 0 ? NO_BYTES : bytes32(reader),
  }))
}

/** Of CREDIT and CAPACITY. */
export function decodeNumber(payload: Buffer): number {
  return decoded(payload, (reader) => reader.u32())
}

/** Of CANCEL, GOAWAY and DETACH: why. */
export function decodeText(payload: Buffer): string {
  return decoded(payload, (reader) => reader.text(reader.remaining))
}

function decoded<T>(payload: Buffer, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(payload)
  try {
    const value = read(reader)
    if (reader.remaining === 0) return value
  } catch (cause) {
    if (!(cause instanceof ByteReadError)) throw cause
    throw new RpcFrameError('MALFORMED', `a payload ends too early: ${cause.message}`, { cause })
  }
  throw new RpcFrameError('MALFORMED', `${reader.remaining} octets behind the end of a payload`)
}

function text16(reader: ByteReader): string {
  return reader.text(reader.u16())
}

/** A copy: what a frame holds is borrowed. */
function bytes32(reader: ByteReader): Uint8Array {
  return new Uint8Array(reader.bytes(reader.u32()))
}

function list<T>(reader: ByteReader, read: () => T): T[] {
  const count = bounded(reader.u16(), METADATA_ENTRIES_MAX, 'entries')
  return Array.from({ length: count }, read)
}

function flatMetadata(reader: ByteReader): FlatMetadata {
  const count = bounded(reader.u16(), METADATA_ENTRIES_MAX, 'entries of metadata')
  if (count === 0) return NO_METADATA
  const flat: (string | Uint8Array)[] = []
  for (let index = 0; index < count; index++) {
    const name = text16(reader)
    flat.push(name)
    if (name.endsWith('-bin')) flat.push(bytes32(reader))
    else flat.push(reader.text(reader.u32()))
  }
  return flat
}

function bounded(count: number, max: number, what: string): number {
  if (count <= max) return count
  throw new RpcFrameError('TOO_LARGE', `${count} ${what}, the limit is ${max}`)
}
