import { parseTimeout } from '../../codec/grpc/index.ts'
import type { HeaderList } from '../../codec/http2/index.ts'
import { ENVELOPE_BYTES_MAX } from '../attach/limits.ts'
import { ATTACH_PATH } from '../attach/provider-service.ts'
import { metadataOf } from '../grpc-fields.ts'
import type { Metadata } from '../metadata.ts'
import { type Status, statusOf } from '../status.ts'
import { answerCompression, type Compression, compressionOf } from './compression.ts'
import type { Logins } from './login.ts'

/** Metadata that chooses the virtual host. */
export const VHOST_FIELD = 'waystation-vhost'

/** Metadata of a call of which only the acceptance is awaited. */
export const ONE_WAY_FIELD = 'waystation-one-way'

/** What a request's header list says of a call: read once for all requests that say the same. */
export interface Opening {
  readonly path: string
  readonly metadata: Metadata
  /** Null: nothing was said. */
  readonly timeoutMs: number | null
  /** `proto`, `json` or what else stands behind the plus of the content type. */
  readonly contentType: string
  readonly isOneWay: boolean
  readonly authorization: string
  readonly vhost: string | null
  /** How messages of the request may be compressed. */
  readonly compression: Compression | null
  /** How replies are, to a client that compresses. */
  readonly replyCompression: Compression | null
  /** It came by GET, which is for methods without side effects. */
  readonly isGet: boolean
  /** A message may be so much larger than one of a call, because it is around such a one. */
  readonly envelopeBytes: number
  /** Why it cannot be served; null: it can. */
  readonly refusal: Status | null
}

/** Whether a content type is gRPC's own, on HTTP/2. */
export function isGrpcType(contentType: string): boolean {
  return /^application\/grpc($|[+;])/.test(contentType)
}

/** Reads the head of a gRPC request. */
export function openingOf(list: HeaderList, logins: Logins): Opening {
  const known = list.note as Opening | null
  if (known !== null) return known
  const authorization = list.get('authorization') ?? ''
  const timeout = list.get('grpc-timeout')
  const encoding = list.get('grpc-encoding') ?? 'identity'
  const compression = compressionOf(encoding)
  const opening: Opening = {
    path: list.path,
    metadata: metadataOf(list.fields, logins.isOurs(authorization) ? 'authorization' : null),
    timeoutMs: timeout === null ? null : parseTimeout(timeout),
    contentType: formOf(list.get('content-type') ?? ''),
    isOneWay: list.get(ONE_WAY_FIELD) !== null,
    authorization,
    vhost: list.get(VHOST_FIELD),
    compression,
    replyCompression: answerCompression(list.get('grpc-accept-encoding') ?? '', compression),
    isGet: false,
    envelopeBytes: list.path === ATTACH_PATH ? ENVELOPE_BYTES_MAX : 0,
    refusal: refusalOf(list, timeout, encoding),
  }
  list.note = opening
  return opening
}

function formOf(contentType: string): string {
  return /^application\/grpc\+([a-z0-9.-]+)/.exec(contentType)?.[1] ?? 'proto'
}

function refusalOf(list: HeaderList, timeout: string | null, encoding: string): Status | null {
  if (list.method !== 'POST') return statusOf('INTERNAL', `method ${list.method}, expected POST`)
  if (timeout !== null && parseTimeout(timeout) === null) {
    return statusOf('INTERNAL', `'${timeout}' is no grpc-timeout`)
  }
  if (encoding !== 'identity' && compressionOf(encoding) === null) {
    return statusOf('UNIMPLEMENTED', `grpc-encoding '${encoding}' is not known here`)
  }
  return null
}
