import type { UserStore } from '../../auth/index.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  permissionNameOf,
  type ReplySink,
  type RequestSink,
  serviceOf,
} from '../../rpc/call.ts'
import { Metadata } from '../../rpc/metadata.ts'
import { RpcError, statusOf } from '../../rpc/status.ts'

export interface CallAccessParts {
  readonly users: UserStore
  readonly user: string
  readonly vhost: string
  readonly callee: Callee
  readonly pathsMax: number
}

/** Lets the calls of one user through to whom they are for, as far as the user may make them. */
export class CallAccess implements Callee {
  readonly #parts: CallAccessParts
  readonly #allowed = new Map<string, boolean>()

  constructor(parts: CallAccessParts) {
    this.#parts = parts
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    if (this.#mayCall(head.path)) return this.#parts.callee.open(head, reply)
    const { user, vhost } = this.#parts
    const name = permissionNameOf(serviceOf(head.path) ?? '')
    const text = `write access to '${name}' in vhost '${vhost}' refused for user '${user}'`
    reply.status(statusOf('PERMISSION_DENIED', text), Metadata.EMPTY)
    return CLOSED_REQUEST
  }

  /** Throws `RpcError` PERMISSION_DENIED. */
  requireProviding(service: string): void {
    const { user, vhost, users } = this.#parts
    const name = permissionNameOf(service)
    if (users.allowed(user, vhost, name, 'read')) return
    const text = `read access to '${name}' in vhost '${vhost}' refused for user '${user}'`
    throw new RpcError('PERMISSION_DENIED', text)
  }

  /** Permissions have changed. */
  forget(): void {
    this.#allowed.clear()
  }

  #mayCall(path: string): boolean {
    const known = this.#allowed.get(path)
    if (known !== undefined) return known
    const service = serviceOf(path)
    const { user, vhost, users, pathsMax } = this.#parts
    // What is no path is refused by whoever takes the call, in better words.
    const isAllowed =
      service === null || users.allowed(user, vhost, permissionNameOf(service), 'write')
    if (this.#allowed.size >= pathsMax) this.#allowed.clear()
    this.#allowed.set(path, isAllowed)
    return isAllowed
  }
}
