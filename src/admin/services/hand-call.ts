import type { Clock } from '../../lib/clock.ts'
import {
  CALL_WINDOW,
  CLOSED_REQUEST,
  type Callee,
  deadlineAfter,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../../rpc/call.ts'
import { HOP_TYPE, hopOf } from '../../rpc/hop.ts'
import type { Metadata } from '../../rpc/metadata.ts'
import type { Status, StatusDetail } from '../../rpc/status.ts'
import type { CallDetail, CallEvent, MetadataPair } from '../../model/shapes/services.ts'
import { CALL_REPLIES_MAX, CALL_REPLY_BYTES_MAX } from './limits.ts'

export interface HandCallOptions {
  readonly clock: Clock
  readonly callee: Callee
  readonly path: string
  readonly metadata: Metadata
  readonly isOneWay: boolean
  /** Null: nothing is said. */
  readonly deadlineMs: number | null
  readonly messages: readonly unknown[]
  /** Once, however the call ends. */
  readonly onEnd: () => void
}

/**
 * Makes a call with JSON; what comes back is a line of JSON each, as it comes. Whoever does not read
 * holds the callee up, and the call is cancelled when the reader leaves.
 */
export function makeCall(options: HandCallOptions): ReadableStream<Uint8Array> {
  const call = new HandCall(options)
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => call.begin(controller),
      pull: () => call.grant(),
      cancel: () => call.cancel('whoever made the call has left'),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: CALL_WINDOW }),
  )
}

const ENCODER = new TextEncoder()

class HandCall implements ReplySink {
  readonly #options: HandCallOptions
  readonly #startedMs: number
  readonly #unsent: Buffer[]
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null
  #request: RequestSink | null = null
  #isOver = false
  /** What may still be sent. */
  #window = CALL_WINDOW
  /** What came and was not yet granted again. */
  #owed = 0
  #replyCount = 0
  #replyBytes = 0

  constructor(options: HandCallOptions) {
    this.#options = options
    this.#startedMs = options.clock.monotonicMs()
    this.#unsent = options.messages.map((message) => Buffer.from(JSON.stringify(message)))
  }

  begin(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller
    const { callee, path, metadata, isOneWay, deadlineMs } = this.#options
    const request = callee.open(
      {
        ...{ path, metadata, isOneWay, contentType: 'json' },
        deadlineMs: deadlineAfter(this.#startedMs, deadlineMs),
      },
      this,
    )
    if (this.#isOver) return
    this.#request = request
    if (this.#unsent.length === 0) request.halfClose()
    else this.#send()
  }

  /** The reader has room. */
  grant(): void {
    const owed = this.#owed
    this.#owed = 0
    if (owed > 0) this.#request?.creditReplies(owed)
  }

  cancel(reason: string): void {
    if (this.#isOver) return
    const request = this.#request ?? CLOSED_REQUEST
    this.#finish()
    request.cancel(reason)
  }

  // --- from the callee ---

  head(metadata: Metadata): void {
    this.#write({ kind: 'head', metadata: pairsOf(metadata) })
  }

  reply(bytes: Uint8Array): void {
    if (this.#isOver) return
    this.#replyCount += 1
    this.#replyBytes += bytes.length
    this.#owed += messageCost(bytes.length)
    if (this.#replyCount > CALL_REPLIES_MAX || this.#replyBytes > CALL_REPLY_BYTES_MAX) {
      this.#cut()
      return
    }
    this.#write({ kind: 'message', ...contentOf(bytes) })
    if ((this.#controller?.desiredSize ?? 0) > 0) this.grant()
  }

  status(status: Status, trailers: Metadata): void {
    if (this.#isOver) return
    this.#end(status, pairsOf(trailers))
  }

  creditRequests(cost: number): void {
    this.#window += cost
    this.#send()
  }

  // --- inside ---

  #send(): void {
    while (this.#request !== null && this.#window > 0) {
      const bytes = this.#unsent.shift()
      if (bytes === undefined) return
      this.#window -= messageCost(bytes.length)
      this.#request.message(bytes, this.#unsent.length === 0)
    }
  }

  #cut(): void {
    const request = this.#request ?? CLOSED_REQUEST
    const limits = `${CALL_REPLIES_MAX} messages or ${CALL_REPLY_BYTES_MAX} octets`
    const message = `cancelled: the answer has more than ${limits}, which is all that is shown`
    this.#end({ code: 'CANCELLED', message, details: [] }, [])
    request.cancel(message)
  }

  #end({ code, message, details }: Status, trailers: readonly MetadataPair[]): void {
    const tookMs = this.#options.clock.monotonicMs() - this.#startedMs
    this.#write({
      ...{ kind: 'status', code, message, details: details.map(detailOf), trailers },
      tookMs: Math.round(tookMs * 100) / 100,
    })
    this.#controller?.close()
    this.#finish()
  }

  #finish(): void {
    this.#isOver = true
    this.#request = null
    this.#options.onEnd()
  }

  #write(event: CallEvent): void {
    if (!this.#isOver) this.#controller?.enqueue(ENCODER.encode(`${JSON.stringify(event)}\n`))
  }
}

function contentOf(bytes: Uint8Array): { readonly value: unknown } | { readonly base64: string } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    return { value: JSON.parse(buffer.toString('utf8')) as unknown }
  } catch {
    // A callee may answer in any form; it is shown as it is.
    return { base64: buffer.toString('base64') }
  }
}

/** Those of contracts are JSON, and how far a call came is ours. */
function detailOf(detail: StatusDetail): CallDetail {
  const { type, value } = detail
  const hop = type === HOP_TYPE ? hopOf({ details: [detail] }) : null
  if (hop !== null) return { type, value: hop }
  if (type.startsWith('json/')) return { type, ...contentOf(value) }
  return { type, base64: Buffer.from(value).toString('base64') }
}

function pairsOf(metadata: Metadata): MetadataPair[] {
  return Array.from(metadata, ([name, value]) => [
    name,
    typeof value === 'string' ? value : Buffer.from(value).toString('base64'),
  ])
}
