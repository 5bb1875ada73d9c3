import type { FlowPeer, HeldBack, Meter, Topic, VirtualHost } from '../../broker/index.ts'
import {
  KafkaMessageError,
  KafkaReader,
  readRequestHeader,
  type RequestHeader,
  SIZE_BYTES,
  writeResponseHeader,
} from '../../codec/kafka/index.ts'
import type { Timer } from '../../lib/clock.ts'
import type { TurnTask } from '../../lib/turn.ts'
import type { Actor } from '../../model/actor.ts'
import {
  type ConnectionHandler,
  HeldInput,
  OutputBuffer,
  PAUSE,
  type PeerInfo,
  ReadGate,
  type Transport,
} from '../../net/index.ts'
import { type Api, hasFlexibleAnswer } from './api-table.ts'
import { Authentication } from './authentication.ts'
import { ProtocolFault } from './errors.ts'
import { type FrameHandler, RequestFrames } from './request-frames.ts'
import type { KafkaShared, RequestConnection, RequestContext } from './request-context.ts'

/** One request whose answer has not left yet. */
interface Exchange {
  readonly api: Api
  readonly version: number
  readonly correlationId: number
  response: unknown
  isAnswered: boolean
  /** Wants to know when the answer was copied. */
  sent: (() => void) | null
}

function newExchange(api: Api, version: number, correlationId: number): Exchange {
  return { api, version, correlationId, response: null, isAnswered: false, sent: null }
}

const PRODUCE = 0

/** While a request is awaited so much is read ahead: enough to see the client go. */
const HELD_BYTES_MAX = 64 * 1024
/** Larger answers go to the socket as they are, without another copy. */
const DIRECT_BYTES = 64 * 1024

/** One Kafka connection: requests in, answers out in the same order, however they are found. */
export class KafkaConnection
  implements ConnectionHandler, TurnTask, FrameHandler, RequestConnection, FlowPeer
{
  turnQueued = false
  readonly id: number
  readonly peer: PeerInfo
  readonly output: OutputBuffer
  readonly connectedAtMs: number
  readonly authentication: Authentication
  clientId = ''
  /** Name and version of the client's library, as ApiVersions told. */
  clientSoftware: string | null = null
  publishedCount = 0
  deliveredCount = 0
  readonly readerMeters: WeakMap<Topic, Meter> = new WeakMap()
  receivedBytes = 0
  isClosed = false
  readonly #shared: KafkaShared
  readonly #transport: Transport
  readonly #frames: RequestFrames
  readonly #gate: ReadGate
  readonly #held: HeldInput = new HeldInput()
  readonly #reader = new KafkaReader()
  readonly #exchanges: Exchange[] = []
  #isHeld = false
  /** A request other than Produce is not answered yet. */
  #isAwaited = false
  #isParsing = false
  #isPeerDone = false
  #isPublisher = false
  #idle: Timer
  #throttled: Timer | null = null
  #lastMs: number
  readonly #openedMs: number

  constructor(transport: Transport, shared: KafkaShared) {
    this.id = transport.id
    this.peer = transport.peer
    this.#shared = shared
    this.#transport = transport
    this.output = new OutputBuffer(transport, shared.slabs)
    this.authentication = new Authentication(this, shared)
    this.#frames = new RequestFrames(this)
    this.#gate = new ReadGate(transport)
    this.connectedAtMs = shared.clock.now()
    this.#lastMs = shared.clock.monotonicMs()
    this.#openedMs = this.#lastMs
    this.#idle = shared.clock.setTimer(shared.limits.loginMs, () => this.#checkIdle())
  }

  get name(): string {
    const { remoteAddress, remotePort, localAddress, localPort } = this.peer
    return `${remoteAddress}:${remotePort} -> ${localAddress}:${localPort}`
  }

  get actor(): Actor {
    return {
      protocol: 'Kafka',
      connectionId: this.id,
      connection: this.name,
      user: this.authentication.login?.user ?? null,
      clientId: this.clientId === '' ? null : this.clientId,
    }
  }

  get vhost(): VirtualHost | null {
    return this.authentication.login?.vhost ?? null
  }

  get stateName(): string {
    if (this.isClosed) return 'closed'
    if (this.#gate.isClosedFor(PAUSE.ALARM)) return 'blocked'
    return this.#gate.isClosedFor(PAUSE.FLOW) ? 'flow' : 'running'
  }

  /** Which limit keeps it from being read; null: none does. */
  get heldBackBy(): string | null {
    const isBlocked = this.#gate.isClosedFor(PAUSE.ALARM)
    const held = this.authentication.flow?.heldBackBy ?? null
    return held ?? (isBlocked ? this.#shared.broker.pressure.alarm : null)
  }

  get frameBytesMax(): number {
    const { requestBytesMax, loginBytesMax } = this.#shared.limits
    return this.authentication.login === null ? loginBytesMax : requestBytesMax
  }

  // --- bytes ---

  received(bytes: Buffer): void {
    this.receivedBytes += bytes.length
    this.#lastMs = this.#shared.clock.monotonicMs()
    if (!this.#isStill && this.#held.isEmpty) {
      this.#parse(bytes)
      return
    }
    this.#held.add(bytes, 0)
    if (this.#held.size >= HELD_BYTES_MAX) this.#gate.close(PAUSE.HELD)
  }

  drained(): void {
    this.output.drained()
    this.#sendAnswers()
    this.#gate.open(PAUSE.OUTPUT)
  }

  ended(): void {
    this.#isPeerDone = true
    this.#endWithPeer()
  }

  closed(error: Error | null): void {
    const wasOpen = !this.isClosed
    this.#stop()
    this.output.discard()
    if (wasOpen) this.#log('info', 'client has gone', error)
    this.#shared.broker.connectionClosed(this)
    this.#shared.groups.connectionClosed(this)
    this.onClosed?.()
  }

  /** Set by the protocol: the connection is over. */
  onClosed: (() => void) | null = null

  /** Clients take a closed connection for a reason to look for the broker again. */
  shutdown(_reason: string): void {
    this.#close()
  }

  requestOutput(): void {
    if (!this.turnQueued) this.#shared.turn.output(this)
  }

  runTurn(): void {
    if (this.isClosed) return
    this.output.flush()
    if (this.output.pendingBytes > this.#shared.limits.outputBytesMax) {
      this.#gate.close(PAUSE.OUTPUT)
    }
  }

  fail(reason: string): void {
    if (this.isClosed) return
    this.#log('warn', `closing connection: ${reason}`, null)
    this.#close()
  }

  /** Parses nothing more until `release`. */
  hold(): void {
    this.#isHeld = true
    this.#gate.close(PAUSE.HELD)
  }

  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    if (!this.#isParsing) this.#parseHeld()
  }

  /** Is not read for so long, after it was told by `throttle_time_ms` (KIP-219). */
  throttle(ms: number): void {
    if (ms <= 0 || this.isClosed) return
    this.#throttled?.cancel()
    this.#gate.close(PAUSE.THROTTLED)
    this.#throttled = this.#shared.clock.setTimer(ms, () => this.#gate.open(PAUSE.THROTTLED))
  }

  /** Consumers fetch on other connections: what is taken here is asked for here, when it is read. */
  hasConsumers(): boolean {
    return false
  }

  /** A limit is reached, or has room again; `throttle_time_ms` tells of it. */
  heldBack(held: HeldBack | null): void {
    if (held === null) this.#gate.open(PAUSE.FLOW)
    else this.#gate.close(PAUSE.FLOW)
  }

  pressureChanged(): void {
    const { alarm, overloaded } = this.#shared.broker.pressure
    if (alarm !== null && this.#isPublisher) this.#gate.close(PAUSE.ALARM)
    else if (alarm === null) this.#gate.open(PAUSE.ALARM)
    if (overloaded && this.#isPublisher) this.#gate.close(PAUSE.OVERLOADED)
    else if (!overloaded) this.#gate.open(PAUSE.OVERLOADED)
  }

  /** Whether what comes has to wait. */
  get #isStill(): boolean {
    return this.#isHeld || this.#isAwaited
  }

  // --- requests ---

  onFrame(bytes: Buffer, start: number, end: number): boolean {
    if (this.authentication.takesRawTokens) {
      this.authentication.rawToken(Buffer.from(bytes.subarray(start, end)))
      return !this.#isStill && !this.isClosed
    }
    const isProduce = end - start >= 2 && bytes.readInt16BE(start) === PRODUCE
    const { apis } = this.#shared
    const reader = this.#reader
    // Produce copies its records itself, at once unless it waits for a login; what other requests
    // hold may be kept by their handlers.
    if (isProduce && this.authentication.login !== null) reader.open(bytes, start, end)
    else reader.open(Buffer.from(bytes.subarray(start, end)), 0, end - start)
    const header = readRequestHeader(reader, apis.isFlexible)
    this.clientId = header.clientId ?? ''
    const api = apis.find(header.apiKey)
    const { apiVersion } = header
    if (api === null || apiVersion < api.versionMin || apiVersion > api.versionMax) {
      this.#refuseVersion(header, api)
      return !this.isClosed
    }
    if (isProduce) this.#becomePublisher()
    this.#handle(api, header)
    // One request at a time, as with Kafka, so that what is asked but not read yet is in memory
    // once at most. Only Produce is taken ahead: it waits for the disk, and answers little.
    if (!isProduce && this.#exchanges.length > 0) this.#isAwaited = true
    if (this.#exchanges.length >= this.#shared.limits.inFlightMax) this.hold()
    return !this.#isStill && !this.isClosed
  }

  #handle(api: Api, header: RequestHeader): void {
    const { apiVersion: version, correlationId } = header
    const request = api.read(this.#reader, version)
    const exchange = newExchange(api, version, correlationId)
    const respond = (response: unknown, sent: (() => void) | null = null): void => {
      if (exchange.isAnswered) throw new Error(`${api.name} was answered twice`)
      exchange.response = response
      exchange.isAnswered = true
      exchange.sent = sent
      this.#sendAnswers()
    }
    this.#exchanges.push(exchange)
    if (api.isOpen) {
      api.handle(this.#context(version), request, respond)
      return
    }
    const { login } = this.authentication
    if (login !== null) {
      api.handle(this.#context(version), request, respond)
      return
    }
    // Whoever does not log in before the first request is a guest, or nobody.
    this.hold()
    this.authentication.anonymous(() => {
      api.handle(this.#context(version), request, respond)
      this.release()
    })
  }

  #context(apiVersion: number): RequestContext {
    const { login } = this.authentication
    return {
      connection: this,
      shared: this.#shared,
      apiVersion,
      clientId: this.clientId,
      clientHost: this.peer.remoteAddress,
      user: login?.user ?? '',
      principal: login?.principal ?? '',
      // Only APIs that need no virtual host are open before the login.
      vhost: login?.vhost as VirtualHost,
    }
  }

  /**
   * The broker has no form for an answer that it does not know, so it closes; only ApiVersions is
   * answered, in version 0, with what it has (KIP-511).
   */
  #refuseVersion(header: RequestHeader, api: Api | null): void {
    const { apiKey, apiVersion, correlationId } = header
    if (api?.name !== 'ApiVersions') {
      this.fail(`api key ${apiKey} version ${apiVersion} is not supported`)
      return
    }
    const exchange = newExchange(api, 0, correlationId)
    exchange.response = this.#shared.apis.unsupportedVersion()
    exchange.isAnswered = true
    this.#exchanges.push(exchange)
    this.#sendAnswers()
  }

  #becomePublisher(): void {
    if (this.#isPublisher) return
    this.#isPublisher = true
    const { alarm, overloaded } = this.#shared.broker.pressure
    if (alarm !== null || overloaded) this.pressureChanged()
  }

  /** Writes the answers that are ready, as far as nothing before them is still awaited. */
  #sendAnswers(): void {
    if (this.isClosed) return
    const exchanges = this.#exchanges
    let sent = 0
    while (sent < exchanges.length && exchanges[sent]!.isAnswered && !this.output.blocked) {
      this.#send(exchanges[sent++]!)
    }
    if (sent === 0) return
    exchanges.splice(0, sent)
    this.requestOutput()
    if (exchanges.length === 0) this.#isAwaited = false
    const isRoomAgain = exchanges.length <= this.#shared.limits.inFlightMax / 2
    if (isRoomAgain && !this.authentication.isBusy) this.#isHeld = false
    if (!this.#isParsing) this.#parseHeld()
  }

  #send({ api, version, correlationId, response, sent }: Exchange): void {
    if (response === null) return
    const writer = this.#shared.writer.start()
    writer.int32(0)
    writeResponseHeader(writer, correlationId, hasFlexibleAnswer(api, version))
    api.write(writer, version, response)
    writer.setInt32(0, writer.size - SIZE_BYTES)
    const { size } = writer
    if (size < DIRECT_BYTES) this.output.append(writer.bytes())
    else this.output.pass(writer.detach(), size)
    sent?.()
  }

  #parse(bytes: Buffer): void {
    if (this.isClosed) return
    this.#isParsing = true
    let at = bytes.length
    try {
      at = this.#frames.push(bytes)
    } catch (error) {
      this.#failed(error)
    }
    this.#isParsing = false
    if (this.isClosed) return
    if (at < bytes.length) this.#held.add(bytes, at)
    this.#parseHeld()
  }

  #parseHeld(): void {
    while (!this.#isStill && !this.isClosed && !this.#held.isEmpty) {
      const bytes = this.#held.take()
      this.#isParsing = true
      let at = bytes.length
      try {
        at = this.#frames.push(bytes)
      } catch (error) {
        this.#failed(error)
      }
      this.#isParsing = false
      if (at < bytes.length) this.#held.add(bytes, at)
    }
    if (this.isClosed || this.#isStill) return
    this.#gate.open(PAUSE.HELD)
    this.#endWithPeer()
  }

  #failed(error: unknown): void {
    if (error instanceof KafkaMessageError || error instanceof ProtocolFault) {
      this.fail(error.message)
      return
    }
    this.#log('error', 'a request failed here', error)
    this.#close()
  }

  #checkIdle(): void {
    const { clock, limits } = this.#shared
    const { login } = this.authentication
    const limitMs = login === null ? limits.loginMs : limits.idleMs
    // Whoever sends an octet now and then has not logged in by that.
    const sinceMs = login === null ? this.#openedMs : this.#lastMs
    const leftMs = sinceMs + limitMs - clock.monotonicMs()
    if (leftMs <= 0 && this.#exchanges.length === 0) {
      this.fail(login === null ? 'nobody logged in in time' : `nothing came for ${limitMs} ms`)
      return
    }
    this.#idle = clock.setTimer(Math.max(leftMs, 1000), () => this.#checkIdle())
  }

  /** The client sends nothing more: neither do we, once what it sent is answered. */
  #endWithPeer(): void {
    if (!this.#isPeerDone || this.#isStill || this.isClosed || this.#exchanges.length > 0) return
    this.#close()
  }

  #close(): void {
    if (this.isClosed) return
    this.output.flush()
    this.#stop()
    this.#transport.end()
  }

  #stop(): void {
    this.isClosed = true
    this.#frames.stop()
    this.#held.clear()
    this.#idle.cancel()
    this.#throttled?.cancel()
    this.#exchanges.length = 0
    this.authentication.stop()
    this.authentication.flow?.close()
  }

  #log(level: 'info' | 'warn' | 'error', text: string, error: unknown): void {
    const fields = { connection: this.name, id: this.id, client: this.clientId }
    this.#shared.log[level](error === null ? fields : { ...fields, err: error }, text)
  }
}
