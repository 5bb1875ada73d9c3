import { SHORT_STRING_BYTES_MAX } from './limits.ts'
import { REPLY } from './spec.gen.ts'
import type { ReplyName } from './spec.gen.ts'

/**
 * What may be wrong with a peer's bytes. All of them end the connection (section 1.2):
 * `FRAME_ERROR` bytes that are no frame, one too large, or no arguments of its method;
 * `SYNTAX_ERROR` tables and properties that don't hold together; `UNEXPECTED_FRAME` a frame that
 * has no place here; `NOT_IMPLEMENTED` an id that no method has.
 */
export type FrameErrorCode = 'FRAME_ERROR' | 'SYNTAX_ERROR' | 'UNEXPECTED_FRAME' | 'NOT_IMPLEMENTED'

/** The ids connection.close gives as the cause; 0 when no method is to blame. */
export interface FrameErrorCause {
  readonly classId?: number
  readonly methodId?: number
  readonly cause?: unknown
}

/**
 * Bytes that break the protocol: thrown only by the codec, caught only by the connection, which
 * answers connection.close with `replyCode` and `replyText(code, message)`.
 */
export class AmqpFrameError extends Error {
  override readonly name = 'AmqpFrameError'
  readonly code: FrameErrorCode
  readonly replyCode: number
  readonly classId: number
  readonly methodId: number

  constructor(code: FrameErrorCode, message: string, about: FrameErrorCause = {}) {
    super(message, 'cause' in about ? { cause: about.cause } : undefined)
    this.code = code
    this.replyCode = REPLY[code]
    this.classId = about.classId ?? 0
    this.methodId = about.methodId ?? 0
  }
}

/**
 * The text of a close or return as RabbitMQ forms it: `NOT_FOUND - no queue 'x' in vhost '/'`.
 *
 * A reply text is a short string, so it is cut to 255 octets, never inside a character.
 */
export function replyText(code: ReplyName, detail: string): string {
  const text = detail === '' ? code : `${code} - ${detail}`
  if (Buffer.byteLength(text) <= SHORT_STRING_BYTES_MAX) return text
  const octets = Buffer.from(text)
  let end = SHORT_STRING_BYTES_MAX
  // 10xxxxxx octets go on with a character that started before.
  while (end > 0 && (octets[end]! & 0xc0) === 0x80) end -= 1
  return octets.toString('utf8', 0, end)
}
