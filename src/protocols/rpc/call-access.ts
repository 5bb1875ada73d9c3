import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
} from '../../rpc/call.ts'
import type { CallRights } from '../../rpc/call-rights.ts'
import { Metadata } from '../../rpc/metadata.ts'

/** Lets the calls of one user through to whom they are for, as far as the user may make them. */
export class CallAccess implements Callee {
  readonly #rights: CallRights
  readonly #callee: Callee

  constructor(rights: CallRights, callee: Callee) {
    this.#rights = rights
    this.#callee = callee
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    const refusal = this.#rights.refusalOf(head.path)
    if (refusal === null) return this.#callee.open(head, reply)
    reply.status(refusal, Metadata.EMPTY)
    return CLOSED_REQUEST
  }
}
