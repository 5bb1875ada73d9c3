import type { VirtualHost } from '../../broker/index.ts'
import {
  ChannelWriter,
  decodeMethod,
  METHOD,
  type Method,
  type MethodInput,
  replyText,
  REPLY,
} from '../../codec/amqp091/index.ts'
import { cancel, consume, get, qos, recover } from './basic-methods.ts'
import { Confirms } from './confirms.ts'
import type { Amqp091Connection } from './connection.ts'
import { ChannelConsumers, SETTLE, type Settle } from './consumers.ts'
import type { ReplyConsumer } from './direct-reply-to.ts'
import { AmqpError, type Failure, preconditionFailed } from './errors.ts'
import { PublishPath } from './publish-path.ts'
import { changesBinding, handleTopology } from './topology.ts'
import { commitFailed, Transaction } from './transactions.ts'

/** One channel: its own order of commands, confirms, consumers and errors. */
export class Channel {
  readonly number: number
  readonly connection: Amqp091Connection
  readonly vhost: VirtualHost
  readonly writer: ChannelWriter
  readonly publishes: PublishPath
  readonly consumers: ChannelConsumers
  confirms: Confirms | null = null
  transaction: Transaction | null = null
  replies: ReplyConsumer | null = null
  /** Of basic.qos global=false: for consumers to come. */
  prefetch = 0
  /** What an empty queue name means. */
  lastQueue = ''
  /** False once it is closed by either side. */
  isOpen = true
  /** The method that is being handled, which errors name as their cause. */
  methodId = 0
  #deliveryTag = 0

  constructor(number: number, connection: Amqp091Connection) {
    this.number = number
    this.connection = connection
    this.vhost = connection.vhost
    this.writer = new ChannelWriter(number, connection.frameSizeMax)
    this.publishes = new PublishPath(this)
    this.consumers = new ChannelConsumers(this)
  }

  get replyInboxName(): string | null {
    return this.replies === null ? null : this.replies.inboxName
  }

  nextDeliveryTag(): number {
    return ++this.#deliveryTag
  }

  /** HOT. */
  onMethod(methodId: number, bytes: Buffer, start: number, end: number): void {
    if (!this.publishes.isIdle) throw this.publishes.unexpectedFrame(false)
    this.methodId = methodId
    switch (methodId) {
      case METHOD.BASIC_PUBLISH:
        this.publishes.onMethod(bytes, start, end)
        return
      case METHOD.BASIC_ACK:
        this.connection.settleView.readAck(bytes, start, end)
        this.#settle(SETTLE.ACCEPT)
        return
      case METHOD.BASIC_NACK:
        this.connection.settleView.readNack(bytes, start, end)
        this.#settle(this.connection.settleView.requeue ? SETTLE.REQUEUE : SETTLE.REJECT)
        return
      case METHOD.BASIC_REJECT:
        this.connection.settleView.readReject(bytes, start, end)
        this.#settle(this.connection.settleView.requeue ? SETTLE.REQUEUE : SETTLE.REJECT)
        return
      default:
        this.#controlInOrder(decodeMethod(methodId, bytes, start, end))
    }
  }

  send(method: MethodInput): void {
    this.connection.send(this.number, method)
  }

  /** Goes on with the client's next frame only when the broker has answered. */
  await<Value>(promise: Promise<Value>, done: (value: Value) => void): void {
    this.connection.answers.await(this, promise, done)
  }

  /** The name a method means: an empty one is the queue declared last. */
  queueName(name: string): string {
    if (name !== '') return name
    if (this.lastQueue === '') throw new AmqpError('NOT_FOUND', 'no previously declared queue')
    return this.lastQueue
  }

  isReplyTag(tag: string): boolean {
    return this.replies !== null && this.replies.tag === tag
  }

  closeReplies(tag: string): void {
    if (!this.isReplyTag(tag)) return
    this.replies?.close()
    this.replies = null
  }

  /** A queue was deleted under a consumer: clients that want to know are told. */
  consumerLost(consumerTag: string): void {
    if (!this.isOpen || !this.connection.capabilities.consumerCancelNotify) return
    this.send({ name: 'basic.cancel', consumerTag, nowait: true })
  }

  /** Closes it with an error: frames are dropped until the client answers with close-ok. */
  fail(failure: Failure): void {
    const { methodId } = failure
    this.dispose(true)
    this.send({
      name: 'channel.close',
      replyCode: REPLY[failure.reply],
      replyText: replyText(failure.reply, failure.text),
      classId: methodId >>> 16,
      methodId: methodId & 0xffff,
    })
  }

  /** Lets go of everything. `isCounted`: deliveries come back as failed attempts. */
  dispose(isCounted: boolean): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.publishes.abandon()
    this.replies?.close()
    this.replies = null
    this.consumers.close(isCounted)
    this.transaction?.forget()
    this.transaction = null
  }

  #settle(how: Settle): void {
    const { deliveryTag, multiple } = this.connection.settleView
    if (this.transaction === null) this.consumers.settle(deliveryTag, multiple, how)
    else this.transaction.addSettlement(deliveryTag, multiple, how)
  }

  /** Changes of bindings need not wait for each other, all else waits for them. */
  #controlInOrder(method: Method): void {
    if (changesBinding(method)) {
      this.#control(method)
      return
    }
    this.connection.answers.afterThose(this.number, this.methodId, () => {
      if (this.isOpen) this.#control(method)
    })
  }

  #control(method: Method): void {
    switch (method.name) {
      case 'basic.qos':
        qos(this, method)
        return
      case 'basic.consume':
        consume(this, method)
        return
      case 'basic.cancel':
        cancel(this, method)
        return
      case 'basic.get':
        get(this, method)
        return
      case 'basic.recover':
        recover(this, method.requeue)
        this.send({ name: 'basic.recover-ok' })
        return
      case 'basic.recover-async':
        recover(this, method.requeue)
        return
      case 'confirm.select':
        this.#selectConfirms(method.nowait)
        return
      case 'tx.select':
      case 'tx.commit':
      case 'tx.rollback':
        this.#controlTransaction(method.name)
        return
      case 'channel.open':
        throw new AmqpError('CHANNEL_ERROR', "second 'channel.open' seen")
      case 'channel.close':
        this.dispose(true)
        this.connection.channelClosed(this)
        this.send({ name: 'channel.close-ok' })
        return
      case 'channel.flow':
        if (!method.active) throw new AmqpError('NOT_IMPLEMENTED', 'active=false')
        this.send({ name: 'channel.flow-ok', active: true })
        return
      case 'access.request':
        // A relic: permissions are not asked for any more, and every ticket is as good.
        this.send({ name: 'access.request-ok', ticket: 1 })
        return
      case 'channel.flow-ok':
      case 'basic.cancel-ok':
        return
      default:
        if (!handleTopology(this, method)) throw unimplementedMethod()
    }
  }

  #selectConfirms(nowait: boolean): void {
    if (this.transaction !== null) {
      throw preconditionFailed('cannot switch from tx to confirm mode')
    }
    this.confirms ??= new Confirms(this)
    if (!nowait) this.send({ name: 'confirm.select-ok' })
  }

  #controlTransaction(name: 'tx.select' | 'tx.commit' | 'tx.rollback'): void {
    if (name === 'tx.select') {
      if (this.confirms !== null) {
        throw preconditionFailed('cannot switch from confirm to tx mode')
      }
      this.transaction ??= new Transaction(this)
      this.send({ name: 'tx.select-ok' })
      return
    }
    const { transaction } = this
    if (transaction === null) throw preconditionFailed('channel is not transactional')
    if (name === 'tx.rollback') {
      transaction.rollback()
      this.send({ name: 'tx.rollback-ok' })
      return
    }
    const stored = new Promise<void>((resolve, reject) => {
      transaction.commit((error) => (error === null ? resolve() : reject(commitFailed(error))))
    })
    this.await(stored, () => this.send({ name: 'tx.commit-ok' }))
  }
}

/** A method that only servers send, or one of the connection class on a channel. */
function unimplementedMethod(): AmqpError {
  return new AmqpError('COMMAND_INVALID', 'unimplemented method')
}
