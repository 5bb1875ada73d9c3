import { decodeFields, encodeFields, textOf } from '../../src/codec/grpc/index.ts'
import {
  CALL_WINDOW,
  type CallHead,
  type Callee,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../../src/rpc/call.ts'
import { Metadata } from '../../src/rpc/metadata.ts'
import { OK_STATUS, statusNameOf, statusOf } from '../../src/rpc/status.ts'

export const INTEROP_SERVICE = 'grpc.testing.TestService'

/** Numbers of the fields of grpc.testing's requests. */
const FIELD = { RESPONSE_SIZE: 2, PARAMETERS: 2, PAYLOAD: 3, STATUS: 7 } as const

/** The service that gRPC's interop clients call, as a provider inside this process. */
export class InteropService implements Callee {
  open(head: CallHead, reply: ReplySink): RequestSink {
    return new InteropCall(head, reply)
  }
}

class InteropCall implements RequestSink {
  readonly #method: string
  readonly #reply: ReplySink
  readonly #trailers: Metadata
  #receivedBytes = 0
  #credit = CALL_WINDOW
  /** Replies that wait for credit. */
  readonly #waiting: Uint8Array[] = []
  #ends = false

  constructor(head: CallHead, reply: ReplySink) {
    this.#method = head.path.split('/')[2] ?? ''
    this.#reply = reply
    const initial = head.metadata.get('x-grpc-test-echo-initial')
    if (initial !== null) reply.head(Metadata.from([['x-grpc-test-echo-initial', initial]]))
    const [trailing] = head.metadata.all('x-grpc-test-echo-trailing-bin')
    this.#trailers =
      trailing === undefined
        ? Metadata.EMPTY
        : Metadata.from([['x-grpc-test-echo-trailing-bin', trailing]])
    if (!METHODS.includes(this.#method)) {
      reply.status(statusOf('UNIMPLEMENTED', `no method ${this.#method}`), Metadata.EMPTY)
    }
  }

  message(bytes: Uint8Array, isLast: boolean): void {
    this.#reply.creditRequests(messageCost(bytes.length))
    const fields = decodeFields(bytes) ?? []
    const status = fields.findLast(([number]) => number === FIELD.STATUS)?.[1]
    if (status instanceof Uint8Array) {
      const [code] = decodeFields(status)!.map(([number, value]) => (number === 1 ? value : 0))
      const text = textOf(decodeFields(status)!, 2)
      this.#reply.status(statusOf(statusNameOf(Number(code)), text), this.#trailers)
      return
    }
    switch (this.#method) {
      case 'EmptyCall':
        this.#say(new Uint8Array(0))
        break
      case 'UnaryCall':
        this.#say(payloadOf(numberOf(fields, FIELD.RESPONSE_SIZE)))
        break
      case 'StreamingInputCall':
        this.#receivedBytes += bodySizeOf(fields.find(([number]) => number === 1)?.[1])
        break
      default:
        for (const [number, value] of fields) {
          if (number !== FIELD.PARAMETERS || !(value instanceof Uint8Array)) continue
          this.#say(payloadOf(numberOf(decodeFields(value) ?? [], 1)))
        }
    }
    if (isLast) this.halfClose()
  }

  halfClose(): void {
    if (this.#method === 'StreamingInputCall') this.#say(encodeFields([[1, this.#receivedBytes]]))
    this.#ends = true
    this.#send()
  }

  cancel(): void {}

  creditReplies(cost: number): void {
    this.#credit += cost
    this.#send()
  }

  #say(reply: Uint8Array): void {
    this.#waiting.push(reply)
    this.#send()
  }

  #send(): void {
    while (this.#credit > 0 && this.#waiting.length > 0) {
      const reply = this.#waiting.shift()!
      this.#credit -= messageCost(reply.length)
      this.#reply.reply(reply)
    }
    if (this.#ends && this.#waiting.length === 0) this.#reply.status(OK_STATUS, this.#trailers)
  }
}

const METHODS = [
  'EmptyCall',
  'UnaryCall',
  'StreamingInputCall',
  'StreamingOutputCall',
  'FullDuplexCall',
]

function payloadOf(size: number): Uint8Array {
  return encodeFields([[1, encodeFields([[2, Buffer.alloc(size)]])]])
}

function bodySizeOf(payload: unknown): number {
  const body = payload instanceof Uint8Array ? decodeFields(payload) : null
  const bytes = body?.find(([number]) => number === 2)?.[1]
  return bytes instanceof Uint8Array ? bytes.length : 0
}

type Fields = NonNullable<ReturnType<typeof decodeFields>>

function numberOf(fields: Fields, number: number): number {
  const value = fields.findLast(([known]) => known === number)?.[1]
  return typeof value === 'number' ? value : 0
}
