import { BrokerError, type BrokerErrorCode } from '../../model/errors.ts'
import { AmqpFrameError, CONNECTION_REPLIES, type ReplyName } from '../../codec/amqp091/index.ts'

/** A channel error closes the channel; a connection error closes every channel with it. */
export type ErrorScope = 'channel' | 'connection'

export interface Reply {
  readonly reply: ReplyName
  readonly scope: ErrorScope
}

/** What each refusal of the broker becomes on the wire. */
export const REPLIES: Readonly<Record<BrokerErrorCode, Reply>> = {
  NOT_FOUND: { reply: 'NOT_FOUND', scope: 'channel' },
  ACCESS_REFUSED: { reply: 'ACCESS_REFUSED', scope: 'channel' },
  RESOURCE_LOCKED: { reply: 'RESOURCE_LOCKED', scope: 'channel' },
  PRECONDITION_FAILED: { reply: 'PRECONDITION_FAILED', scope: 'channel' },
  NOT_ALLOWED: { reply: 'NOT_ALLOWED', scope: 'connection' },
  NOT_IMPLEMENTED: { reply: 'NOT_IMPLEMENTED', scope: 'connection' },
  LIMIT_EXCEEDED: { reply: 'PRECONDITION_FAILED', scope: 'channel' },
  UNAVAILABLE: { reply: 'INTERNAL_ERROR', scope: 'connection' },
}

/** A refusal as the client will read it: `replyText(reply, message)` in a close. */
export class AmqpError extends Error {
  readonly reply: ReplyName
  readonly scope: ErrorScope

  constructor(reply: ReplyName, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AmqpError'
    this.reply = reply
    // The specification fixes the scope of every code (section 1.2 of its definitions).
    this.scope = CONNECTION_REPLIES.has(reply) ? 'connection' : 'channel'
  }
}

/** A close to send, and whether the operator must hear of it because the fault is ours. */
export interface Failure {
  readonly reply: ReplyName
  readonly scope: ErrorScope
  readonly text: string
  /** Class and method the close names as its cause; 0: none. */
  readonly methodId: number
  readonly isOurs: boolean
}

/** Whatever was thrown while the frame of a method was handled, as a close. */
export function failureOf(error: unknown, methodId: number): Failure {
  if (error instanceof AmqpError) {
    const { reply, scope, message } = error
    return { reply, scope, text: message, methodId, isOurs: false }
  }
  if (error instanceof BrokerError) {
    const { reply, scope } = REPLIES[error.code]
    const isOurs = error.code === 'UNAVAILABLE'
    return { reply, scope, text: error.message, methodId, isOurs }
  }
  if (error instanceof AmqpFrameError) {
    const { code, message, classId } = error
    // A frame out of place names the method it disturbed, or none.
    const own = (classId << 16) | error.methodId
    const blamed = classId === 0 && code !== 'UNEXPECTED_FRAME' ? methodId : own
    return { reply: code, scope: 'connection', text: message, methodId: blamed, isOurs: false }
  }
  // A fault of ours: what it was goes to the log, never to the wire.
  return { reply: 'INTERNAL_ERROR', scope: 'connection', text: '', methodId, isOurs: true }
}

export function notFound(kind: 'queue' | 'exchange', name: string, vhost: string): AmqpError {
  return new AmqpError('NOT_FOUND', `no ${kind} '${name}' in vhost '${vhost}'`)
}

export function resourceLocked(queue: string, vhost: string): AmqpError {
  return new AmqpError(
    'RESOURCE_LOCKED',
    `cannot obtain exclusive access to locked queue '${queue}' in vhost '${vhost}'. It could be ` +
      'originally declared on another connection or the exclusive property value does not match ' +
      'that of the original declaration.',
  )
}

export function preconditionFailed(text: string): AmqpError {
  return new AmqpError('PRECONDITION_FAILED', text)
}
