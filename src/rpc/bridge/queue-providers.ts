import {
  CALL_EXCHANGE,
  type Inbox,
  type InboxSink,
  PUBLISH,
  type Queue,
  type StoredMessage,
  type VirtualHost,
} from '../../broker/index.ts'
import type { Clock } from '../../lib/clock.ts'
import { NO_PROPERTIES } from '../../model/canonical-properties.ts'
import { BrokerError } from '../../model/errors.ts'
import {
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
  workerQueueNameOf,
} from '../call.ts'
import { hopDetail, type HopStage } from '../hop.ts'
import { Metadata } from '../metadata.ts'
import type { Attachment, Registry } from '../registry.ts'
import { isOwnService, isServiceName } from '../service-name.ts'
import { OK_STATUS, RpcError, type Status, statusOf, type StatusName } from '../status.ts'
import type { BridgeLimits } from './limits.ts'
import { publishMade } from './made-message.ts'
import {
  callTypeOf,
  contentTypeOf,
  headersOfMetadata,
  keyOfPath,
  metadataOfHeaders,
  readMessage,
  statusOfAnswer,
} from './message-fields.ts'

export interface QueueProvidersParts {
  readonly vhost: VirtualHost
  readonly registry: Registry
  readonly clock: Clock
  readonly limits: BridgeLimits
}

const PREFIX = workerQueueNameOf('')

/**
 * Queues as providers: while a queue `rpc-worker.SERVICE` has a consumer, it provides the service. Each
 * call is a message in the queue, and what is published to its reply address is the answer.
 */
export class QueueProviders implements InboxSink {
  readonly parts: QueueProvidersParts
  /** Takes all answers; the correlation id says what of. */
  readonly inbox: Inbox
  /** Calls that have no answer yet, by their correlation id, which nobody can guess. */
  readonly calls: Map<string, QueueCall> = new Map()
  readonly #attached: Map<Queue, QueueProvider> = new Map()

  constructor(parts: QueueProvidersParts) {
    this.parts = parts
    const { vhost } = parts
    this.inbox = vhost.openInbox(`${CALL_EXCHANGE}.answers.${vhost.random.id()}`, this)
    vhost.consumerWatch.watch((queue) => this.#changed(queue))
  }

  deliverDirect(message: StoredMessage): void {
    const read = readMessage(this.parts.vhost, message)
    const id = read?.properties.correlationId?.toString('latin1')
    const call = id === undefined ? undefined : this.calls.get(id)
    if (read === null || call === undefined) return
    const { messageBytesMax } = this.parts.limits
    if (read.body.length > messageBytesMax) {
      const text = `an answer of ${read.body.length} bytes, the limit is ${messageBytesMax}`
      call.end(statusOf('RESOURCE_EXHAUSTED', text))
      return
    }
    const status = statusOfAnswer(read)
    const trailers = metadataOfHeaders(read.properties.headers)
    if (status.code !== 'OK') call.end(status, trailers)
    else call.answered(read.body, read.properties.contentType, trailers)
  }

  #changed(queue: Queue): void {
    const { consumerCount } = queue
    const attached = this.#attached.get(queue)
    if (consumerCount > 0 && attached === undefined) {
      if (isProvider(queue)) this.#attach(queue)
    } else if (consumerCount === 0 && attached !== undefined) {
      this.#attached.delete(queue)
      attached.detach()
    }
  }

  #attach(queue: Queue): void {
    const provider = new QueueProvider(this, queue.name)
    const { vhost } = this.parts
    try {
      provider.attach()
      this.#attached.set(queue, provider)
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      vhost.log.warn({ queue: queue.name }, `a queue provides no service: ${error.message}`)
    }
  }
}

/** An exclusive queue is one connection's own, such as one for answers. */
function isProvider({ name, exclusiveOwner }: Queue): boolean {
  if (!name.startsWith(PREFIX) || exclusiveOwner !== null) return false
  const service = name.slice(PREFIX.length)
  return isServiceName(service) && !isOwnService(service)
}

/** One queue that provides the service it is named for. */
class QueueProvider implements Callee {
  readonly queueName: string
  readonly calls: Set<QueueCall> = new Set()
  readonly owner: QueueProviders
  #attachment: Attachment | null = null

  constructor(owner: QueueProviders, queueName: string) {
    this.owner = owner
    this.queueName = queueName
  }

  /** Throws `RpcError` at a limit of the registry. */
  attach(): void {
    const { registry, limits } = this.owner.parts
    const info = {
      ...{ instanceId: `queue ${this.queueName}`, version: '', labels: {}, weight: 1, user: '' },
      services: [this.queueName.slice(PREFIX.length)],
    }
    this.#attachment = registry.attach(info, this, limits.queueCallsMax)
  }

  detach(): void {
    if (this.#attachment !== null) this.owner.parts.registry.detach(this.#attachment)
    const text = `the last consumer of queue '${this.queueName}' has gone`
    for (const call of this.calls) call.end(ownStatus('UNAVAILABLE', text, 'delivered'))
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    return new QueueCall(this, head, reply)
  }
}

/** A call on its way through a queue. */
class QueueCall implements RequestSink {
  readonly #provider: QueueProvider
  readonly #head: CallHead
  readonly #reply: ReplySink
  readonly #id: string
  /** The request, until it is certain that it is all of it. */
  #request: Buffer | null = null
  #isOver = false

  constructor(provider: QueueProvider, head: CallHead, reply: ReplySink) {
    this.#provider = provider
    this.#head = head
    this.#reply = reply
    this.#id = provider.owner.parts.vhost.random.id()
  }

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#isOver) return
    if (this.#request !== null) {
      const text = `queue '${this.#provider.queueName}' takes calls of one request`
      this.end(statusOf('UNIMPLEMENTED', text))
      return
    }
    if (isLast) {
      this.#send(bytes)
      return
    }
    this.#request = Buffer.from(bytes)
  }

  halfClose(): void {
    if (!this.#isOver) this.#send(this.#request ?? Buffer.alloc(0))
  }

  /** Whoever has the message is not told, and what it answers is dropped. */
  cancel(): void {
    this.#close()
  }

  creditReplies(): void {}

  answered(body: Buffer, contentType: string | null, trailers: Metadata): void {
    const { contentType: asked } = this.#head
    if (contentType !== null && callTypeOf(contentType) !== asked) {
      const text = `the answer is '${contentType}' where the call is '${contentTypeOf(asked)}'`
      this.end(statusOf('INTERNAL', text))
      return
    }
    this.#close()
    this.#reply.reply(body)
    this.#reply.status(OK_STATUS, trailers)
  }

  end(status: Status, trailers: Metadata = Metadata.EMPTY): void {
    if (this.#isOver) return
    this.#close()
    this.#reply.status(status, trailers)
  }

  #send(bytes: Uint8Array): void {
    this.#request = null
    const { queueName, calls, owner } = this.#provider
    const { limits } = owner.parts
    if (bytes.length > limits.messageBytesMax) {
      const text = `a message of ${bytes.length} bytes, the limit is ${limits.messageBytesMax}`
      this.end(statusOf('RESOURCE_EXHAUSTED', text))
      return
    }
    // Before: an answer may come while it is published.
    if (!this.#head.isOneWay) {
      owner.calls.set(this.#id, this)
      calls.add(this)
    }
    try {
      const result = this.#publish(bytes)
      if (result === PUBLISH.UNROUTED) {
        this.end(ownStatus('UNAVAILABLE', `queue '${queueName}' is not there any more`, 'queued'))
      } else if (result === PUBLISH.REJECTED) {
        this.end(ownStatus('RESOURCE_EXHAUSTED', `queue '${queueName}' is full`, 'queued'))
      } else if (this.#head.isOneWay) this.end(OK_STATUS)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      this.end(statusOf('RESOURCE_EXHAUSTED', error.message))
    }
  }

  #publish(body: Uint8Array): number {
    const { queueName, owner } = this.#provider
    const { vhost, clock } = owner.parts
    const { path, metadata, deadlineMs, contentType, isOneWay } = this.#head
    const properties = {
      ...NO_PROPERTIES,
      contentType: contentTypeOf(contentType),
      correlationId: isOneWay ? null : Buffer.from(this.#id, 'latin1'),
      replyTo: isOneWay ? null : owner.inbox.name,
      expirationMs: Math.max(Math.ceil(deadlineMs - clock.monotonicMs()), 0),
      headers: headersOfMetadata(metadata),
    }
    const shownAs = { exchange: CALL_EXCHANGE, key: keyOfPath(path) }
    return publishMade(vhost, { exchange: '', key: queueName }, { properties, body, shownAs })
  }

  #close(): void {
    this.#isOver = true
    this.#request = null
    const { calls, owner } = this.#provider
    owner.calls.delete(this.#id)
    calls.delete(this)
  }
}

function ownStatus(code: StatusName, text: string, stage: HopStage): Status {
  return statusOf(code, text, [hopDetail({ stage, provider: '', waitedMs: 0 })])
}
