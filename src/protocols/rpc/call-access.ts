import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
  serviceOf,
} from '../../rpc/call.ts'
import type { CallRights } from '../../rpc/call-rights.ts'
import { Metadata } from '../../rpc/metadata.ts'

/**
 * Lets the calls of one user through to whom they are for, as far as the user may make them. The
 * broker's own services see to that themselves.
 */
export class CallAccess implements Callee {
  readonly #rights: CallRights
  readonly #callee: Callee
  readonly #own: ReadonlyMap<string, Callee>

  constructor(rights: CallRights, callee: Callee, own: ReadonlyMap<string, Callee>) {
    this.#rights = rights
    this.#callee = callee
    this.#own = own
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    if (head.path.startsWith(OWN_PATH)) {
      const own = this.#own.get(serviceOf(head.path) ?? '')
      if (own !== undefined) return own.open(head, reply)
    }
    const refusal = this.#rights.refusalOf(head.path)
    if (refusal === null) return this.#callee.open(head, reply)
    reply.status(refusal, Metadata.EMPTY)
    return CLOSED_REQUEST
  }
}

const OWN_PATH = '/waystation.rpc.'
