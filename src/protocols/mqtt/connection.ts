import { LoginExpiry, principalOf, type SaslOutcome, type User } from '../../auth/index.ts'
import type {
  Broker,
  BrokerLog,
  Flow,
  FlowPeer,
  HeldBack,
  Session,
  SessionOwner,
} from '../../broker/index.ts'
import {
  type AckType,
  type ConnectPacket,
  encodeAuth,
  encodeConnack,
  encodeSuback,
  encodeUnsuback,
  MqttPacketError,
  PACKET,
  PacketParser,
  type PacketHandler,
  PINGRESP,
  type Properties,
  type PublishView,
  REASON,
  type ReasonPacket,
  type SubscribePacket,
  type UnsubscribePacket,
  type Version,
  type Will,
} from '../../codec/mqtt/index.ts'
import type { Timer } from '../../lib/clock.ts'
import type { TurnTask } from '../../lib/turn.ts'
import type { Actor } from '../../model/actor.ts'
import type { NativeForm } from '../../model/native-form.ts'
import {
  type ConnectionHandler,
  HeldInput,
  loginPeerOf,
  OutputBuffer,
  PAUSE,
  type PeerInfo,
  ReadGate,
  type Transport,
} from '../../net/index.ts'
import { Acks, type AckSender } from './acks.ts'
import { Answers } from './answers.ts'
import { Authentication } from './authentication.ts'
import { claimOf, connackProperties, expiryMsOf } from './connect.ts'
import type { ConnectionShared } from './connection-shared.ts'
import {
  ConnectRefusal,
  refuseConnect,
  isLimit,
  isUnsupportedVersion,
  ProtocolFault,
} from './faults.ts'
import { KeepAlive } from './keep-alive.ts'
import { CONNECT_BYTES_MAX, type MqttLimits } from './limits.ts'
import { enter, login, type Login } from './login.ts'
import { OpenSession } from './open-session.ts'
import type { OutboxPeer } from './outbox.ts'
import { PacketIds, WAY } from './packet-ids.ts'
import { StoredFirst, type StoredFirstPeer } from './stored-first.ts'

type State = 'connecting' | 'opening' | 'running' | 'closed'

const NOTHING: Buffer = Buffer.alloc(0)

/** One MQTT connection: packets in, packets out, and every error in its right place. */
export class MqttConnection
  implements
    ConnectionHandler,
    TurnTask,
    PacketHandler,
    SessionOwner,
    AckSender,
    StoredFirstPeer,
    OutboxPeer,
    FlowPeer
{
  turnQueued = false
  readonly id: number
  readonly peer: PeerInfo
  readonly broker: Broker
  readonly log: BrokerLog
  readonly limits: MqttLimits
  readonly output: OutputBuffer
  readonly answers: Answers
  readonly acks: Acks = new Acks(this)
  readonly storedFirst: StoredFirst = new StoredFirst(this)
  readonly packetIds: PacketIds
  readonly connectedAtMs: number
  version: Version = 4
  clientId: Buffer = NOTHING
  inFlightMax = 0
  topicAliasMax = 0
  isPublishing = false
  /** Named in its messages while it does not want them back; else null. */
  publisherName: Buffer | null = null
  user: User | null = null
  /** Its limits, once it is known who it is. */
  flow: Flow | null = null
  receivedBytes = 0
  publishedCount = 0
  /** Of what it was connected for; while it is, `outbox` counts. */
  deliveredCount = 0
  droppedCount = 0
  readonly #shared: ConnectionShared
  readonly #transport: Transport
  readonly #parser: PacketParser
  readonly #gate: ReadGate
  readonly #held: HeldInput = new HeldInput()
  #state: State = 'connecting'
  #isHeld = false
  #isPeerDone = false
  #timer: Timer | null
  #keepAlive: KeepAlive | null = null
  readonly #expiry: LoginExpiry
  #opened: OpenSession | null = null
  #will: Will | null = null
  /** Of a client that named a method in CONNECT. */
  #authentication: Authentication | null = null
  /** The CONNECT that is not answered yet. */
  #connect: ConnectPacket | null = null
  #clientName = ''

  constructor(transport: Transport, shared: ConnectionShared) {
    this.id = transport.id
    this.peer = transport.peer
    this.broker = shared.broker
    this.log = shared.log
    this.limits = shared.limitsOf(transport.peer.listener)
    this.#shared = shared
    this.#transport = transport
    this.output = new OutputBuffer(transport, shared.slabs)
    this.answers = new Answers(this)
    this.packetIds = new PacketIds(shared.broker)
    this.#parser = new PacketParser(this, CONNECT_BYTES_MAX)
    this.#gate = new ReadGate(transport)
    this.connectedAtMs = shared.clock.now()
    this.#expiry = new LoginExpiry(shared.clock, () => {
      this.#end(REASON.MAXIMUM_CONNECT_TIME, 'the token has expired', false)
    })
    this.#timer = shared.clock.setTimer(this.limits.connectTimeoutMs, () => {
      this.log.warn(this.#fields(), 'no CONNECT, or no login, came in time')
      this.#transport.destroy()
    })
  }

  get name(): string {
    const { remoteAddress, remotePort, localAddress, localPort } = this.peer
    return `${remoteAddress}:${remotePort} -> ${localAddress}:${localPort}`
  }

  get clientName(): string | null {
    return this.#clientName === '' ? null : this.#clientName
  }

  get actor(): Actor {
    return {
      protocol: 'MQTT',
      connectionId: this.id,
      connection: this.name,
      user: this.userName,
      principal: () => principalOf(this.user!),
      clientId: this.clientName,
    }
  }

  get userName(): string | null {
    return this.user?.name ?? null
  }

  get vhostName(): string | null {
    return this.#opened?.vhost.name ?? null
  }

  get stateName(): string {
    if (this.#state === 'running' && this.#gate.isClosedFor(PAUSE.ALARM)) return 'blocked'
    return this.#gate.isClosedFor(PAUSE.FLOW) ? 'flow' : this.#state
  }

  /** Which limit keeps it from being read; null: none does. */
  get heldBackBy(): string | null {
    const isBlocked = this.#gate.isClosedFor(PAUSE.ALARM)
    return this.flow?.heldBackBy ?? (isBlocked ? this.broker.pressure.alarm : null)
  }

  /** It has ended, or is being ended: what was begun for it comes too late. */
  get isGone(): boolean {
    return this.#state === 'closed'
  }

  get subscriptionCount(): number {
    return this.#opened?.subscriptions.size ?? 0
  }

  get sentCount(): number {
    return this.deliveredCount + (this.#opened?.outbox.deliveredCount ?? 0)
  }

  get unsentCount(): number {
    return this.droppedCount + (this.#opened?.outbox.droppedCount ?? 0)
  }

  get outletCount(): number {
    return this.#opened?.outbox.outletCount ?? 0
  }

  get lostCount(): number {
    return this.#opened?.outbox.lostCount ?? 0
  }

  /** What the client takes. */
  get packetSizeMax(): number {
    return this.answers.packetSizeMax
  }

  get outputBytesMax(): number {
    return this.limits.outputBytesMax
  }

  now(): number {
    return this.#opened!.vhost.now()
  }

  form(id: number): NativeForm | undefined {
    return this.#opened!.vhost.form(id)
  }

  // --- bytes ---

  received(bytes: Buffer): void {
    this.receivedBytes += bytes.length
    this.#keepAlive?.received()
    if (this.#isHeld || !this.#held.isEmpty) this.#held.add(bytes, 0)
    else this.#parse(bytes)
  }

  drained(): void {
    this.output.drained()
    this.#gate.open(PAUSE.OUTPUT)
    this.#opened?.outbox.refresh()
  }

  ended(): void {
    this.#isPeerDone = true
    this.#endWithPeer()
  }

  closed(error: Error | null): void {
    const wasOpen = this.#state !== 'closed'
    this.#leave(false)
    this.#state = 'closed'
    this.#parser.stop()
    this.#held.clear()
    this.#stopTimers()
    this.flow?.close()
    this.output.discard()
    if (wasOpen) this.log.info({ ...this.#fields(), err: error ?? undefined }, 'client has gone')
    this.#shared.closed(this)
  }

  shutdown(_reason: string): void {
    this.#end(REASON.SERVER_SHUTTING_DOWN, 'the broker stops', true)
  }

  requestOutput(): void {
    if (!this.turnQueued) this.#shared.turn.output(this)
  }

  runTurn(): void {
    if (this.#state === 'closed') return
    this.output.flush()
    if (!this.output.blocked) return
    this.#opened?.outbox.refresh()
    if (this.output.pendingBytes > this.limits.outputBytesMax) this.#gate.close(PAUSE.OUTPUT)
  }

  // --- acknowledgements ---

  sendAck(type: AckType, packetId: number, reasonCode: number): void {
    if (this.#state !== 'closed') this.answers.acknowledge(type, packetId, reasonCode)
  }

  sendStored(packets: readonly Buffer[]): void {
    if (this.#state === 'closed') return
    for (const packet of packets) this.answers.send(packet)
    this.#opened?.outbox.refresh()
  }

  releaseAfterCommit(packetId: number): void {
    this.acks.add(PACKET.PUBREL, packetId, 0)
  }

  storeFailed(error: Error): void {
    this.log.error({ ...this.#fields(), err: error }, 'what a client sent could not be stored')
    this.#end(REASON.UNSPECIFIED_ERROR, 'the store failed', false)
  }

  beginAtomic(): void {
    this.broker.beginAtomic()
  }

  endAtomic(): void {
    this.broker.endAtomic()
  }

  // --- packets ---

  onConnect(packet: ConnectPacket): void {
    this.version = packet.version
    this.#state = 'opening'
    this.answers.version = packet.version
    this.answers.wantsReasons = packet.properties.requestProblemInformation !== 0
    this.#takeProperties(packet.properties)
    this.#connect = packet
    const { authenticationMethod: method, authenticationData: data } = packet.properties
    if (method === undefined) {
      this.#await(login(this.#shared, packet, this.peer).then((found) => this.#open(found)))
      return
    }
    const peer = loginPeerOf(this.peer)
    this.#authentication = new Authentication(this.#shared.authenticator, peer, method)
    this.#await(this.#authenticate(data))
  }

  onPublish(publish: PublishView): void {
    this.publishedCount++
    this.#running().publishPath.publish(publish)
  }

  onAck(type: AckType, packetId: number, reasonCode: number, reason: string | null): void {
    const { outbox } = this.#running()
    if (type !== PACKET.PUBREL) {
      outbox.acknowledged(type as 4 | 5 | 7, packetId, { reasonCode, reason })
      return
    }
    const isKnown = this.packetIds.remove(WAY.IN, packetId)
    this.acks.add(PACKET.PUBCOMP, packetId, isKnown ? 0 : REASON.PACKET_IDENTIFIER_NOT_FOUND)
  }

  onSubscribe(packet: SubscribePacket): void {
    this.#await(this.#subscribe(packet, this.#running()))
  }

  onUnsubscribe(packet: UnsubscribePacket): void {
    this.#await(this.#unsubscribe(packet, this.#running()))
  }

  onPing(): void {
    this.#running()
    this.answers.send(PINGRESP)
  }

  onDisconnect({ reasonCode, properties }: ReasonPacket): void {
    const session = this.#opened?.session ?? null
    const seconds = properties.sessionExpiryInterval
    if (seconds !== undefined && session !== null) {
      if (seconds > 0 && session.expiryMs === 0) {
        throw new ProtocolFault('a session expiry in DISCONNECT, where CONNECT had none')
      }
      session.expiryMs = expiryMsOf(seconds, this.limits)
      this.#saveSession(session)
    }
    this.#parser.stop()
    this.#leave(reasonCode === 0)
    this.#close()
  }

  onAuth(packet: ReasonPacket): void {
    if (this.#authentication === null) {
      throw new ProtocolFault('AUTH without an authentication method in CONNECT')
    }
    this.#authentication.accept(packet, this.#state === 'running')
    this.#await(this.#authenticate(packet.properties.authenticationData))
  }

  // --- others' doing ---

  sessionTaken(): void {
    this.#end(REASON.SESSION_TAKEN_OVER, 'another client has this client id', false)
  }

  /** Told to go by an administrator. */
  closeFor(reason: string): void {
    this.#end(REASON.ADMINISTRATIVE_ACTION, reason, false)
  }

  permissionsChanged(): void {
    this.#opened?.publishPath.forget()
  }

  pressureChanged(): void {
    if (this.#state !== 'running') return
    const { alarm, overloaded } = this.broker.pressure
    const isPublisher = this.publishedCount > 0
    if (alarm !== null && isPublisher) this.#gate.close(PAUSE.ALARM)
    else if (alarm === null) this.#gate.open(PAUSE.ALARM)
    if (overloaded && isPublisher) this.#gate.close(PAUSE.OVERLOADED)
    else if (!overloaded) this.#gate.open(PAUSE.OVERLOADED)
  }

  hasConsumers(): boolean {
    return this.outletCount > 0
  }

  /** A limit is reached, or has room again: acknowledgements of what is not read yet wait. */
  heldBack(held: HeldBack | null): void {
    if (held === null) this.#gate.open(PAUSE.FLOW)
    else this.#gate.close(PAUSE.FLOW)
  }

  // --- inside ---

  /** One step of section 4.12, at the start or later. */
  async #authenticate(data: Buffer | undefined): Promise<void> {
    const authentication = this.#authentication!
    const outcome = await authentication.step(data)
    if (this.isGone) return
    if (outcome.kind === 'challenge') {
      this.#sendAuth(REASON.CONTINUE_AUTHENTICATION, outcome.data)
    } else if (this.#connect === null) {
      this.#reauthenticated(outcome)
    } else if (outcome.kind === 'done') {
      const found = enter(this.#shared, this.#connect, outcome.user)
      await this.#open(found, authentication.properties(outcome.data))
    } else {
      const { message, cause } = outcome.error
      throw new ConnectRefusal(REASON.NOT_AUTHORIZED, message, { cause })
    }
  }

  #reauthenticated(outcome: Exclude<SaslOutcome, { kind: 'challenge' }>): void {
    if (outcome.kind === 'failed') {
      this.log.warn({ ...this.#fields(), err: outcome.error.cause }, 'a re-authentication failed')
      this.#end(REASON.NOT_AUTHORIZED, outcome.error.message, false)
    } else if (outcome.user.name !== this.userName) {
      const text = `a re-authentication of user '${this.userName}' as another one`
      this.#end(REASON.NOT_AUTHORIZED, text, false)
    } else {
      this.#expiry.renew(outcome.user)
      this.user = outcome.user
      this.#opened?.become(principalOf(outcome.user))
      this.#sendAuth(REASON.SUCCESS, outcome.data)
    }
  }

  #sendAuth(reasonCode: number, data: Buffer): void {
    const packet = encodeAuth(reasonCode, this.#authentication!.properties(data))
    if (packet.length <= this.packetSizeMax) this.answers.send(packet)
    else this.#end(REASON.PACKET_TOO_LARGE, 'the client takes no packet as large as AUTH', false)
  }

  async #open({ user, vhost }: Login, authenticated: Properties = {}): Promise<void> {
    const packet = this.#connect!
    const assigned = packet.clientId === '' ? `auto-${this.#shared.random.id()}` : null
    const clientId = assigned ?? packet.clientId
    this.#clientName = clientId
    const claim = claimOf(packet, { clientId, user: user.name, limits: this.limits })
    if (this.isGone) return
    this.#openFlow(user.name, vhost.name)
    const { session, isResumed } = await vhost.sessions.claim(this, claim).catch(refuseConnect)
    if (this.isGone) {
      vhost.sessions.release(session, this)
      return
    }
    if (isResumed) this.#shared.wills.cancel(session)
    this.user = user
    this.#expiry.renew(user)
    this.clientId = Buffer.from(clientId)
    this.#will = packet.will
    const principal = principalOf(user)
    const opened = new OpenSession(this, this.#shared, { vhost, session, principal, clientId })
    this.#opened = opened
    await opened.resume()
    if (this.isGone) return
    this.#connected(packet, { assigned, isResumed, authenticated })
  }

  /** Throws `ConnectRefusal` where its user or virtual host has all the connections it may have. */
  #openFlow(user: string, vhost: string): void {
    try {
      this.flow = this.broker.flows.open({ user, vhost, owner: this, connection: this.name }, this)
    } catch (error) {
      refuseConnect(error)
    }
  }

  #connected(
    packet: ConnectPacket,
    told: {
      readonly assigned: string | null
      readonly isResumed: boolean
      readonly authenticated: Properties
    },
  ): void {
    const { limits, version } = this
    const { assigned, isResumed, authenticated } = told
    this.#connect = null
    this.#timer?.cancel()
    this.#timer = null
    this.#state = 'running'
    this.#parser.packetSizeMax = limits.packetSizeMax
    const { keepAliveSecondsMax } = limits
    const isCapped = packet.keepAliveSeconds === 0 || packet.keepAliveSeconds > keepAliveSecondsMax
    const mustCap = keepAliveSecondsMax < 65_535 && isCapped
    const seconds = mustCap ? keepAliveSecondsMax : packet.keepAliveSeconds
    if (seconds > 0) {
      const { clock } = this.#shared
      this.#keepAlive = new KeepAlive(clock, seconds, () => {
        // Whoever we do not read cannot be blamed for silence.
        if (!this.#gate.isOpen) return false

        this.#end(REASON.KEEP_ALIVE_TIMEOUT, `nothing came for ${seconds * 1.5} s`, false)
        return true
      })
    }
    const serverKeepAlive = mustCap ? seconds : null
    const properties = {
      ...connackProperties(packet, { limits, assigned, serverKeepAlive }),
      ...authenticated,
    }
    // In MQTT 3.1 that octet is reserved (its section 3.2).
    const sessionPresent = isResumed && version > 3
    const connack = encodeConnack({ version, sessionPresent, reasonCode: 0, properties })
    if (connack.length > this.packetSizeMax) {
      // Section 3.14: nor may it be told by a DISCONNECT, which comes behind CONNACK only.
      this.log.warn(this.#fields(), 'the client takes no packet as large as CONNACK')
      this.#leave(true)
      this.#close()
      return
    }
    this.answers.send(connack)
    const opened = this.#opened!
    this.#subscriptionsChanged(opened)
    opened.outbox.open()
    const fields = { ...this.#fields(), user: this.userName, vhost: this.vhostName }
    this.log.info({ ...fields, version, resumed: isResumed }, 'client connected')
  }

  #saveSession(session: Session): void {
    const { vhost } = this.#opened!
    vhost.sessions.save(session).catch((error: unknown) => {
      this.log.error({ ...this.#fields(), err: error }, 'the expiry of a session is not stored')
    })
  }

  #takeProperties(properties: Properties): void {
    const { receiveMaximum, maximumPacketSize, topicAliasMaximum } = properties
    this.inFlightMax = Math.min(receiveMaximum ?? 65_535, this.limits.inFlightMax)
    this.answers.packetSizeMax = maximumPacketSize ?? Infinity
    this.topicAliasMax = topicAliasMaximum ?? 0
  }

  async #subscribe(packet: SubscribePacket, opened: OpenSession): Promise<void> {
    const reasonCodes = await opened.subscribe(packet)
    if (reasonCodes === null) return
    this.#subscriptionsChanged(opened)
    const { subscriber } = opened
    const { packetId } = packet
    this.answers.reply(encodeSuback, { packetId, reasonCodes }, subscriber.takeRefusal())
    subscriber.sendRetained().catch((error: unknown) => {
      this.log.error({ ...this.#fields(), err: error }, 'retained messages could not be sent')
    })
  }

  async #unsubscribe(packet: UnsubscribePacket, opened: OpenSession): Promise<void> {
    const reasonCodes = await opened.unsubscribe(packet)
    if (reasonCodes === null) return
    this.#subscriptionsChanged(opened)
    this.answers.reply(encodeUnsuback, { packetId: packet.packetId, reasonCodes })
  }

  #subscriptionsChanged({ subscriptions }: OpenSession): void {
    this.publisherName = subscriptions.hasNoLocal() ? this.clientId : null
  }

  /** Throws `ProtocolFault` while CONNECT is not answered: AUTH and DISCONNECT go before. */
  #running(): OpenSession {
    if (this.#opened === null) throw new ProtocolFault('only AUTH and DISCONNECT go before CONNACK')
    return this.#opened
  }

  /** Parses nothing more until that is done. */
  #await(work: Promise<void>): void {
    this.#isHeld = true
    this.#parser.pause()
    this.#gate.close(PAUSE.HELD)
    const finish = (error: unknown): void => {
      if (error !== null && !this.isGone) this.#failed(error)
      this.#isHeld = false
      while (!this.#isHeld && !this.#held.isEmpty) this.#parse(this.#held.take())
      if (!this.#isHeld) this.#gate.open(PAUSE.HELD)
      this.#endWithPeer()
    }
    work.then(
      () => finish(null),
      (error: unknown) => finish(error),
    )
  }

  #parse(bytes: Buffer): void {
    if (this.#state === 'closed') return
    const published = this.publishedCount
    let at = bytes.length
    this.flow?.begin()
    try {
      at = this.#parser.push(bytes)
    } catch (error) {
      this.#failed(error)
    }
    this.flow?.end()
    if (at < bytes.length) this.#held.add(bytes, at)
    if (this.publishedCount !== published) {
      const { pressure } = this.broker
      if (pressure.alarm !== null || pressure.overloaded) this.pressureChanged()
    }
  }

  #failed(error: unknown): void {
    if (error instanceof MqttPacketError || error instanceof ProtocolFault) {
      this.#end(error.reasonCode, error.message, false)
      return
    }
    if (error instanceof ConnectRefusal) {
      this.#refuse(error)
      return
    }
    // A session needs queues, and there may be as many as there may be.
    if (isLimit(error) && this.#state === 'opening') {
      this.#refuse(new ConnectRefusal(REASON.QUOTA_EXCEEDED, error.message))
      return
    }
    this.log.error({ ...this.#fields(), err: error }, 'a request failed here')
    if (this.#state === 'running') this.#end(REASON.UNSPECIFIED_ERROR, 'an internal error', false)
    else this.#refuse(new ConnectRefusal(REASON.SERVER_UNAVAILABLE, 'an internal error'))
  }

  /** CONNACK with a reason, and the end. The cause is for the log. */
  #refuse({ reasonCode, message, cause }: ConnectRefusal): void {
    const why = cause instanceof Error ? cause.message : message
    this.log.warn({ ...this.#fields(), reasonCode }, `connection refused: ${why}`)
    this.answers.refuse(reasonCode, message)
    this.#leave(true)
    this.#close()
  }

  /** Ends the connection with a reason, which only MQTT 5 can be told. */
  #end(reasonCode: number, text: string, isClean: boolean): void {
    if (this.#state === 'closed') return
    this.log.warn({ ...this.#fields(), reasonCode }, `closing connection: ${text}`)
    if (this.#state === 'running' && this.version === 5) {
      this.answers.disconnect(reasonCode, text)
    } else if (this.#parser.version === 5 || isUnsupportedVersion(reasonCode)) {
      this.answers.refuseUnread(reasonCode, text)
    }
    this.#leave(isClean)
    this.#close()
  }

  /** Lets go of the session; without a DISCONNECT the will is published. */
  #leave(isClean: boolean): void {
    const opened = this.#opened
    if (opened === null) return
    this.#opened = null
    const { vhost, session, outbox } = opened
    this.deliveredCount += outbox.deliveredCount
    this.droppedCount += outbox.droppedCount
    opened.close()
    this.packetIds.close()
    const will = this.#will
    this.#will = null
    if (will !== null && !isClean && session.owner === this) {
      this.#shared.wills.add(session, {
        ...{ will, vhost, principal: principalOf(this.user!) },
        clientId: session.name,
      })
    }
    vhost.sessions.release(session, this)
    this.broker.connectionClosed(this)
  }

  #close(): void {
    this.#state = 'closed'
    this.#parser.stop()
    this.#stopTimers()
    this.flow?.close()
    this.output.flush()
    this.#transport.end()
  }

  #stopTimers(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#keepAlive?.stop()
    this.#expiry.stop()
  }

  /** The client sends nothing more: neither do we, once what it sent is answered. */
  #endWithPeer(): void {
    if (!this.#isPeerDone || this.#isHeld) return
    this.output.flush()
    this.#transport.end()
  }

  #fields(): { readonly connection: string; readonly id: number; readonly client: string } {
    return { connection: this.name, id: this.id, client: this.#clientName }
  }
}
