import {
  CALL_EXCHANGE,
  type InboxSink,
  type StoredMessage,
  type VirtualHost,
} from '../../broker/index.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import type { Actor } from '../../model/actor.ts'
import { type CanonicalProperties, NO_PROPERTIES } from '../../model/canonical-properties.ts'
import { BrokerError } from '../../model/errors.ts'
import {
  CLOSED_REQUEST,
  type Callee,
  deadlineAfter,
  permissionNameOf,
  type ReplySink,
  type RequestSink,
  serviceOf,
} from '../call.ts'
import { refusalBy } from '../call-rights.ts'
import { CALLER_CHECK_MS, METADATA_BYTES_MAX } from '../limits.ts'
import { Metadata } from '../metadata.ts'
import { type Status, statusOf } from '../status.ts'
import type { BridgeLimits } from './limits.ts'
import { type Place, publishMade } from './made-message.ts'
import {
  callTypeOf,
  contentTypeOf,
  errorBody,
  headersOfMetadata,
  metadataOfHeaders,
  pathOfKey,
  type ReadMessage,
  readMessage,
  statusHeaders,
} from './message-fields.ts'

/** What those who publish may do. */
export interface MessageRights {
  /** Throws `BrokerError` where they may not `write` to the queue of this name. */
  requireCall(vhost: string, principal: string, queueName: string): void
  /** Throws `BrokerError` where they may not publish there. */
  requirePublish(vhost: string, principal: string, place: Place): void
}

export interface MessageCallersParts {
  readonly vhost: VirtualHost
  readonly callee: Callee
  readonly clock: Clock
  readonly rights: MessageRights
  readonly limits: BridgeLimits
}

/** Where answers go that are wanted under a topic. */
const TOPIC_EXCHANGE = 'amq.topic'

/**
 * Callers that publish a message to the exchange of calls. Its routing key says what is called, its
 * expiration how long the answer is wanted; the answer is published to its reply address with its
 * correlation id. Without a reply address it is a one-way call.
 */
export class MessageCallers implements InboxSink {
  readonly parts: MessageCallersParts
  readonly #calls: Set<MessageCall> = new Set()
  #timer: Timer | null = null
  #checkedVersion = 0

  constructor(parts: MessageCallersParts) {
    this.parts = parts
    const { vhost } = parts
    const inbox = vhost.openInbox(`${CALL_EXCHANGE}.calls.${vhost.random.id()}`, this)
    inbox.bind(vhost.exchange(CALL_EXCHANGE)!, '#')
  }

  /** Calls that have not ended. */
  get count(): number {
    return this.#calls.size
  }

  deliverDirect(message: StoredMessage, from: Actor | null): void {
    const { vhost } = this.parts
    const read = readMessage(vhost, message)
    if (read === null) {
      vhost.log.warn({}, 'a call cannot be read and is dropped')
      return
    }
    const call = new MessageCall(this, read.properties)
    const refusal = this.#refusal(read, from, call.place)
    // Whoever may not publish to an address must not make the broker do so.
    if (refusal?.place === 'refused') {
      vhost.log.warn({ user: from?.user ?? null }, `a call is dropped: ${refusal.status.message}`)
      return
    }
    if (refusal !== null) {
      call.status(refusal.status, Metadata.EMPTY)
      return
    }
    this.#calls.add(call)
    call.begin(read)
    if (this.#calls.size > 0) this.#watch()
  }

  ended(call: MessageCall): void {
    this.#calls.delete(call)
    if (this.#calls.size > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #refusal(
    { key, properties, body }: ReadMessage,
    from: Actor | null,
    place: Place | null,
  ): { readonly status: Status; readonly place?: 'refused' } | null {
    const { vhost, rights, limits } = this.parts
    const principal = from === null ? null : (from.principal?.() ?? from.user)
    if (principal === null) {
      const status = statusOf('UNAUTHENTICATED', 'it is not known who calls')
      return { status, place: 'refused' }
    }
    if (place !== null && !isInbox(vhost, place)) {
      const status = refusalBy(() => rights.requirePublish(vhost.name, principal, place))
      if (status !== null) return { status, place: 'refused' }
    }
    const path = pathOfKey(key)
    const service = path === null ? null : serviceOf(path)
    if (service === null) {
      const text = `the routing key '${key}' is no package.Service.Method`
      return { status: statusOf('UNIMPLEMENTED', text) }
    }
    const right = permissionNameOf(service)
    const refused = refusalBy(() => rights.requireCall(vhost.name, principal, right))
    if (refused !== null) return { status: refused }
    const { messageBytesMax, messageCallsMax } = limits
    if (body.length > messageBytesMax) {
      const text = `a message of ${body.length} bytes, the limit is ${messageBytesMax}`
      return { status: statusOf('RESOURCE_EXHAUSTED', text) }
    }
    if (this.#calls.size >= messageCallsMax) {
      const text = `${this.#calls.size} calls by messages are open, which is the limit`
      return { status: statusOf('RESOURCE_EXHAUSTED', text) }
    }
    const { byteLength } = metadataOfHeaders(properties.headers)
    if (byteLength <= METADATA_BYTES_MAX) return null
    const text = `metadata of ${byteLength} bytes, the limit is ${METADATA_BYTES_MAX}`
    return { status: statusOf('RESOURCE_EXHAUSTED', text) }
  }

  #watch(): void {
    this.#timer ??= this.parts.clock.setTimer(CALLER_CHECK_MS, () => {
      this.#timer = null
      this.#cancelOrphans()
      if (this.#calls.size > 0) this.#watch()
    })
  }

  /** Calls whose answer nobody can get any more. */
  #cancelOrphans(): void {
    const { vhost } = this.parts
    if (vhost.topologyVersion === this.#checkedVersion) return
    this.#checkedVersion = vhost.topologyVersion
    for (const call of this.#calls) {
      if (call.place !== null && !leadsSomewhere(vhost, call.place)) call.abandon()
    }
  }
}

/** A call that a message made. */
class MessageCall implements ReplySink {
  /** Where the answer goes; null: nobody wants it. */
  readonly place: Place | null
  readonly #callers: MessageCallers
  readonly #correlationId: Buffer | null
  readonly #callType: string
  readonly #expirationMs: number | null
  #request: RequestSink = CLOSED_REQUEST
  #head: Metadata = Metadata.EMPTY
  #answer: Buffer | null = null
  #isOver = false

  constructor(callers: MessageCallers, properties: CanonicalProperties) {
    const { replyTo, replyToKey, correlationId, contentType, expirationMs } = properties
    this.#callers = callers
    this.place = placeOf(replyTo, replyToKey)
    this.#correlationId = correlationId
    this.#callType = callTypeOf(contentType)
    this.#expirationMs = expirationMs
  }

  begin({ key, properties, body }: ReadMessage): void {
    const { callee, clock, limits } = this.#callers.parts
    const deadlineMs = deadlineAfter(clock.monotonicMs(), this.#expirationMs, limits.deadlineMsMax)
    const head = {
      ...{ path: pathOfKey(key)!, deadlineMs, contentType: this.#callType },
      metadata: metadataOfHeaders(properties.headers),
      isOneWay: this.place === null,
    }
    const request = callee.open(head, this)
    if (this.#isOver) return
    this.#request = request
    request.message(body, true)
  }

  /** Nobody is there for the answer. */
  abandon(): void {
    const request = this.#request
    this.#close()
    request.cancel('the caller has gone')
  }

  head(metadata: Metadata): void {
    this.#head = metadata
  }

  reply(bytes: Uint8Array): void {
    if (this.#isOver) return
    if (this.#answer === null) {
      this.#answer = Buffer.from(bytes)
      return
    }
    const request = this.#request
    const text = 'the method answers with a stream, and a message has room for one answer'
    this.status(statusOf('UNIMPLEMENTED', text), Metadata.EMPTY)
    request.cancel(text)
  }

  creditRequests(): void {}

  status(status: Status, trailers: Metadata): void {
    if (this.#isOver) return
    const answer = this.#answer ?? Buffer.alloc(0)
    this.#close()
    if (this.place === null) return
    const isOk = status.code === 'OK'
    const { messageBytesMax } = this.#callers.parts.limits
    if (isOk && answer.length > messageBytesMax) {
      const text = `an answer of ${answer.length} bytes, the limit is ${messageBytesMax}`
      this.#send(statusOf('RESOURCE_EXHAUSTED', text), null, [])
      return
    }
    this.#send(status, isOk ? answer : null, [this.#head, trailers])
  }

  /** `answer` null: an error. */
  #send(status: Status, answer: Buffer | null, said: readonly Metadata[]): void {
    const { vhost } = this.#callers.parts
    const body = answer ?? errorBody(status)
    const metadata = said.flatMap(headersOfMetadata)
    const properties = {
      ...NO_PROPERTIES,
      contentType: contentTypeOf(answer === null ? 'json' : this.#callType),
      correlationId: this.#correlationId,
      headers: [...statusHeaders(status), ...metadata],
    }
    const place = this.place!
    try {
      publishMade(vhost, place, { properties, body })
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      const leftOut = { name: 'x-headers-left-out', value: metadata.length }
      const headers = [...statusHeaders(status), leftOut]
      publishMade(vhost, place, { properties: { ...properties, headers }, body })
    }
  }

  #close(): void {
    this.#isOver = true
    this.#answer = null
    this.#request = CLOSED_REQUEST
    this.#callers.ended(this)
  }
}

function placeOf(replyTo: string | null, replyToKey: string | null): Place | null {
  if (replyTo !== null) return { exchange: '', key: replyTo }
  return replyToKey === null ? null : { exchange: TOPIC_EXCHANGE, key: replyToKey }
}

/** Its name is known to nobody but those who were given it. */
function isInbox(vhost: VirtualHost, { exchange, key }: Place): boolean {
  return exchange === '' && vhost.inbox(key) !== undefined
}

function leadsSomewhere(vhost: VirtualHost, { exchange, key }: Place): boolean {
  const found = vhost.exchange(exchange)
  if (found === undefined) return false
  const { targets } = vhost.route(found, key)
  return targets === null || !targets.isEmpty
}
