import { PUBLISH } from '../../broker/index.ts'
import {
  AmqpFrameError,
  CLASS,
  type ContentHeaderView,
  editContentHeader,
  encodeShortString,
  type FieldValue,
  fieldTypeName,
  METHOD,
  PROPERTY,
  REPLY,
} from '../../codec/amqp091/index.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import {
  delayMsOf,
  ORDER_PREFIX,
  SCHEDULE_HEADER,
  scheduleOrderOf,
} from '../../model/schedule-order.ts'
import { principalOf, requirePermission, requireTopicPermission } from '../../auth/index.ts'
import type { Channel } from './channel.ts'
import { AmqpError, notFound, preconditionFailed } from './errors.ts'
import { expirationMsOf } from './expiration.ts'
import { headerValueOf, keysOf } from './mapping.ts'
import { REPLY_TO_NAME } from './direct-reply-to.ts'
import type { RouteSlot } from './route-cache.ts'

const IDLE = 0
const AWAITS_HEADER = 1
const AWAITS_BODY = 2

/** Bodies above it are gathered in a buffer that grows with what came, not with what was said. */
const BODY_BYTES_TRUSTED = 1024 * 1024

const NO_ROUTE_TEXT = encodeShortString('NO_ROUTE')
const ABOUT_PUBLISH = { classId: CLASS.BASIC, methodId: METHOD.BASIC_PUBLISH & 0xffff }
const NOTHING: Buffer = Buffer.alloc(0)

/** The properties that mean something to the broker beside delivery-mode and priority. */
const SPECIAL_FLAGS =
  flagOf(PROPERTY.HEADERS) |
  flagOf(PROPERTY.REPLY_TO) |
  flagOf(PROPERTY.EXPIRATION) |
  flagOf(PROPERTY.USER_ID)

/** `x-delay` ends here, as in RabbitMQ's plugin: what fits into a timer there. */
const DELAY_MS_MAX = 0xffff_ffff

function flagOf(place: number): number {
  return 0x8000 >> place
}

/**
 * Takes basic.publish, its content header and its body apart, and publishes in place: nothing of
 * a message that came in one read is copied before it is in the store's own buffer.
 */
export class PublishPath {
  readonly #channel: Channel
  readonly #draft = new MessageDraft()
  #stage: typeof IDLE | typeof AWAITS_HEADER | typeof AWAITS_BODY = IDLE
  #slot: RouteSlot | null = null
  #mandatory = false
  /** The header lies in a read that is still borrowed. */
  #headerBorrowed = false
  /** Routing keys from CC and BCC. */
  #extraKeys: readonly string[] | null = null
  #bodySize = 0
  #body: Buffer = NOTHING
  #bodyBytes = 0

  constructor(channel: Channel) {
    this.#channel = channel
    this.#draft.form = NATIVE_FORM.AMQP091
    this.#draft.actor = channel.connection.actor
  }

  get isIdle(): boolean {
    return this.#stage === IDLE
  }

  onMethod(bytes: Buffer, start: number, end: number): void {
    const { connection } = this.#channel
    const view = connection.publishView
    view.read(bytes, start, end)
    if (view.immediate) throw new AmqpError('NOT_IMPLEMENTED', 'immediate=true')
    const slot = connection.routes.find(bytes, view.addressStart, view.addressEnd)
    this.ensure(slot)
    this.#slot = slot
    this.#mandatory = view.mandatory
    this.#stage = AWAITS_HEADER
  }

  onHeader(bytes: Buffer, start: number, end: number): void {
    if (this.#stage !== AWAITS_HEADER) throw this.unexpectedFrame(false)
    const { connection } = this.#channel
    const view = connection.headerView
    if (end - start >= 2) this.#checkClass((bytes[start]! << 8) | bytes[start + 1]!)
    view.read(bytes, start, end)
    const bodySize = view.bodySize
    const sizeMax = Math.min(connection.limits.messageSizeMax, connection.flow.messageSizeMax)
    if (bodySize > sizeMax) {
      throw preconditionFailed(
        `message size ${bodySize} is larger than configured max size ${sizeMax}`,
      )
    }
    const draft = this.#draft
    draft.persistent = view.deliveryMode === 2
    draft.priority = view.priority < 0 ? 0 : view.priority
    draft.ttlMs = -1
    draft.delayMs = 0
    draft.schedule = null
    draft.setHeader(bytes, start, end)
    this.#headerBorrowed = true
    this.#extraKeys = null
    if ((view.flags & SPECIAL_FLAGS) !== 0) this.#readSpecial(view)
    if (bodySize === 0) {
      this.#complete(NOTHING, 0, 0)
      return
    }
    this.#bodySize = bodySize
    this.#bodyBytes = 0
    this.#stage = AWAITS_BODY
    if (bytes === connection.reading) connection.contentOpened(this)
    else this.retain()
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#stage !== AWAITS_BODY) throw this.unexpectedFrame(true)
    const size = end - start
    const before = this.#bodyBytes
    if (before + size > this.#bodySize) {
      const text = `a body of more than the ${this.#bodySize} octets its header announces`
      throw new AmqpFrameError('UNEXPECTED_FRAME', text, ABOUT_PUBLISH)
    }
    if (before === 0 && size === this.#bodySize) {
      this.#complete(bytes, start, end)
      return
    }
    if (size === 0) return
    this.#gather(bytes, start, end)
    if (before + size === this.#bodySize) {
      const body = this.#body
      const { connection } = this.#channel
      connection.partialBytes -= this.#bodySize
      this.#body = NOTHING
      this.#bodyBytes = 0
      this.#complete(body, 0, this.#bodySize)
      // Whoever needed the body has copied it: fresh memory for each would keep the collector busy.
      connection.slabs.give(body)
    }
  }

  /** The read that the header lies in goes away: keeps it. */
  retain(): void {
    if (this.#stage !== AWAITS_BODY || !this.#headerBorrowed) return
    const { header, headerStart, headerEnd } = this.#draft
    const own = Buffer.from(header.subarray(headerStart, headerEnd))
    this.#draft.setHeader(own, 0, own.length)
    this.#headerBorrowed = false
  }

  /** The channel closes: what was begun is forgotten. */
  abandon(): void {
    this.#channel.connection.partialBytes -= this.#bodyBytes
    this.#stage = IDLE
    this.#body = NOTHING
    this.#bodyBytes = 0
    this.#draft.setHeader(NOTHING, 0, 0)
    this.#draft.setBody(NOTHING, 0, 0)
  }

  /** What RabbitMQ says of a frame in the wrong place. */
  unexpectedFrame(isBody: boolean): AmqpFrameError {
    if (this.#stage === IDLE) {
      const text = 'expected method frame, got non method frame instead'
      return new AmqpFrameError('UNEXPECTED_FRAME', text)
    }
    const text =
      this.#stage === AWAITS_HEADER || isBody
        ? 'expected content header for class 60, got non content header frame instead'
        : 'expected content body, got non content body frame instead'
    return new AmqpFrameError('UNEXPECTED_FRAME', text, ABOUT_PUBLISH)
  }

  /** Finds the address again after a change; throws where nobody may publish to it any more. */
  ensure(slot: RouteSlot): void {
    if (slot.version !== this.#channel.vhost.topologyVersion) this.#resolve(slot)
  }

  /** Publishes now what `draft` holds; also for a transaction that commits. */
  publish(slot: RouteSlot, extraKeys: readonly string[] | null, draft: MessageDraft): boolean {
    const { vhost } = this.#channel
    this.ensure(slot)
    draft.setAddress(slot.address, 0, slot.address.length)
    const route =
      extraKeys === null
        ? slot.route!
        : vhost.routeMany(slot.exchange!, [slot.routingKey, ...extraKeys], draft)
    const result = vhost.publish(route, draft)
    this.#channel.confirms?.published(result)
    return result !== PUBLISH.UNROUTED
  }

  /** basic.return: nobody took the message and its publisher wants to know. */
  sendReturn(draft: MessageDraft): void {
    const { connection, writer } = this.#channel
    const { content, output } = connection
    content.setAddress(draft.address, draft.addressStart, draft.addressEnd)
    content.setHeader(draft.header, draft.headerStart, draft.headerEnd)
    content.setBody(draft.body, draft.bodyStart, draft.bodyEnd)
    const at = output.reserve(writer.returnBytes(NO_ROUTE_TEXT, content))
    output.at = writer.return(output.buffer, at, REPLY.NO_ROUTE, NO_ROUTE_TEXT, content)
    connection.requestOutput()
  }

  #checkClass(classId: number): void {
    if (classId === CLASS.BASIC) return
    const text = `expected content header for class 60, got one for class ${classId} instead`
    throw new AmqpFrameError('UNEXPECTED_FRAME', text, ABOUT_PUBLISH)
  }

  #complete(body: Buffer, start: number, end: number): void {
    const slot = this.#slot!
    const draft = this.#draft
    const channel = this.#channel
    this.#stage = IDLE
    draft.setBody(body, start, end)
    channel.connection.publishedCount++
    if (channel.transaction !== null) {
      channel.transaction.addPublish(slot, this.#extraKeys, draft, this.#mandatory)
      return
    }
    if (this.#mandatory) {
      this.#publishMandatory(slot, draft)
      return
    }
    this.publish(slot, this.#extraKeys, draft)
  }

  /** The return goes out before the confirm, whichever result the confirm brings. */
  #publishMandatory(slot: RouteSlot, draft: MessageDraft): void {
    if (!this.publish(slot, this.#extraKeys, draft)) this.sendReturn(draft)
  }

  /** Finds what the address means now and whether this user may publish there. */
  #resolve(slot: RouteSlot): void {
    const { vhost, connection } = this.#channel
    const { exchangeName, routingKey } = slot
    const exchange = vhost.exchange(exchangeName)
    const user = principalOf(connection.user)
    requirePermission(connection.users, {
      user,
      vhost: vhost.name,
      resource: 'exchange',
      name: exchangeName,
      kind: 'write',
    })
    if (exchange === undefined) throw notFound('exchange', exchangeName, vhost.name)
    if (exchange.spec.internal) {
      const where = `exchange '${exchangeName}' in vhost '${vhost.name}'`
      throw new AmqpError('ACCESS_REFUSED', `cannot publish to internal ${where}`)
    }
    if (exchange.spec.type === 'topic') {
      const topic = { user, vhost: vhost.name, exchange: exchangeName, routingKey }
      requireTopicPermission(connection.users, { ...topic, kind: 'write' })
    }
    slot.exchange = exchange
    slot.route = vhost.route(exchange, routingKey)
    slot.version = vhost.topologyVersion
  }

  #readSpecial(view: ContentHeaderView): void {
    const draft = this.#draft
    if (view.has(PROPERTY.USER_ID)) this.#checkUserId(view)
    if (view.has(PROPERTY.EXPIRATION)) {
      const start = view.textStart(PROPERTY.EXPIRATION)
      draft.ttlMs = expirationMsOf(draft.header, start, view.textEnd(PROPERTY.EXPIRATION))
    }
    if (view.headersEnd > view.headersStart) {
      if (view.hasHeaderLike(ORDER_PREFIX)) this.#readOrder(view)
      const cc = view.header('CC')
      const bcc = view.header('BCC')
      if (cc !== undefined || bcc !== undefined) this.#readExtraKeys(cc, bcc)
    }
    const replyStart = view.textStart(PROPERTY.REPLY_TO)
    if (view.textEnd(PROPERTY.REPLY_TO) - replyStart !== REPLY_TO_NAME.length) return
    if (view.text(PROPERTY.REPLY_TO) !== REPLY_TO_NAME) return
    const inbox = this.#channel.replyInboxName
    if (inbox === null) throw preconditionFailed('fast reply consumer does not exist')
    this.#editHeader({ set: { replyTo: inbox } })
  }

  #readOrder(view: ContentHeaderView): void {
    const draft = this.#draft
    const headerOf = (name: string): HeaderValue | undefined => {
      const value = view.header(name)
      return value === undefined ? undefined : orderValueOf(value)
    }
    draft.delayMs = delayMsOf(headerOf(SCHEDULE_HEADER.AFTER))
    if (draft.delayMs === 0 && this.#slot!.exchange!.spec.delayed) {
      draft.delayMs = Math.min(delayMsOf(headerOf('x-delay')), DELAY_MS_MAX)
    }
    draft.schedule = scheduleOrderOf(headerOf)
    if (draft.schedule !== null) this.#channel.vhost.schedules.check(draft.schedule)
  }

  #checkUserId(view: ContentHeaderView): void {
    const userId = view.text(PROPERTY.USER_ID)
    const { user } = this.#channel.connection
    if (userId === user.name || user.tags.includes('impersonator')) return
    throw preconditionFailed(
      `user_id property set to '${userId}' but authenticated user was '${user.name}'`,
    )
  }

  #readExtraKeys(cc: FieldValue | undefined, bcc: FieldValue | undefined): void {
    const keys = [...keysOfHeader('CC', cc), ...keysOfHeader('BCC', bcc)]
    if (keys.length > 0) this.#extraKeys = keys
    if (bcc !== undefined) this.#editHeader({ removeHeaders: ['BCC'] })
  }

  #editHeader(edit: Parameters<typeof editContentHeader>[1]): void {
    const { header, headerStart, headerEnd } = this.#draft
    const edited = editContentHeader(header.subarray(headerStart, headerEnd), edit)
    this.#draft.setHeader(edited, 0, edited.length)
    this.#headerBorrowed = false
  }

  #gather(bytes: Buffer, start: number, end: number): void {
    const { connection } = this.#channel
    const size = end - start
    const needed = this.#bodyBytes + size
    connection.partialBytes += size
    if (connection.partialBytes > connection.limits.partialBytesMax) {
      const max = connection.limits.partialBytesMax
      throw new AmqpError('RESOURCE_ERROR', `incomplete bodies of more than ${max} octets`)
    }
    if (this.#body.length < needed) {
      const room = Math.min(this.#bodySize, Math.max(needed * 2, BODY_BYTES_TRUSTED))
      const grown = connection.slabs.take(room)
      this.#body.copy(grown, 0, 0, this.#bodyBytes)
      connection.slabs.give(this.#body)
      this.#body = grown
    }
    bytes.copy(this.#body, this.#bodyBytes, start, end)
    this.#bodyBytes = needed
  }
}

function keysOfHeader(name: string, value: FieldValue | undefined): readonly string[] {
  if (value === undefined) return []
  const keys = keysOf(value)
  if (keys !== null) return keys
  const type = fieldTypeName(value)
  throw preconditionFailed(`invalid message: {unacceptable_type_in_header,"${name}",${type}}`)
}

/** A timestamp of AMQP counts seconds. */
function orderValueOf(value: FieldValue): HeaderValue {
  const plain = headerValueOf(value)
  const isTimestamp = fieldTypeName(value) === 'timestamp'
  return isTimestamp && typeof plain !== 'object' ? Number(plain) * 1000 : plain
}
