import { parseTimeout } from '../../codec/grpc/index.ts'
import { metadataOf } from '../grpc-fields.ts'
import { type Status, statusOf } from '../status.ts'
import { Base64Exchange, Base64Request } from './base64-exchange.ts'
import { type CallOwner, StreamCall } from './call.ts'
import { startCall, type StartParts } from './call-start.ts'
import { ConnectUnaryCall } from './connect-unary.ts'
import { answerCompression, COMPRESSION_NAMES, compressionOf } from './compression.ts'
import type { Exchange, RequestHandler } from './exchange.ts'
import { type GetQuery, getQueryOf } from './get-query.ts'
import type { Logins } from './login.ts'
import { type Opening, VHOST_FIELD, ONE_WAY_FIELD } from './opening.ts'
import { ConnectWire, GrpcWebWire } from './web-wire.ts'

/** A request that may be a call of Connect or of gRPC-Web. */
export interface WebRequest {
  readonly method: string
  /** With its query. */
  readonly target: string
  /** Names in lower case and values in turn. */
  readonly fields: readonly string[]
  /** Fields are missing. */
  readonly isTooLarge?: boolean
}

type Kind = 'unary' | 'stream' | 'grpc-web' | 'grpc-web-text'

const TYPES: readonly (readonly [RegExp, Kind])[] = [
  [/^application\/grpc-web(?:\+([a-z0-9.-]+))?(?:$| *;)/, 'grpc-web'],
  [/^application\/grpc-web-text(?:\+([a-z0-9.-]+))?(?:$| *;)/, 'grpc-web-text'],
  [/^application\/connect\+([a-z0-9.-]+)(?:$| *;)/, 'stream'],
  [/^application\/(json|proto)(?:$| *;)/, 'unary'],
]

/** Where each kind says how its messages are compressed. */
const ENCODING_FIELDS: Readonly<Record<Kind, readonly [string, string]>> = {
  unary: ['content-encoding', 'accept-encoding'],
  stream: ['connect-content-encoding', 'connect-accept-encoding'],
  'grpc-web': ['grpc-encoding', 'grpc-accept-encoding'],
  'grpc-web-text': ['grpc-encoding', 'grpc-accept-encoding'],
}

/** Opens the call of a request; one that is none is answered in the terms of HTTP. */
export function openWebCall(
  owner: CallOwner,
  parts: StartParts,
  { request, exchange }: { readonly request: WebRequest; readonly exchange: Exchange },
): RequestHandler {
  if (request.isTooLarge === true) return new Refusal(exchange, 431, 'the head is too large')
  const query = request.method === 'GET' ? getQueryOf(request.target) : null
  if (query !== null) return openGet(owner, parts, { request, exchange, query })
  const type = valueOf(request.fields, 'content-type') ?? ''
  for (const [pattern, kind] of TYPES) {
    const form = pattern.exec(type)
    if (form === null) continue
    if (isForeign(request)) return new Refusal(exchange, 403, 'pages of other sites may not call')
    if (request.method !== 'POST') return new Refusal(exchange, 405, 'a call is a POST')
    const opening = openingOf(request, { kind, contentType: form[1] ?? 'proto' }, parts.logins)
    const text = kind === 'grpc-web-text' ? new Base64Exchange(exchange) : null
    const call = callOf(owner, kind, { exchange: text ?? exchange, type, opening })
    startCall(parts, call, opening)
    return text === null ? call : new Base64Request(text, call)
  }
  if (type === '') return new Refusal(exchange, 404, 'this port takes calls')
  return new Refusal(exchange, 415, `no call has content of type '${type}'`)
}

function callOf(
  owner: CallOwner,
  kind: Kind,
  {
    exchange,
    type,
    opening,
  }: { readonly exchange: Exchange; readonly type: string; readonly opening: Opening },
): StreamCall | ConnectUnaryCall {
  if (kind === 'unary') return new ConnectUnaryCall(owner, exchange, opening)
  const plain = type.split(';', 1)[0]!.trim()
  const wire =
    kind === 'stream' ? new ConnectWire(exchange, plain) : new GrpcWebWire(exchange, plain)
  return new StreamCall(owner, wire, opening)
}

/** A call by GET (Connect, of methods without side effects): all of it is in the query. */
function openGet(
  owner: CallOwner,
  parts: StartParts,
  {
    request,
    exchange,
    query,
  }: { readonly request: WebRequest; readonly exchange: Exchange; readonly query: GetQuery },
): RequestHandler {
  if (isForeign(request)) return new Refusal(exchange, 403, 'pages of other sites may not call')
  if (!FORMS.includes(query.encoding)) {
    return new Refusal(exchange, 415, `no message has the form '${query.encoding}'`)
  }
  const { target, method } = request
  // Where it stands in a call that is a POST.
  const fields = [...request.fields, 'content-encoding', query.compression, METHOD_FIELD, method]
  const version = query.version === null ? [] : ['connect-protocol-version', query.version]
  const asPost = { method, target, fields: [...fields, ...version] }
  const form = { kind: 'unary', contentType: query.encoding } as const
  const opening = { ...openingOf(asPost, form, parts.logins), isGet: true }
  const call = new ConnectUnaryCall(owner, exchange, opening)
  startCall(parts, call, opening)
  return new GetRequest(exchange, call, query.message)
}

const FORMS: readonly string[] = ['json', 'proto']

/** Metadata that tells a provider that a call may be answered from a cache later on. */
const METHOD_FIELD = 'waystation-http-method'

/** The call of a GET: whatever content it has is not looked at. */
class GetRequest implements RequestHandler {
  readonly #exchange: Exchange
  readonly #call: ConnectUnaryCall
  #message: Buffer | null

  constructor(exchange: Exchange, call: ConnectUnaryCall, message: Buffer) {
    this.#exchange = exchange
    this.#call = call
    this.#message = message
  }

  content(_bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    this.#exchange.taken(end - start)
    const message = this.#message
    if (!isEnd || message === null) return
    this.#message = null
    this.#call.whole(message)
  }

  sent(): void {}

  lost(reason: string): void {
    this.#call.lost(reason)
  }
}

interface Form {
  readonly kind: Kind
  readonly contentType: string
}

function openingOf(
  { target, fields }: WebRequest,
  { kind, contentType }: Form,
  logins: Logins,
): Opening {
  const authorization = valueOf(fields, 'authorization') ?? ''
  const [encodingField, acceptField] = ENCODING_FIELDS[kind]
  const encoding = valueOf(fields, encodingField) ?? 'identity'
  const compression = compressionOf(encoding)
  const timeout = valueOf(fields, isConnect(kind) ? 'connect-timeout-ms' : 'grpc-timeout')
  const timeoutMs = timeout === null ? null : readTimeout(timeout, kind)
  return {
    path: target.split('?', 1)[0]!,
    metadata: metadataOf(fields, logins.isOurs(authorization) ? 'authorization' : null),
    timeoutMs,
    contentType,
    isOneWay: valueOf(fields, ONE_WAY_FIELD) !== null,
    authorization,
    vhost: valueOf(fields, VHOST_FIELD),
    compression,
    replyCompression: answerCompression(valueOf(fields, acceptField) ?? '', compression),
    isGet: false,
    // Attach is for gRPC itself: on HTTP/1.1 nothing can come while something goes.
    envelopeBytes: 0,
    refusal:
      versionRefusal(fields, kind) ?? refusalOf(encoding, timeout !== null && timeoutMs === null),
  }
}

function isConnect(kind: Kind): boolean {
  return kind === 'unary' || kind === 'stream'
}

function readTimeout(text: string, kind: Kind): number | null {
  if (!isConnect(kind)) return parseTimeout(text)
  return /^\d{1,10}$/.test(text) ? Number(text) : null
}

function refusalOf(encoding: string, hasBadTimeout: boolean): Status | null {
  if (hasBadTimeout) return statusOf('INVALID_ARGUMENT', 'the timeout is no number of milliseconds')
  if (encoding === 'identity' || compressionOf(encoding) !== null) return null
  return statusOf(
    'UNIMPLEMENTED',
    `unknown compression "${encoding}": supported encodings are ${COMPRESSION_NAMES}`,
  )
}

function versionRefusal(fields: readonly string[], kind: Kind): Status | null {
  const version = valueOf(fields, 'connect-protocol-version')
  if (!isConnect(kind) || version === null || version === '1') return null
  return statusOf('INVALID_ARGUMENT', `connect-protocol-version must be 1, not '${version}'`)
}

/** A browser says which page asks; one of another site has no business here. */
function isForeign({ fields }: WebRequest): boolean {
  const origin = valueOf(fields, 'origin')
  if (origin === null) return false
  const host = valueOf(fields, ':authority') ?? valueOf(fields, 'host')
  return !URL.canParse(origin) || new URL(origin).host !== host
}

function valueOf(fields: readonly string[], name: string): string | null {
  for (let index = 0; index < fields.length; index += 2) {
    if (fields[index] === name) return fields[index + 1]!
  }
  return null
}

const NOTHING: Buffer = Buffer.alloc(0)

/** An answer to what is no call, given when the whole request has come. */
class Refusal implements RequestHandler {
  readonly #exchange: Exchange
  readonly #status: number
  readonly #text: string
  #isOver = false

  constructor(exchange: Exchange, status: number, text: string) {
    this.#exchange = exchange
    this.#status = status
    this.#text = `${text}\n`
  }

  content(_bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    this.#exchange.taken(end - start)
    if (!isEnd || this.#isOver) return
    this.#isOver = true
    const body = Buffer.from(this.#text)
    const fields = ['content-type', 'text/plain', 'content-length', String(body.length)]
    if (this.#status === 405) fields.push('allow', 'POST')
    if (this.#status === 415) fields.push('accept-post', ACCEPTED)
    this.#exchange.head(this.#status, fields)
    this.#exchange.send(body, NOTHING)
    this.#exchange.end()
  }

  sent(): void {}
  lost(): void {}
}

const ACCEPTED =
  'application/json, application/proto, application/connect+json, application/connect+proto, ' +
  'application/grpc, application/grpc-web, application/grpc-web-text'
