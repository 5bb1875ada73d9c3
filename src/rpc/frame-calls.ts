import {
  DETAILS_MAX,
  FLAG,
  FRAME,
  writeBytes,
  writeEmpty,
  writeMetadata,
  writeNumber,
  writeOpen,
  writeStatus,
  writeText,
} from '../codec/rpc/index.ts'
import {
  CALL_WINDOW,
  CLOSED_REQUEST,
  type CallHead,
  messageCost,
  type ReplySink,
  type RequestSink,
} from './call.ts'
import { DETAILS_BYTES_MAX, METADATA_BYTES_MAX } from './limits.ts'
import type { FramePeer } from './frame-peer.ts'
import { hopDetail, type HopStage } from './hop.ts'
import { Metadata } from './metadata.ts'
import { type Status, STATUS_CODES, statusOf } from './status.ts'

/** A call that the other side opened: its requests come as frames, its replies leave as frames. */
export class IncomingCall implements ReplySink {
  readonly id: number
  request: RequestSink = CLOSED_REQUEST
  readonly #peer: FramePeer
  /** What the other side may still send. */
  #window = CALL_WINDOW
  #isOver = false

  constructor(peer: FramePeer, id: number) {
    this.#peer = peer
    this.id = id
  }

  begin(request: RequestSink): void {
    if (!this.#isOver) this.request = request
  }

  // --- frames that come ---

  data(payload: Buffer, isLast: boolean): void {
    if (this.#window <= 0) {
      this.fail(beyondWindow())
      return
    }
    this.#window -= messageCost(payload.length)
    this.request.message(payload, isLast)
  }

  credited(cost: number): void {
    this.request.creditReplies(cost)
  }

  cancelled(reason: string): void {
    const { request } = this
    this.#end()
    request.cancel(reason)
  }

  lost(reason: string): void {
    this.cancelled(reason)
  }

  /** Ends the call on both sides. */
  fail(status: Status): void {
    const { request } = this
    this.status(status, Metadata.EMPTY)
    request.cancel(status.message)
  }

  // --- frames that leave ---

  head(metadata: Metadata): void {
    if (this.#isOver) return
    writeMetadata(this.#peer.output, this.id, metadata.flat)
    this.#peer.requestOutput()
  }

  reply(bytes: Uint8Array): void {
    if (this.#isOver) return
    const peer = this.#peer
    if (bytes.length > peer.messageBytesMax) {
      this.fail(tooLarge(bytes.length, peer.messageBytesMax))
      return
    }
    writeBytes(peer.output, { type: FRAME.DATA, id: this.id }, bytes)
    peer.requestOutput()
  }

  status(status: Status, trailers: Metadata): void {
    if (this.#isOver) return
    // First, because the end of the last call may be that of the connection.
    writeStatusFrame(this.#peer, this.id, status, trailers)
    this.#end()
  }

  creditRequests(cost: number): void {
    if (this.#isOver) return
    this.#window += cost
    writeNumber(this.#peer.output, FRAME.CREDIT, this.id, cost)
    this.#peer.requestOutput()
  }

  #end(): void {
    this.#isOver = true
    this.request = CLOSED_REQUEST
    this.#peer.forget(this)
  }
}

/** A call that was opened from here: its requests leave as frames, its replies come as frames. */
export class OutgoingCall implements RequestSink {
  readonly id: number
  readonly #peer: FramePeer
  readonly #reply: ReplySink
  #window = CALL_WINDOW
  #isOver = false
  #stage: HopStage = 'delivered'
  /** Where in the output the call begins, to know whether it ever left. */
  #startBytes = 0

  constructor(peer: FramePeer, id: number, reply: ReplySink) {
    this.#peer = peer
    this.id = id
    this.#reply = reply
  }

  begin({ path, contentType, metadata, deadlineMs, isOneWay }: CallHead): void {
    const { output, clock } = this.#peer
    if (metadata.byteLength > METADATA_BYTES_MAX) {
      this.#end()
      const text = `metadata of ${metadata.byteLength} bytes, the limit is ${METADATA_BYTES_MAX}`
      this.#reply.status(statusOf('RESOURCE_EXHAUSTED', text), Metadata.EMPTY)
      return
    }
    this.#startBytes = output.writtenBytes + output.at
    const timeoutMs = Math.max(deadlineMs - clock.monotonicMs(), 0)
    const frame = { path, contentType, timeoutMs, metadata: metadata.flat }
    writeOpen(output, this.id, frame, isOneWay ? FLAG.ONE_WAY : 0)
    this.#peer.requestOutput()
  }

  // --- frames that leave ---

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#isOver) return
    const peer = this.#peer
    if (bytes.length > peer.messageBytesMax) {
      this.fail(tooLarge(bytes.length, peer.messageBytesMax))
      return
    }
    const flags = isLast ? FLAG.LAST : 0
    writeBytes(peer.output, { type: FRAME.DATA, id: this.id, flags }, bytes)
    peer.requestOutput()
  }

  halfClose(): void {
    if (this.#isOver) return
    writeEmpty(this.#peer.output, FRAME.HALF_CLOSE, this.id)
    this.#peer.requestOutput()
  }

  cancel(reason: string): void {
    if (this.#isOver) return
    this.#end()
    writeText(this.#peer.output, FRAME.CANCEL, this.id, reason)
    this.#peer.requestOutput()
  }

  creditReplies(cost: number): void {
    if (this.#isOver) return
    this.#window += cost
    writeNumber(this.#peer.output, FRAME.CREDIT, this.id, cost)
    this.#peer.requestOutput()
  }

  // --- frames that come ---

  headCame(metadata: Metadata): void {
    this.#stage = 'started'
    this.#reply.head(metadata)
  }

  data(payload: Buffer, _isLast: boolean): void {
    if (this.#window <= 0) {
      this.fail(beyondWindow())
      return
    }
    this.#window -= messageCost(payload.length)
    this.#stage = 'reply_lost'
    this.#reply.reply(payload)
  }

  credited(cost: number): void {
    if (this.#stage === 'delivered') this.#stage = 'started'
    this.#reply.creditRequests(cost)
  }

  ended(status: Status, trailers: Metadata): void {
    this.#end()
    this.#reply.status(status, trailers)
  }

  /** Ends the call on both sides. */
  fail(status: Status): void {
    this.cancel(status.message)
    this.#reply.status(status, Metadata.EMPTY)
  }

  lost(reason: string): void {
    this.#isOver = true
    const hasLeft = this.#startBytes < this.#peer.output.writtenBytes
    const stage = hasLeft ? this.#stage : 'queued'
    const details = [hopDetail({ stage, provider: '', waitedMs: 0 })]
    this.#reply.status(statusOf('UNAVAILABLE', reason, details), Metadata.EMPTY)
  }

  #end(): void {
    this.#isOver = true
    this.#peer.forget(this)
  }
}

export function writeStatusFrame(
  peer: FramePeer,
  id: number,
  status: Status,
  trailers: Metadata,
): void {
  const { code, message } = status
  let detailBytes = 0
  for (const { type, value } of status.details) detailBytes += type.length + value.length
  const isTooLong = detailBytes > DETAILS_BYTES_MAX || status.details.length > DETAILS_MAX
  writeStatus(
    peer.output,
    { type: FRAME.STATUS, id },
    {
      code: STATUS_CODES[code],
      message,
      details: isTooLong ? [] : status.details,
      trailers: trailers.byteLength > METADATA_BYTES_MAX ? [] : trailers.flat,
    },
  )
  peer.requestOutput()
}

function beyondWindow(): Status {
  return statusOf('RESOURCE_EXHAUSTED', `more was sent than the window of the call has room for`)
}

function tooLarge(size: number, max: number): Status {
  return statusOf('RESOURCE_EXHAUSTED', `a message of ${size} bytes, the limit is ${max}`)
}
