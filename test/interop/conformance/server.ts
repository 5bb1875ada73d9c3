/**
 * The server that the Connect conformance runner asks: `node server.ts direct|PORT`. Direct is a
 * provider that listens itself; at PORT is a broker, and this is a provider attached to it.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  type AnyMethod,
  connectChannel,
  type HandlerContext,
  type Handlers,
  listenChannel,
  RpcError,
  serve,
} from '../../../src/client/index.ts'
import { makeAuthority, makeCertificate } from '../../support/certificates.ts'
import {
  type AnyMessage,
  codeOf,
  entriesOf,
  type ErrorFields,
  type Header,
  headersOf,
} from './fields.ts'
import { contractOf, delimited, message, writeDelimited } from './messages.ts'

interface Definition {
  readonly responseHeaders: readonly Header[]
  readonly responseTrailers: readonly Header[]
  /** Of methods with one answer. */
  readonly response?: { readonly case?: string; readonly value?: Uint8Array | ErrorFields }
  /** Of methods with many. */
  readonly responseData: readonly Uint8Array[]
  readonly responseDelayMs: number
  readonly error?: ErrorFields
}
interface Input {
  readonly $typeName: string
  readonly responseDefinition?: Definition
  readonly fullDuplex?: boolean
}

const TYPE_PREFIX = 'type.googleapis.com/'
const EMPTY = new Uint8Array(0)
/** What a call gets that says nothing of its time; the suite asks for none that is near. */
const DEFAULT_MS = 10_000
const NEAR_MS = 300

function anyOf(input: Input): AnyMessage {
  const type = message(input.$typeName.slice(input.$typeName.lastIndexOf('.') + 1))
  return {
    typeUrl: `${TYPE_PREFIX}${type.typeName}`,
    value: toBinary(type, input as Parameters<typeof toBinary>[1]),
  }
}

function infoOf(context: HandlerContext, inputs: readonly Input[]): object {
  const { remainingMs, metadata } = context
  const isDefault = Math.abs(remainingMs - DEFAULT_MS) < NEAR_MS
  const isGet = metadata.get('waystation-http-method') === 'GET'
  return {
    requestHeaders: headersOf(metadata),
    ...(isDefault ? {} : { timeoutMs: BigInt(Math.ceil(remainingMs)) }),
    requests: inputs.map(anyOf),
    ...(isGet ? { connectGetInfo: {} } : {}),
  }
}

/** An error as asked for; with `info`, where nothing was answered before. */
function errorOf({ code, message: text, details }: ErrorFields, info: object | null): RpcError {
  const type = message('ConformancePayload.RequestInfo')
  const infoDetail = (value: object): { type: string; value: Uint8Array } => ({
    type: `${TYPE_PREFIX}${type.typeName}`,
    value: toBinary(type, create(type, value as Record<string, unknown>)),
  })
  return new RpcError(codeOf(code), text ?? '', {
    details: [
      ...details.map(({ typeUrl, value }) => ({ type: typeUrl, value })),
      ...(info === null ? [] : [infoDetail(info)]),
    ],
  })
}

function begin(context: HandlerContext, definition: Definition | undefined): void {
  const { responseHeaders = [], responseTrailers = [] } = definition ?? {}
  if (responseHeaders.length > 0) context.sendHead(entriesOf(responseHeaders))
  context.setTrailers(entriesOf(responseTrailers))
}

/** The one answer of unary and client-streaming methods. */
async function answerOnce(inputs: readonly Input[], context: HandlerContext): Promise<object> {
  const definition = inputs[0]?.responseDefinition
  begin(context, definition)
  const info = infoOf(context, inputs)
  const { response, responseDelayMs = 0 } = definition ?? {}
  if (responseDelayMs > 0) await sleep(responseDelayMs)
  if (response?.case === 'error') throw errorOf(response.value as ErrorFields, info)
  return { payload: { data: (response?.value as Uint8Array) ?? EMPTY, requestInfo: info } }
}

async function* answers(inputs: readonly Input[], context: HandlerContext): AsyncIterable<object> {
  const definition = inputs[0]?.responseDefinition
  begin(context, definition)
  if (definition === undefined) return
  const { responseData, responseDelayMs, error } = definition
  let info: object | null = infoOf(context, inputs)
  for (const data of responseData) {
    if (responseDelayMs > 0) await sleep(responseDelayMs)
    yield { payload: { data, ...(info === null ? {} : { requestInfo: info }) } }
    info = null
  }
  if (error !== undefined) throw errorOf(error, info)
}

async function* interleaved(
  first: Input,
  rest: AsyncIterator<unknown>,
  context: HandlerContext,
): AsyncIterable<object> {
  const definition = first.responseDefinition
  begin(context, definition)
  if (definition === undefined) return
  const { responseData, responseDelayMs, error } = definition
  let pending: Input[] = [first]
  let index = 0
  for (; index < responseData.length && pending.length > 0; index++) {
    if (responseDelayMs > 0) await sleep(responseDelayMs)
    const info = index === 0 ? infoOf(context, pending) : { requests: pending.map(anyOf) }
    yield { payload: { data: responseData[index]!, requestInfo: info } }
    const next = await rest.next()
    pending = next.done === true ? [] : [next.value as Input]
  }
  for (; index < responseData.length; index++) {
    if (responseDelayMs > 0) await sleep(responseDelayMs)
    yield { payload: { data: responseData[index]! } }
  }
  if (error !== undefined) throw errorOf(error, index === 0 ? infoOf(context, pending) : null)
}

const handlers = {
  Unary: (input: unknown, context: HandlerContext) => answerOnce([input as Input], context),
  IdempotentUnary: (input: unknown, context: HandlerContext) =>
    answerOnce([input as Input], context),
  async ClientStream(inputs: AsyncIterable<unknown>, context: HandlerContext) {
    const all: Input[] = []
    for await (const input of inputs) all.push(input as Input)
    return answerOnce(all, context)
  },
  ServerStream: (input: unknown, context: HandlerContext) => answers([input as Input], context),
  async *BidiStream(inputs: AsyncIterable<unknown>, context: HandlerContext) {
    const iterator = inputs[Symbol.asyncIterator]()
    const first = await iterator.next()
    if (first.done === true) return
    if ((first.value as Input).fullDuplex === true) {
      yield* interleaved(first.value as Input, iterator, context)
      return
    }
    const all = [first.value as Input]
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      all.push(next.value as Input)
    }
    yield* answers(all, context)
  },
}

interface Asked {
  readonly useTls: boolean
  readonly messageReceiveLimit: number
}

async function readRequest(): Promise<Asked> {
  for await (const bytes of delimited(process.stdin)) {
    return fromBinary(message('ServerCompatRequest'), bytes) as unknown as Asked
  }
  throw new Error('the runner said nothing')
}

interface Tls {
  readonly certFile: string
  readonly keyFile: string
  readonly authorityPem: string
}

function makeTls(): Tls {
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-conformance-'))
  const authority = makeAuthority('conformance authority')
  const { certPem, keyPem } = makeCertificate(authority, [['CN', 'localhost']], ['localhost'])
  const [certFile, keyFile] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')]
  writeFileSync(certFile, certPem)
  writeFileSync(keyFile, keyPem)
  return { certFile, keyFile, authorityPem: authority.certPem }
}

/** Returns the port. */
async function open(
  kind: string,
  { messageReceiveLimit }: Asked,
  tls: Tls | null,
): Promise<number> {
  const contract = contractOf(Object.keys(handlers))
  // Each fits its method; the compiler knows neither.
  const served = handlers as unknown as Handlers<Record<string, AnyMethod>>
  const options = { concurrency: 10_000 }
  const files = tls === null ? {} : { tls: { certFile: tls.certFile, keyFile: tls.keyFile } }
  const limit = messageReceiveLimit === 0 ? null : messageReceiveLimit
  if (kind === 'direct') {
    const listening = await listenChannel({
      ...files,
      ...(limit === null ? {} : { messageBytesMax: limit }),
    })
    await serve(listening, contract, served, options).ready
    return listening.port
  }
  const port = Number(kind)
  await serve(connectChannel(`rpc://127.0.0.1:${port}`), contract, served, options).ready
  return port
}

const asked = await readRequest()
const tls = asked.useTls ? makeTls() : null
const port = await open(process.argv[2] ?? 'direct', asked, tls)
const answer = create(message('ServerCompatResponse'), {
  host: tls === null ? '127.0.0.1' : 'localhost',
  port,
  ...(tls === null ? {} : { pemCert: Buffer.from(tls.authorityPem) }),
})
writeDelimited(toBinary(message('ServerCompatResponse'), answer))
