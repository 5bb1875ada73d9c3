import {
  type Authenticator,
  LoginExpiry,
  principalOf,
  requirePermission,
  requireVhost,
  type SaslExchange,
  type User,
  type UserStore,
} from '../../auth/index.ts'
import type { Broker, BrokerLog } from '../../broker/index.ts'
import {
  decodeAttach,
  decodeHello,
  decodeNumber,
  FRAME,
  type FrameHandler,
  FrameParser,
  type HelloFrame,
  CONTROL_BYTES_MAX,
  LOGIN_BYTES_MAX,
  RpcFrameError,
  writeBytes,
  writeStatus,
  writeWelcome,
} from '../../codec/rpc/index.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import type { Turn, TurnTask } from '../../lib/turn.ts'
import { BrokerError } from '../../model/errors.ts'
import {
  type ConnectionHandler,
  loginPeerOf,
  OutputBuffer,
  PAUSE,
  type PeerInfo,
  ReadGate,
  type SlabPool,
  type Transport,
} from '../../net/index.ts'
import { permissionNameOf } from '../../rpc/call.ts'
import { CallRights } from '../../rpc/call-rights.ts'
import type { RpcCore } from '../../rpc/core.ts'
import { REGISTRY_SERVICE, RegistryService } from '../../rpc/directory/registry-service.ts'
import { FramePeer } from '../../rpc/frame-peer.ts'
import { IdleWatch } from '../../rpc/idle-watch.ts'
import { RpcError, STATUS_CODES } from '../../rpc/status.ts'
import { Attachments } from './attachments.ts'
import { CallAccess } from './call-access.ts'
import type { RpcLimits } from './limits.ts'
import type { RpcConnectionInfo } from './rpc.ts'

/** What all connections share. */
export interface ConnectionShared {
  readonly broker: Broker
  readonly core: RpcCore
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly log: BrokerLog
  readonly limits: RpcLimits
  readonly slabs: SlabPool
  closed(connection: RpcConnection): void
}

/** All there is once somebody has logged in. */
interface Opened {
  readonly user: string
  readonly vhost: string
  readonly peer: FramePeer
  readonly rights: CallRights
  readonly attachments: Attachments
  /** Its watches stand as long as the connection. */
  readonly standing: RegistryService
}

type State = 'connecting' | 'running' | 'draining' | 'closed'

/** One connection of a caller, of a provider, or of who is both. */
export class RpcConnection implements ConnectionHandler, TurnTask, FrameHandler {
  turnQueued = false
  readonly id: number
  readonly peer: PeerInfo
  readonly #shared: ConnectionShared
  readonly #transport: Transport
  readonly #output: OutputBuffer
  readonly #parser: FrameParser
  readonly #gate: ReadGate
  readonly #connectedAtMs: number
  #state: State = 'connecting'
  /** A step of a login is under way: its peer waits for the answer. */
  #isStepping = false
  #hello: HelloFrame | null = null
  #exchange: SaslExchange | null = null
  #opened: Opened | null = null
  readonly #timer: Timer
  readonly #expiry: LoginExpiry
  #idle: IdleWatch | null = null
  #receivedBytes = 0

  constructor(transport: Transport, shared: ConnectionShared) {
    this.id = transport.id
    this.peer = transport.peer
    this.#shared = shared
    this.#transport = transport
    this.#output = new OutputBuffer(transport, shared.slabs)
    this.#gate = new ReadGate(transport)
    this.#parser = new FrameParser(this, {
      buffers: shared.slabs,
      hasPreamble: true,
      messageBytesMax: LOGIN_BYTES_MAX,
      controlBytesMax: LOGIN_BYTES_MAX,
    })
    this.#connectedAtMs = shared.clock.now()
    this.#timer = shared.clock.setTimer(shared.limits.loginTimeoutMs, () => {
      this.fail('no login came in time')
    })
    // What has begun goes on to its deadline, and the client comes again with another token.
    this.#expiry = new LoginExpiry(shared.clock, () => {
      this.shutdown(`the token of user '${this.userName}' has expired`)
    })
  }

  get userName(): string | null {
    return this.#opened?.user ?? null
  }

  get info(): RpcConnectionInfo {
    const { remoteAddress, remotePort, localAddress, localPort, listener, tls } = this.peer
    const client = this.#hello?.client ?? ''
    return {
      id: this.id,
      name: `${remoteAddress}:${remotePort} -> ${localAddress}:${localPort}`,
      clientName: client === '' ? null : client,
      user: this.userName,
      vhost: this.#opened?.vhost ?? null,
      state: this.#state,
      heldBackBy: null,
      channels: this.#opened?.peer.callCount ?? 0,
      consumers: this.#opened?.attachments.size ?? 0,
      protocol: 'RPC',
      peerAddress: remoteAddress,
      peerPort: remotePort,
      listener,
      tls: tls !== null,
      clientProduct: null,
      connectedAtMs: this.#connectedAtMs,
      receivedBytes: this.#receivedBytes,
      sentBytes: this.#output.writtenBytes,
    }
  }

  // --- bytes ---

  received(bytes: Buffer): void {
    this.#receivedBytes += bytes.length
    try {
      this.#parser.push(bytes)
    } catch (error) {
      if (!(error instanceof RpcFrameError)) throw error
      this.fail(error.message)
    }
  }

  drained(): void {
    this.#output.drained()
    this.#gate.open(PAUSE.OUTPUT)
    this.#opened?.attachments.setBlocked(false)
  }

  ended(): void {
    this.#close()
  }

  closed(error: Error | null): void {
    const wasOpen = this.#state !== 'closed'
    this.#leave('the connection is lost')
    this.#output.discard()
    if (wasOpen)
      this.#shared.log.info({ ...this.#fields(), err: error ?? undefined }, 'client has gone')
    this.#shared.closed(this)
  }

  /** Open calls may end; no more come. */
  shutdown(reason: string): void {
    if (this.#opened === null) {
      this.#close()
      return
    }
    this.#state = 'draining'
    const { peer, attachments, standing } = this.#opened
    peer.drain(reason)
    attachments.detachAll()
    standing.drain(reason)
    peer.onIdle = () => this.#close()
    if (peer.callCount === 0) this.#close()
  }

  readonly requestOutput = (): void => {
    if (!this.turnQueued) this.#shared.turn.output(this)
  }

  runTurn(): void {
    if (this.#state === 'closed') return
    this.#output.flush()
    if (!this.#output.blocked) return
    this.#opened?.attachments.setBlocked(true)
    if (this.#output.pendingBytes > this.#shared.limits.outputBytesMax) {
      this.#gate.close(PAUSE.OUTPUT)
    }
  }

  permissionsChanged(): void {
    this.#opened?.rights.forget()
  }

  /** Ends the connection, and tells the peer why. */
  fail(reason: string): void {
    if (this.#state === 'closed') return
    this.#shared.log.warn(this.#fields(), `closing connection: ${reason}`)
    this.#opened?.peer.drain(reason)
    this.#close()
  }

  // --- frames ---

  frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#state === 'closed') return
    if (this.#opened === null) this.#login(type, payload)
    else if (id !== 0 && type >= FRAME.OPEN && type < FRAME.ATTACH) {
      this.#opened.peer.frame(type, flags, id, payload)
    } else this.#control(this.#opened, { type, id, payload })
  }

  oversize(id: number, byteLength: number): void {
    const text = `a message of ${byteLength} bytes, the limit is ${this.#parser.messageBytesMax}`
    this.#opened?.peer.oversize(id, text)
  }

  #control(
    { attachments }: Opened,
    { type, id, payload }: { readonly type: number; readonly id: number; readonly payload: Buffer },
  ): void {
    switch (type) {
      case FRAME.PING:
        writeBytes(this.#output, { type: FRAME.PONG, id: 0 }, payload.subarray(0, PING_BYTES))
        this.requestOutput()
        break
      case FRAME.PONG:
      case FRAME.GOAWAY:
        break
      case FRAME.ATTACH:
        if (this.#state === 'running') attachments.attach(id, decodeAttach(payload))
        break
      case FRAME.DETACH:
        attachments.detach(id)
        break
      case FRAME.CAPACITY:
        attachments.setCapacity(id, decodeNumber(payload))
        break
      default:
        throw new RpcFrameError('MALFORMED', `a frame of type ${type} is not allowed here`)
    }
  }

  // --- login ---

  #login(type: number, payload: Buffer): void {
    if (this.#isStepping)
      throw new RpcFrameError('MALFORMED', 'a frame before the login was answered')
    if (type === FRAME.HELLO && this.#hello === null) {
      const hello = decodeHello(payload)
      this.#hello = hello
      const { authenticator } = this.#shared
      this.#exchange = authenticator.exchange(hello.mechanism, loginPeerOf(this.peer))
      if (this.#exchange === null) {
        const known = authenticator.mechanisms(loginPeerOf(this.peer)).join(', ')
        this.#refuse(new RpcError('UNAUTHENTICATED', `the mechanism must be one of ${known}`))
        return
      }
      this.#step(hello.response)
    } else if (type === FRAME.AUTH && this.#exchange !== null) {
      this.#step(new Uint8Array(payload))
    } else throw new RpcFrameError('MALFORMED', `a frame of type ${type} before the login`)
  }

  #step(response: Uint8Array): void {
    this.#isStepping = true
    this.#exchange!.step(response).then(
      (outcome) => {
        this.#isStepping = false
        if (this.#state !== 'connecting') return
        if (outcome.kind === 'challenge') {
          writeBytes(this.#output, { type: FRAME.AUTH, id: 0 }, outcome.data)
          this.requestOutput()
        } else if (outcome.kind === 'done') this.#enter(outcome.user, outcome.data)
        else this.#refuse(loginErrorOf(outcome.error), outcome.error)
      },
      (error: unknown) => {
        this.#shared.log.error({ ...this.#fields(), err: error }, 'a login failed')
        this.#close()
      },
    )
  }

  #enter(account: User, lastWords: Buffer): void {
    const user = principalOf(account)
    const { users, broker, core, clock, limits } = this.#shared
    const { vhost, messageBytesMax } = this.#hello!
    try {
      requireVhost(users, user, vhost)
      if (broker.vhost(vhost) === undefined) {
        throw new BrokerError('NOT_FOUND', `no vhost '${vhost}'`)
      }
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      this.#refuse(new RpcError('PERMISSION_DENIED', error.message))
      return
    }
    const { relay, registry, directory } = core.host(vhost)
    const rights = new CallRights((name, kind) => {
      requirePermission(users, { user, vhost, resource: 'queue', name, kind })
    }, limits.pathsMax)
    const requireProviding = (service: string): void => rights.requireProviding(service)
    const registryService = new RegistryService({
      ...{ directory, clock, account, requireProviding },
      maySee: (service) => users.allowed(user, vhost, permissionNameOf(service), 'write'),
    })
    const own = new Map([[REGISTRY_SERVICE, registryService]])
    const peer = new FramePeer({
      output: this.#output,
      requestOutput: this.requestOutput,
      callee: new CallAccess(rights, relay, own),
      isInitiator: false,
      clock,
      callsMax: limits.callsMax,
      deadlineMsMax: limits.deadlineMsMax,
    })
    peer.messageBytesMax = messageBytesMax
    const attachments = new Attachments({
      ...{ registry, peer, user: account.name, attachmentsMax: limits.attachmentsMax },
      requireProviding,
    })
    this.#opened = {
      user: account.name,
      vhost,
      peer,
      rights,
      attachments,
      standing: registryService,
    }
    this.#state = 'running'
    this.#parser.messageBytesMax = limits.messageBytesMax
    this.#parser.controlBytesMax = CONTROL_BYTES_MAX
    this.#parser.takesAttach = true
    if (lastWords.length > 0) writeBytes(this.#output, { type: FRAME.AUTH, id: 0 }, lastWords)
    writeWelcome(this.#output, {
      messageBytesMax: limits.messageBytesMax,
      callsMax: limits.callsMax,
      deadlineMsMax: limits.deadlineMsMax,
    })
    this.requestOutput()
    this.#timer.cancel()
    this.#idle = this.#watchIdle()
    this.#expiry.renew(account)
  }

  /** A STATUS of call 0 is why there is no login. */
  #refuse({ code, message }: RpcError, cause?: unknown): void {
    this.#shared.log.warn({ ...this.#fields(), err: cause }, `login refused: ${message}`)
    const frame = { code: STATUS_CODES[code], message, details: [], trailers: [] }
    writeStatus(this.#output, { type: FRAME.STATUS, id: 0 }, frame)
    this.#close()
  }

  // --- inside ---

  #watchIdle(): IdleWatch {
    const { clock, limits, log } = this.#shared
    return new IdleWatch({
      clock,
      idleMs: limits.idleMs,
      receivedBytes: () => this.#receivedBytes,
      ask: () => {
        writeBytes(this.#output, { type: FRAME.PING, id: 0 }, new Uint8Array(PING_BYTES))
        this.requestOutput()
      },
      silent: () => {
        log.warn(this.#fields(), 'the client does not answer')
        this.#transport.destroy()
      },
    })
  }

  /** What was written so far still leaves. */
  #close(): void {
    if (this.#state === 'closed') return
    this.#leave('the connection is closed')
    this.#output.flush()
    this.#transport.end()
  }

  #leave(reason: string): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#timer.cancel()
    this.#idle?.stop()
    this.#expiry.stop()
    this.#parser.stop()
    const opened = this.#opened
    // First, so that no call which ends here goes to a provider that is as gone.
    opened?.attachments.detachAll()
    if (opened !== null) opened.peer.onIdle = null
    opened?.peer.lost(reason)
  }

  #fields(): object {
    return { protocol: 'rpc', connection: this.info.name, user: this.userName }
  }
}

const PING_BYTES = 8

function loginErrorOf({ code, message }: BrokerError): RpcError {
  return new RpcError(code === 'UNAVAILABLE' ? 'UNAVAILABLE' : 'UNAUTHENTICATED', message)
}
