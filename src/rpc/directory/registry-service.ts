import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
} from '../call.ts'
import { Metadata } from '../metadata.ts'
import { type Account, StandingCalls } from '../standing-calls.ts'
import { OK_STATUS, RpcError, type Status, statusOf } from '../status.ts'
import type { Directory } from './directory.ts'
import { checkInstance } from './instance-check.ts'
import type { Clock } from '../../lib/clock.ts'
import { LIST_MAX, WATCHES_MAX } from './limits.ts'
import {
  DEREGISTER,
  DEREGISTERED,
  instanceOf,
  jsonOf,
  LIST,
  REGISTER,
  REGISTERED,
  WANTED,
} from './messages.ts'
import { InstanceWatch } from './watch.ts'

export const REGISTRY_SERVICE = 'waystation.rpc.v1.Registry'

export interface RegistryServiceParts {
  readonly directory: Directory
  readonly clock: Clock
  readonly account: Account
  /** Whether the caller may know of a service. */
  readonly maySee: (service: string) => boolean
  /** Throws `RpcError` PERMISSION_DENIED. */
  readonly requireProviding: (service: string) => void
}

const NO_BYTES: Uint8Array = new Uint8Array(0)

/** Answers waystation.rpc.v1.Registry for one user, in protobuf and JSON. */
export class RegistryService implements Callee {
  readonly #parts: RegistryServiceParts
  readonly #watches: StandingCalls

  constructor(parts: RegistryServiceParts) {
    this.#parts = parts
    this.#watches = new StandingCalls(parts.clock, parts.account, WATCHES_MAX)
  }

  /** The connection takes no more calls. */
  drain(reason: string): void {
    this.#watches.drain(statusOf('UNAVAILABLE', reason))
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    const { path, contentType } = head
    if (contentType !== 'proto' && contentType !== 'json') {
      const text = `${REGISTRY_SERVICE} takes protobuf and JSON, not '${contentType}'`
      return refuse(reply, statusOf('UNIMPLEMENTED', text))
    }
    const method = path.slice(REGISTRY_SERVICE.length + 2)
    const answer = this.#answerOf(method, contentType)
    if (answer !== null) return new Unary(reply, answer)
    if (method === 'Watch') return new Watching(reply, (bytes) => this.#watch(head, reply, bytes))
    return refuse(reply, statusOf('UNIMPLEMENTED', `${REGISTRY_SERVICE} has no method ${method}`))
  }

  #answerOf(method: string, contentType: string): ((bytes: Uint8Array) => Uint8Array) | null {
    switch (method) {
      case 'Register':
        return (bytes) =>
          REGISTERED.encode({ ttlMs: this.#register(bytes, contentType) }, contentType)
      case 'Deregister':
        return (bytes) => {
          const { service, instanceId } = read(() => DEREGISTER.decode(bytes, contentType))
          this.#parts.requireProviding(service)
          this.#parts.directory.deregister(service, instanceId, this.#parts.account.name)
          return DEREGISTERED.encode({}, contentType)
        }
      case 'List':
        return (bytes) => LIST.encode({ instances: this.#list(bytes, contentType) }, contentType)
      default:
        return null
    }
  }

  #register(bytes: Uint8Array, contentType: string): number {
    const { instance: said, ttlMs } = read(() => REGISTER.decode(bytes, contentType))
    if (said === undefined) throw new RpcError('INVALID_ARGUMENT', 'no instance')
    checkInstance(said)
    this.#parts.requireProviding(said.service)
    return this.#parts.directory.register(instanceOf(said), this.#parts.account.name, ttlMs)
  }

  #list(bytes: Uint8Array, contentType: string): ReturnType<typeof jsonOf>[] {
    const { directory, maySee } = this.#parts
    const { service } = read(() => WANTED.decode(bytes, contentType))
    this.#requireSeeing(service)
    const list: ReturnType<typeof jsonOf>[] = []
    for (const [, instance] of directory.instances(service)) {
      if (!maySee(instance.service)) continue
      if (list.length === LIST_MAX) {
        throw new RpcError('RESOURCE_EXHAUSTED', `more than ${LIST_MAX} instances: use Watch`)
      }
      list.push(jsonOf(instance))
    }
    return list
  }

  #watch({ contentType }: CallHead, reply: ReplySink, bytes: Uint8Array): RequestSink {
    const { directory, maySee } = this.#parts
    const { service } = read(() => WANTED.decode(bytes, contentType))
    this.#requireSeeing(service)
    const watches = this.#watches
    return new InstanceWatch({ directory, service, maySee, contentType, reply, watches })
  }

  #requireSeeing(service: string): void {
    if (service === '' || this.#parts.maySee(service)) return
    throw new RpcError('PERMISSION_DENIED', `the permission to call ${service} is missing`)
  }
}

/** Whatever is wrong with the octets is their sender's fault. */
function read<T>(decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new RpcError('INVALID_ARGUMENT', `the request cannot be read: ${reason}`, { cause })
  }
}

function refuse(reply: ReplySink, status: Status): RequestSink {
  reply.status(status, Metadata.EMPTY)
  return CLOSED_REQUEST
}

function faultOf(error: unknown): Status {
  if (!(error instanceof RpcError)) throw error
  return error.status
}

/** A method with one request and one reply. An empty request may be no message at all. */
class Unary implements RequestSink {
  readonly #reply: ReplySink
  readonly #answer: (request: Uint8Array) => Uint8Array
  #isOver = false

  constructor(reply: ReplySink, answer: (request: Uint8Array) => Uint8Array) {
    this.#reply = reply
    this.#answer = answer
  }

  message(bytes: Uint8Array): void {
    if (this.#isOver) return
    this.#isOver = true
    try {
      this.#reply.reply(this.#answer(bytes))
      this.#reply.status(OK_STATUS, Metadata.EMPTY)
    } catch (error) {
      this.#reply.status(faultOf(error), Metadata.EMPTY)
    }
  }

  halfClose(): void {
    this.message(NO_BYTES)
  }

  cancel(): void {
    this.#isOver = true
  }

  creditReplies(): void {}
}

/** A method with one request, after which something else has the call. */
class Watching implements RequestSink {
  readonly #reply: ReplySink
  readonly #begin: (request: Uint8Array) => RequestSink
  #rest: RequestSink | null = null

  constructor(reply: ReplySink, begin: (request: Uint8Array) => RequestSink) {
    this.#reply = reply
    this.#begin = begin
  }

  message(bytes: Uint8Array): void {
    if (this.#rest !== null) return
    try {
      this.#rest = this.#begin(bytes)
    } catch (error) {
      this.#rest = CLOSED_REQUEST
      this.#reply.status(faultOf(error), Metadata.EMPTY)
    }
  }

  halfClose(): void {
    this.message(NO_BYTES)
  }

  cancel(reason: string): void {
    this.#rest?.cancel(reason)
    this.#rest = CLOSED_REQUEST
  }

  creditReplies(cost: number): void {
    this.#rest?.creditReplies(cost)
  }
}
