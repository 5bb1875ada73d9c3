import {
  type CallHead,
  type Callee,
  CLOSED_REQUEST,
  type ReplySink,
  type RequestSink,
} from '../call.ts'
import { Metadata } from '../metadata.ts'
import { type Status, statusOf } from '../status.ts'
import type { Outcome } from './call-record.ts'
import { ANSWER_BYTES_MAX } from './limits.ts'

/** One try at a durable call: what its provider said, until it ends. */
export class Attempt implements ReplySink {
  readonly #done: (outcome: Outcome) => void
  #request: RequestSink = CLOSED_REQUEST
  #answer: Buffer | null = null
  #isOver = false

  constructor(done: (outcome: Outcome) => void) {
    this.#done = done
  }

  /** `body` is borrowed. May be over before this returns. */
  begin(callee: Callee, head: CallHead, body: Uint8Array): void {
    const request = callee.open(head, this)
    if (this.#isOver) return
    this.#request = request
    request.message(body, true)
  }

  /** What is said ahead of the answer is for who waits for it: nobody does. */
  head(): void {}

  creditRequests(): void {}

  reply(bytes: Uint8Array): void {
    if (this.#isOver) return
    if (this.#answer !== null) {
      this.#refuse('FAILED_PRECONDITION', 'a durable call has one answer, and this is a stream')
    } else if (bytes.length > ANSWER_BYTES_MAX) {
      const text = `the answer has ${bytes.length} bytes, the limit of what is kept is ${ANSWER_BYTES_MAX}`
      this.#refuse('OUT_OF_RANGE', text)
    } else this.#answer = Buffer.from(bytes)
  }

  status(status: Status, trailers: Metadata): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#done({ status, trailers, answer: status.code === 'OK' ? this.#answer : null })
  }

  /** The provider did its work, and another attempt would end in the same way. */
  #refuse(code: 'FAILED_PRECONDITION' | 'OUT_OF_RANGE', text: string): void {
    this.#isOver = true
    this.#request.cancel(text)
    this.#done({ status: statusOf(code, text), trailers: Metadata.EMPTY, answer: null })
  }
}
