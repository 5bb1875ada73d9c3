import type { Clock } from '../../lib/clock.ts'
import type { RandomSource } from '../../lib/random.ts'
import { BALANCE_POLICIES } from '../balancer.ts'
import {
  CALL_WINDOW,
  type CallHead,
  type Callee,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../call.ts'
import { Metadata } from '../metadata.ts'
import { checkProvider } from '../provider-check.ts'
import type { Attachment, Registry } from '../registry.ts'
import type { StandingCall, StandingCalls } from '../standing-calls.ts'
import { OK_STATUS, RpcError, type Status, statusOf } from '../status.ts'
import { AttachedCall, type CallStream } from './attached-call.ts'
import {
  QUEUED_BYTES_MAX,
  REGISTER_BYTES_MAX,
  TO_PROVIDER_BYTES_LIMIT,
  TO_PROVIDER_BYTES_MAX,
} from './limits.ts'
import {
  decodeFromProvider,
  encodeCall,
  encodeCancel,
  encodeCredit,
  encodeDrain,
  encodeRegistered,
  encodeRequest,
  type FromProvider,
  type RegisterMessage,
} from './messages.ts'

export interface AttachParts {
  readonly registry: Registry
  readonly clock: Clock
  readonly random: RandomSource
  readonly user: string
  /** The largest request and reply that there may be. */
  readonly messageBytesMax: number
  /** Throws `RpcError` PERMISSION_DENIED. */
  readonly requireProviding: (service: string) => void
  readonly streams: StandingCalls
}

/** A message that leaves when the provider has room. */
interface Queued {
  readonly bytes: Buffer
  readonly call: AttachedCall | null
  /** What the caller may send again when it has left. */
  readonly cost: number
}

const ID_MAX = 0xffff_ffff

/**
 * One provider that is attached by a stream of gRPC: its calls, and all they say, are messages on
 * it. It is a callee to the relay, and to the connection that carries it a call.
 */
export class AttachStream implements RequestSink, Callee, CallStream, StandingCall {
  readonly messageBytesMax: number
  readonly #parts: AttachParts
  readonly #reply: ReplySink
  readonly #calls = new Map<number, AttachedCall>()
  #attachment: Attachment | null = null
  #lastId = 0
  #hasWrapped = false
  /** What the provider's connection takes at once. */
  #room = CALL_WINDOW
  #queue: Queued[] = []
  #queuedBytes = 0
  /** The largest message the provider takes. */
  #sentBytesMax = TO_PROVIDER_BYTES_MAX
  /** It is to end with this when its calls have; null: it goes on. */
  #ending: Status | null = null
  #isOver = false

  constructor(parts: AttachParts, reply: ReplySink) {
    this.#parts = parts
    this.#reply = reply
    this.messageBytesMax = parts.messageBytesMax
    parts.streams.add(this)
  }

  // --- from the provider ---

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#isOver) return
    this.#reply.creditRequests(messageCost(bytes.length))
    try {
      const message = decodeFromProvider(bytes)
      if (message === null) throw refusal('a message that is no FromProvider')
      if (this.#attachment === null && this.#ending === null) this.#register(message, bytes.length)
      else this.#heard(message)
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      this.#close(error.status, error.message)
      return
    }
    if (isLast) this.halfClose()
  }

  /** Nobody answers calls any more. */
  halfClose(): void {
    this.#close(this.#ending ?? OK_STATUS, 'the provider has ended its stream')
  }

  cancel(reason: string): void {
    this.#leave(`the provider is gone: ${reason}`)
  }

  creditReplies(cost: number): void {
    this.#room += cost
    this.#flush()
  }

  // --- from the relay ---

  open(head: CallHead, reply: ReplySink): RequestSink {
    const call = new AttachedCall(this, this.#nextId(), reply)
    this.#calls.set(call.id, call)
    const { path, metadata, contentType, isOneWay, deadlineMs } = head
    const leftMs = Math.ceil(deadlineMs - this.#parts.clock.monotonicMs())
    const timeoutMs = Math.min(Math.max(leftMs, 1), ID_MAX)
    const said = { id: call.id, path, metadata, contentType, isOneWay, timeoutMs }
    this.#send(encodeCall(said), call, 0)
    return call
  }

  // --- from its calls ---

  sendRequest(call: AttachedCall, message: Uint8Array | null, isLast: boolean): void {
    // Whoever sends no more needs no room for more.
    const cost = message === null || isLast ? 0 : messageCost(message.length)
    this.#send(encodeRequest(call.id, message, isLast), call, cost)
  }

  sendCancel(call: AttachedCall, reason: string): void {
    this.#send(encodeCancel(call.id, reason), null, 0)
  }

  sendCredit(call: AttachedCall, octets: number): void {
    this.#send(encodeCredit(call.id, octets), null, 0)
  }

  forget(call: AttachedCall): void {
    this.#calls.delete(call.id)
    if (this.#ending !== null && this.#calls.size === 0) this.#end(this.#ending)
  }

  // --- of the login and the broker ---

  drain(status: Status): void {
    if (this.#isOver) return
    if (this.#attachment === null) {
      this.#end(status)
      return
    }
    this.#send(encodeDrain(status.message), null, 0)
    this.#drain(status)
  }

  // --- inside ---

  #register(message: FromProvider, byteLength: number): void {
    if (message.kind !== 'register') throw refusal('the first message must be Register')
    const { register } = message
    const ownBytes = byteLength - register.descriptors.length
    if (ownBytes > REGISTER_BYTES_MAX) {
      throw refusal(`a Register of ${ownBytes} bytes, the limit is ${REGISTER_BYTES_MAX}`)
    }
    const { registry, requireProviding, messageBytesMax } = this.#parts
    checkProvider(register, requireProviding)
    const info = this.#infoOf(register)
    if (register.messageBytesMax > 0) {
      this.#sentBytesMax = Math.min(register.messageBytesMax, TO_PROVIDER_BYTES_LIMIT)
    }
    // Registered without room for calls first, so that the answer goes ahead of them.
    // A copy: what a message holds is borrowed.
    const descriptors = Uint8Array.from(register.descriptors)
    this.#attachment = registry.attach({ ...info, descriptors }, this, 0)
    this.#send(encodeRegistered(info.instanceId, messageBytesMax), null, 0)
    registry.setCapacity(this.#attachment, register.capacity)
  }

  #infoOf(register: RegisterMessage): Attachment['info'] {
    const { services, version, labels } = register
    const policy = BALANCE_POLICIES.find((name) => name === register.policy)
    return {
      ...{ services, version, labels, user: this.#parts.user },
      instanceId: register.instanceId === '' ? this.#parts.random.id() : register.instanceId,
      weight: register.weight === 0 ? 1 : register.weight,
      ...(policy === undefined ? {} : { policy }),
    }
  }

  #heard(message: FromProvider): void {
    switch (message.kind) {
      case 'register':
        throw refusal('a second Register on the stream')
      case 'capacity':
        if (this.#attachment?.isAttached === true) {
          this.#parts.registry.setCapacity(this.#attachment, message.capacity)
        }
        break
      case 'drain':
        this.#drain(OK_STATUS)
        break
      case 'head':
        this.#callOf(message.id)?.head(message.metadata)
        break
      case 'reply':
        this.#callOf(message.id)?.reply(message.message)
        break
      case 'end':
        this.#callOf(message.id)?.end(message.end)
        break
    }
  }

  /** Null: it is over, and what is said of it has crossed its end. */
  #callOf(id: number): AttachedCall | null {
    const call = this.#calls.get(id)
    if (call !== undefined) return call
    if (id === 0 || (id > this.#lastId && !this.#hasWrapped)) {
      throw refusal(`there was no call ${id}`)
    }
    return null
  }

  #nextId(): number {
    do {
      if (this.#lastId === ID_MAX) this.#hasWrapped = true
      this.#lastId = this.#lastId === ID_MAX ? 1 : this.#lastId + 1
    } while (this.#calls.has(this.#lastId))
    return this.#lastId
  }

  #send(bytes: Buffer, call: AttachedCall | null, cost: number): void {
    if (this.#isOver) return
    const max = this.#sentBytesMax
    if (call !== null && bytes.length > max) {
      const text = `a message of ${bytes.length} bytes, the limit of the provider is ${max}`
      call.fail(statusOf('RESOURCE_EXHAUSTED', text))
      return
    }
    if (this.#room > 0 && this.#queue.length === 0) {
      this.#leaves({ bytes, call, cost })
      if (this.#room <= 0) this.#setBlocked(true)
      return
    }
    if (call !== null && this.#queuedBytes + bytes.length > QUEUED_BYTES_MAX) {
      const text = `the provider does not read, and ${this.#queuedBytes} bytes wait for it`
      call.fail(statusOf('RESOURCE_EXHAUSTED', text))
      return
    }
    this.#queue.push({ bytes, call, cost })
    this.#queuedBytes += bytes.length
  }

  #flush(): void {
    let count = 0
    while (this.#room > 0 && count < this.#queue.length) {
      const queued = this.#queue[count]!
      count += 1
      this.#queuedBytes -= queued.bytes.length
      this.#leaves(queued)
    }
    if (count > 0) this.#queue.splice(0, count)
    if (this.#room > 0) this.#setBlocked(false)
  }

  #leaves({ bytes, call, cost }: Queued): void {
    this.#room -= messageCost(bytes.length)
    if (call !== null) call.hasLeft = true
    this.#reply.reply(bytes)
    if (cost > 0) call?.taken(cost)
  }

  /** While it reads nothing, calls wait where they can still go elsewhere. */
  #setBlocked(isBlocked: boolean): void {
    const attachment = this.#attachment
    if (attachment === null || attachment.isBlocked === isBlocked) return
    attachment.isBlocked = isBlocked
    if (!isBlocked) this.#parts.registry.freed(attachment)
  }

  #drain(status: Status): void {
    this.#ending ??= status
    this.#detach()
    if (this.#calls.size === 0) this.#end(this.#ending)
  }

  #detach(): void {
    if (this.#attachment !== null) this.#parts.registry.detach(this.#attachment)
  }

  #end(status: Status): void {
    if (this.#isOver) return
    this.#leave('the provider has drained')
    this.#reply.status(status, Metadata.EMPTY)
  }

  #close(status: Status, reason: string): void {
    if (this.#isOver) return
    this.#leave(reason)
    this.#reply.status(status, Metadata.EMPTY)
  }

  /** First it gets no more calls, so that none that ends here goes to a provider that is as gone. */
  #leave(reason: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#queue = []
    this.#parts.streams.delete(this)
    this.#detach()
    for (const call of [...this.#calls.values()]) call.lost(reason)
  }
}

function refusal(text: string): RpcError {
  return new RpcError('INVALID_ARGUMENT', text)
}
