import {
  type Authenticator,
  LoginExpiry,
  principalOf,
  type User,
  type UserStore,
} from '../../auth/index.ts'
import type {
  Broker,
  BrokerLog,
  Flow,
  FlowPeer,
  HeldBack,
  VirtualHost,
} from '../../broker/index.ts'
import {
  AMQP_0_9_1_HEADER,
  AmqpFrameError,
  type ContentHeaderView,
  type ContentView,
  decodeMethod,
  type FieldTable,
  FRAME_OVERHEAD_BYTES,
  FrameParser,
  HEARTBEAT_FRAME,
  METHOD,
  methodFrameBytes,
  type MethodInput,
  type MethodOf,
  PROTOCOL_HEADER_BYTES,
  type PublishView,
  recogniseProtocolHeader,
  REPLY,
  type ReplyName,
  replyText,
  type SettleView,
  writeMethod,
} from '../../codec/amqp091/index.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import type { RandomSource } from '../../lib/random.ts'
import type { Turn, TurnTask } from '../../lib/turn.ts'
import type { Actor } from '../../model/actor.ts'
import type { ConnectionHandler, PeerInfo, SlabPool, Transport } from '../../net/index.ts'
import { HeldInput, HOLD, type HoldReason, OutputBuffer, PAUSE, ReadGate } from '../../net/index.ts'
import { Answers } from './answers.ts'
import { Backpressure } from './backpressure.ts'
import type { Channel } from './channel.ts'
import { ClientInfo } from './client-info.ts'
import type { ConnectionShared } from './connection-shared.ts'
import { AmqpError, failureOf } from './errors.ts'
import { FrameRouter } from './frame-router.ts'
import {
  type ClientCapabilities,
  Handshake,
  type HandshakeHost,
  NO_CAPABILITIES,
  type Tuning,
} from './handshake.ts'
import { Heartbeat, type HeartbeatTarget } from './heartbeat.ts'
import type { Amqp091Limits } from './limits.ts'
import type { PublishPath } from './publish-path.ts'
import { RouteCache } from './route-cache.ts'
import { updateSecret } from './secret-update.ts'

type State = 'header' | 'handshake' | 'running' | 'closing' | 'closed'

/** One AMQP 0-9-1 connection: frames in, frames out, and every error in its right place. */
export class Amqp091Connection
  implements ConnectionHandler, TurnTask, HandshakeHost, HeartbeatTarget, FlowPeer
{
  turnQueued = false
  readonly id: number
  readonly peer: PeerInfo
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  readonly limits: Amqp091Limits
  readonly serverProperties: FieldTable
  readonly output: OutputBuffer
  readonly routes: RouteCache
  readonly connectedAtMs: number
  readonly client: ClientInfo = new ClientInfo()
  readonly answers: Answers = new Answers(this)
  readonly publishView: PublishView
  readonly headerView: ContentHeaderView
  readonly settleView: SettleView
  readonly content: ContentView
  capabilities: ClientCapabilities = NO_CAPABILITIES
  tuning: Tuning
  /** The read that is being parsed; null between reads. */
  reading: Buffer | null = null
  /** Octets of bodies that are not complete, over all channels. */
  partialBytes = 0
  /** What its transactions keep until they are committed. */
  transactionBytes = 0
  publishedCount = 0
  deliveredCount = 0
  /** Properties of other protocols' messages that deliveries marked or left out. */
  lostCount = 0
  receivedBytes = 0
  /** The client does not read: consumers wait until it does. */
  isOutputBlocked = false
  /** Buffers for output and for bodies that are gathered, shared by all connections. */
  readonly slabs: SlabPool
  readonly #shared: ConnectionShared
  readonly #transport: Transport
  readonly #turn: Turn
  readonly #router: FrameRouter
  readonly #parser: FrameParser
  readonly #gate: ReadGate
  readonly #backpressure: Backpressure
  readonly #held: HeldInput = new HeldInput()
  #state: State = 'header'
  #handshake: Handshake | null = null
  #heartbeat: Heartbeat | null = null
  #timer: Timer | null
  #user: User | null = null
  readonly #expiry: LoginExpiry
  #vhost: VirtualHost | null = null
  #actor: Actor | null = null
  #flow: Flow | null = null
  /** Why nothing is parsed: bits of `HOLD`. */
  #holds = 0
  #openContent: PublishPath | null = null
  #isPeerDone = false
  /** Requeued deliveries count as failed attempts, except when it is us who stop. */
  #countsRequeues = true

  constructor(transport: Transport, shared: ConnectionShared) {
    this.id = transport.id
    this.peer = transport.peer
    this.broker = shared.broker
    this.users = shared.users
    this.authenticator = shared.authenticator
    this.clock = shared.clock
    this.random = shared.random
    this.log = shared.log
    this.limits = shared.limits
    this.serverProperties = shared.serverProperties
    this.slabs = shared.slabs
    this.publishView = shared.publishView
    this.headerView = shared.headerView
    this.settleView = shared.settleView
    this.content = shared.content
    this.#shared = shared
    this.#transport = transport
    this.#turn = shared.turn
    this.output = new OutputBuffer(transport, shared.slabs)
    this.routes = new RouteCache(shared.limits.routesCachedMax)
    this.#router = new FrameRouter(this)
    this.#parser = new FrameParser(this.#router)
    this.#gate = new ReadGate(transport)
    this.#backpressure = new Backpressure(this, this.#gate)
    this.connectedAtMs = shared.clock.now()
    const { channelMax, frameSizeMax } = shared.limits
    this.#expiry = new LoginExpiry(shared.clock, () => {
      this.close('CONNECTION_FORCED', `the token of user '${this.userName}' has expired`)
    })
    this.tuning = { channelMax, frameSizeMax, heartbeatSeconds: 0 }
    this.#timer = shared.clock.setTimer(shared.limits.handshakeTimeoutMs, () => {
      this.log.warn(this.#fields(), 'the handshake took too long')
      this.#transport.destroy()
    })
  }

  // --- what channels and listings ask ---

  get user(): User {
    return this.#user!
  }

  get userName(): string | null {
    return this.#user === null ? null : this.#user.name
  }

  /** For those who ask where a message came from, or went. */
  get actor(): Actor {
    this.#actor ??= {
      protocol: 'AMQP 0-9-1',
      connectionId: this.id,
      connection: this.name,
      user: this.userName,
      principal: () => principalOf(this.user),
      clientId: this.client.name,
    }
    return this.#actor
  }

  get vhost(): VirtualHost {
    return this.#vhost!
  }

  get vhostName(): string | null {
    return this.#vhost === null ? null : this.#vhost.name
  }

  get frameSizeMax(): number {
    return this.tuning.frameSizeMax
  }

  get channelCount(): number {
    return this.#router.channelCount
  }

  get isRunning(): boolean {
    return this.#state === 'running'
  }

  /** Only close and close-ok mean anything any more. */
  get isClosing(): boolean {
    return this.#state === 'closing'
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  get stateName(): string {
    if (this.#state === 'running' && this.#backpressure.isBlocked) return 'blocked'
    if (this.#state === 'running') return this.#gate.isClosedFor(PAUSE.FLOW) ? 'flow' : 'running'
    if (this.#state === 'handshake') return this.#handshake!.state
    return this.#state === 'header' ? 'starting' : this.#state
  }

  /** `127.0.0.1:40001 -> 127.0.0.1:5672`, as RabbitMQ names connections. */
  get name(): string {
    const { remoteAddress, remotePort, localAddress, localPort } = this.peer
    return `${remoteAddress}:${remotePort} -> ${localAddress}:${localPort}`
  }

  /** Of a connection that is open. */
  get flow(): Flow {
    return this.#flow!
  }

  /** Which limit keeps it from being read; null: none does. */
  get heldBackBy(): string | null {
    return (
      this.#flow?.heldBackBy ?? (this.#backpressure.isBlocked ? this.broker.pressure.alarm : null)
    )
  }

  channels(): Iterable<Channel> {
    return this.#router.channels()
  }

  // --- output ---

  /** HOT: asks for this turn's output to be written; the caller has put some into `output`. */
  requestOutput(): void {
    if (!this.turnQueued) this.#turn.output(this)
  }

  runTurn(): void {
    if (this.#state === 'closed') return
    this.output.flush()
    if (!this.output.blocked) return
    this.outputBlocked()
    const { replyBytesMax, messageSizeMax } = this.limits
    // One message may always wait, however large messages may be here.
    const max = replyBytesMax + messageSizeMax
    if (this.output.pendingBytes > max) {
      this.close('RESOURCE_ERROR', `more than ${max} octets that the client does not read`)
    }
  }

  send(channel: number, method: MethodInput): void {
    const { output } = this
    const at = output.reserve(methodFrameBytes(method))
    output.at = writeMethod(output.buffer, at, channel, method)
    this.requestOutput()
  }

  /** The kernel did not take all: consumers wait, and after more of it the client's requests. */
  outputBlocked(): void {
    if (!this.isOutputBlocked) {
      this.isOutputBlocked = true
      for (const channel of this.channels()) channel.consumers.pauseAll()
    }
    if (this.output.pendingBytes > this.limits.outputBytesMax) this.#gate.close(PAUSE.OUTPUT)
  }

  /** After an answer that may be large: more of them wait until the client reads. */
  checkOutput(): void {
    if (this.output.pendingBytes <= this.limits.outputBytesMax) return
    this.output.flush()
    if (this.output.blocked) this.hold(HOLD.OUTPUT)
  }

  drained(): void {
    this.output.drained()
    this.isOutputBlocked = false
    for (const channel of this.channels()) channel.consumers.refreshAll()
    this.#gate.open(PAUSE.OUTPUT)
    if ((this.#holds & HOLD.OUTPUT) !== 0) this.proceed(HOLD.OUTPUT)
  }

  // --- input ---

  received(bytes: Buffer): void {
    this.receivedBytes += bytes.length
    if (this.#state === 'closed') return
    if (this.#holds !== 0) this.#held.add(bytes, 0)
    else this.#parse(bytes)
  }

  /** What is being parsed waits from the next frame on, and so does whatever comes. */
  hold(reason: HoldReason): void {
    this.#holds |= reason
    this.#parser.pause()
    this.#gate.close(PAUSE.HELD)
  }

  /** Parses what waited, unless another reason is left; it may be held again on the way. */
  proceed(reason: HoldReason): void {
    this.#holds &= ~reason
    while (this.#holds === 0 && !this.#held.isEmpty) this.#parse(this.#held.take())
    if (this.#holds === 0) this.#gate.open(PAUSE.HELD)
    this.#endWithPeer()
  }

  awaitSetup<Value>(promise: Promise<Value>, done: (value: Value) => void): void {
    this.hold(HOLD.ANSWER)
    const finish = (action: () => void): void => {
      // The socket may be gone, or we may have been told to stop, before the answer came.
      if (this.#state !== 'handshake') return
      try {
        action()
      } catch (error) {
        this.failed(error, 0, 0)
      }
      this.proceed(HOLD.ANSWER)
    }
    promise.then(
      (value) => finish(() => done(value)),
      (error: unknown) => finish(() => this.failed(error, 0, 0)),
    )
  }

  /** A content whose header lies in the present read; the one before must fend for itself. */
  contentOpened(path: PublishPath): void {
    if (this.#openContent !== null && this.#openContent !== path) this.#openContent.retain()
    this.#openContent = path
  }

  /** A method on channel 0. */
  onConnectionMethod(methodId: number, bytes: Buffer, start: number, end: number): void {
    if (this.#state === 'closing') {
      if (methodId === METHOD.CONNECTION_CLOSE) this.send(0, { name: 'connection.close-ok' })
      if (methodId === METHOD.CONNECTION_CLOSE_OK) this.#end()
      return
    }
    if (methodId === METHOD.CONNECTION_CLOSE) {
      decodeMethod(methodId, bytes, start, end)
      this.answers.afterThose(0, methodId, () => this.#closedByClient())
    } else if (this.#handshake !== null) this.#handshake.onMethod(methodId, bytes, start, end)
    else if (methodId === METHOD.CONNECTION_UPDATE_SECRET) {
      const method = decodeMethod(methodId, bytes, start, end)
      // It has the id of that.
      updateSecret(this, method as MethodOf<'connection.update-secret'>)
    } else {
      decodeMethod(methodId, bytes, start, end)
      const text = `unexpected method in connection state ${this.#state}`
      throw new AmqpError('CHANNEL_ERROR', text)
    }
  }

  ended(): void {
    this.#isPeerDone = true
    this.#endWithPeer()
  }

  // --- the handshake's host ---

  clientKnown(properties: FieldTable, capabilities: ClientCapabilities): void {
    this.client.read(properties)
    this.capabilities = capabilities
  }

  loginRefused(mechanism: string, error: unknown): void {
    const cause = error instanceof Error ? (error.cause ?? error) : error
    this.log.warn({ ...this.#fields(), mechanism, err: cause }, 'login refused')
    if (!this.capabilities.authenticationFailureClose) {
      this.#transport.destroy()
      return
    }
    const text =
      `Login was refused using authentication mechanism ${mechanism}. ` +
      'For details see the broker logfile.'
    this.close('ACCESS_REFUSED', text)
  }

  loggedIn(user: User, mechanism: string): void {
    this.#user = user
    this.#expiry.renew(user)
    this.client.mechanism = mechanism
  }

  tuned(tuning: Tuning): void {
    this.tuning = tuning
    // RabbitMQ takes eight octets more, because clients forget the overhead of a frame.
    this.#parser.frameSizeMax = tuning.frameSizeMax + FRAME_OVERHEAD_BYTES
    if (tuning.heartbeatSeconds > 0) {
      this.#heartbeat = new Heartbeat(this.clock, tuning.heartbeatSeconds, this)
    }
  }

  opened(vhost: VirtualHost): void {
    const names = { user: this.user.name, vhost: vhost.name, owner: this, connection: this.name }
    this.#flow = this.broker.flows.open(names, this)
    this.#vhost = vhost
    this.#state = 'running'
    this.#handshake = null
    this.#clearTimer()
    const { name, product, version } = this.client
    const fields = { ...this.#fields(), client: name, product, version, user: this.userName }
    this.log.info({ ...fields, vhost: vhost.name }, 'connection opened')
  }

  // --- heartbeats ---

  get aliveCount(): number {
    // Whoever we do not read cannot be blamed for silence.
    return this.#gate.isOpen ? this.receivedBytes : NaN
  }

  get sentCount(): number {
    return this.output.writtenBytes
  }

  sendHeartbeat(): void {
    this.output.append(HEARTBEAT_FRAME)
    this.requestOutput()
  }

  peerSilent(): void {
    const seconds = this.tuning.heartbeatSeconds
    this.log.warn(this.#fields(), `missed heartbeats from client, timeout: ${seconds}s`)
    this.#transport.destroy()
  }

  // --- pressure ---

  pressureChanged(): void {
    if (this.#state === 'running') this.#backpressure.changed()
  }

  hasConsumers(): boolean {
    for (const { consumers } of this.channels()) if (consumers.count > 0) return true
    return false
  }

  heldBack(held: HeldBack | null): void {
    this.#backpressure.heldBack(held)
  }

  /** Permissions or users changed: what was looked up is looked up again. */
  permissionsChanged(): void {
    this.routes.clear()
  }

  warnOfArguments(what: string, names: readonly string[]): void {
    const fields = { ...this.#fields(), user: this.userName, vhost: this.vhostName, names }
    this.log.warn(fields, `${what} has arguments that mean nothing here: ${names.join(', ')}`)
  }

  // --- the end ---

  /** connection.close with a reply; what the client still sends is dropped. */
  close(reply: ReplyName, text: string, methodId = 0): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.log.warn({ ...this.#fields(), reply }, `closing connection: ${text}`)
    this.#disposeChannels()
    this.#state = 'closing'
    this.send(0, {
      name: 'connection.close',
      replyCode: REPLY[reply],
      replyText: replyText(reply, text),
      classId: methodId >>> 16,
      methodId: methodId & 0xffff,
    })
    this.#clearTimer()
    this.#timer = this.clock.setTimer(this.limits.closeTimeoutMs, () => this.#end())
    // The answer must be read, whatever stood in the way of reading.
    this.#holds = 0
    if (this.reading === null) this.proceed(HOLD.ANSWER)
    this.#gate.openAll()
  }

  shutdown(reason: string): void {
    this.#countsRequeues = false
    if (this.#state === 'running') {
      const text = `broker forced connection closure with reason 'shutdown': ${reason}`
      this.close('CONNECTION_FORCED', text)
    } else if (this.#state !== 'closing') this.#transport.destroy()
  }

  channelClosed(channel: Channel): void {
    this.#router.remove(channel)
  }

  /** Closes the channel or the connection that a refusal or a fault is about. */
  failed(error: unknown, number: number, methodId: number): void {
    const failure = failureOf(error, methodId)
    const channel = this.#router.channel(number)
    if (failure.isOurs) {
      this.log.error({ ...this.#fields(), err: error, channel: number }, 'a request failed here')
    }
    if (failure.scope === 'channel' && channel !== undefined && channel.isOpen) {
      this.log.warn({ ...this.#fields(), channel: number }, `closing channel: ${failure.text}`)
      channel.fail(failure)
      return
    }
    this.close(failure.reply, failure.text, failure.methodId)
  }

  closed(error: Error | null): void {
    const wasRunning = this.#state === 'running'
    this.#disposeChannels()
    this.#state = 'closed'
    this.#parser.stop()
    this.#held.clear()
    this.#clearTimer()
    this.#heartbeat?.stop()
    this.output.discard()
    if (wasRunning) {
      const fields = { ...this.#fields(), err: error ?? undefined }
      this.log.warn(fields, 'client closed the socket without a word')
    }
    this.#shared.closed(this)
  }

  #parse(bytes: Buffer): void {
    let at = 0
    if (this.#state === 'header') {
      at = this.#readProtocolHeader(bytes)
      if (at < 0) return
    }
    const published = this.publishedCount
    this.reading = bytes
    this.#flow?.begin()
    try {
      at = this.#parser.push(bytes, at)
    } catch (error) {
      this.#unreadable(error)
      at = bytes.length
    }
    this.reading = null
    this.#flow?.end()
    if (this.#openContent !== null) {
      this.#openContent.retain()
      this.#openContent = null
    }
    if (at < bytes.length) {
      this.#held.add(bytes, at)
      if (this.#holds === 0) this.proceed(HOLD.ANSWER)
    }
    if (this.publishedCount !== published && this.#state === 'running') {
      this.#backpressure.published()
    }
  }

  /** The client sends nothing more: neither do we, once what it sent is answered. */
  #endWithPeer(): void {
    if (!this.#isPeerDone || (this.#holds & HOLD.ANSWER) !== 0 || !this.answers.isIdle) return
    this.output.flush()
    this.#transport.end()
  }

  /** The index behind it; -1 while it is incomplete, or when it is not ours. */
  #readProtocolHeader(bytes: Buffer): number {
    const whole = this.#held.isEmpty ? bytes : Buffer.concat([this.#held.take(), bytes])
    const header = recogniseProtocolHeader(whole, 0, whole.length)
    if (header === null) {
      this.#held.add(whole, 0)
      return -1
    }
    if (header !== 'amqp-0-9-1') {
      this.log.info({ ...this.#fields(), header }, 'a client speaks another protocol')
      this.output.append(AMQP_0_9_1_HEADER)
      this.output.flush()
      this.#state = 'closed'
      this.#clearTimer()
      this.#transport.end()
      return -1
    }
    this.#state = 'handshake'
    this.#handshake = new Handshake(this)
    this.#handshake.start()
    return PROTOCOL_HEADER_BYTES - (whole.length - bytes.length)
  }

  /** Bytes that are no frames: nothing that follows can be understood. */
  #unreadable(error: unknown): void {
    if (!(error instanceof AmqpFrameError)) {
      this.log.error({ ...this.#fields(), err: error }, 'a read failed here')
    }
    this.failed(error, 0, 0)
    this.#end()
  }

  #closedByClient(): void {
    // Exclusive queues go before the answer: their names are free for the next connection.
    this.#disposeChannels()
    this.#state = 'closing'
    this.send(0, { name: 'connection.close-ok' })
    this.log.info({ ...this.#fields(), user: this.userName }, 'connection closed')
    this.#end()
  }

  #end(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#parser.stop()
    this.#clearTimer()
    this.#heartbeat?.stop()
    this.output.flush()
    this.#transport.end()
  }

  #disposeChannels(): void {
    this.#router.disposeAll(this.#countsRequeues)
    this.#openContent = null
    this.#flow?.close()
    this.partialBytes = 0
    if (this.#vhost !== null) this.broker.connectionClosed(this)
  }

  #clearTimer(): void {
    if (this.#state === 'closed') this.#expiry.stop()
    this.#timer?.cancel()
    this.#timer = null
  }

  #fields(): { readonly connection: string; readonly id: number } {
    return { connection: this.name, id: this.id }
  }
}
