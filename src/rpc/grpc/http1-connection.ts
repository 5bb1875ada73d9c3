import type {
  Http1Connection,
  Http1Exchange,
  Http1Request,
  PeerInfo,
  Transport,
} from '../../net/index.ts'
import type { CallOwner, StreamCall } from './call.ts'
import type { ConnectionShared } from './connection.ts'
import type { RequestHandler } from './exchange.ts'
import type { GrpcConnectionInfo } from './server.ts'
import type { Logins } from './login.ts'
import { openWebCall } from './web-request.ts'

/** One connection of HTTP/1.1, whose requests are calls of Connect and gRPC-Web. */
export class Http1CallConnection implements Http1Connection, CallOwner {
  readonly id: number
  readonly peer: PeerInfo
  readonly messageBytesMax: number
  readonly #shared: ConnectionShared
  readonly #transport: Transport
  readonly #logins: Logins
  readonly #connectedAtMs: number
  readonly #onClosed: () => void
  #callCount = 0

  constructor(transport: Transport, shared: ConnectionShared, onClosed: () => void) {
    this.id = transport.id
    this.peer = transport.peer
    this.messageBytesMax = shared.limits.messageBytesMax
    this.#shared = shared
    this.#transport = transport
    this.#logins = shared.loginsOf(transport.peer)
    this.#connectedAtMs = shared.clock.now()
    this.#onClosed = onClosed
  }

  get users(): readonly string[] {
    return this.#logins.callers.map(({ user }) => user)
  }

  get info(): GrpcConnectionInfo {
    const { remoteAddress, remotePort, localAddress, localPort, listener, tls } = this.peer
    const [caller] = this.#logins.callers
    return {
      id: this.id,
      name: `${remoteAddress}:${remotePort} -> ${localAddress}:${localPort}`,
      ...{ clientName: null, clientProduct: null, heldBackBy: null, state: 'running' },
      user: caller?.user ?? null,
      vhost: caller?.vhost ?? null,
      channels: this.#callCount,
      consumers: 0,
      protocol: 'Connect',
      peerAddress: remoteAddress,
      peerPort: remotePort,
      listener,
      tls: tls !== null,
      connectedAtMs: this.#connectedAtMs,
      ...{ receivedBytes: 0, sentBytes: 0 },
    }
  }

  request(request: Http1Request, exchange: Http1Exchange): RequestHandler {
    const { clock, limits } = this.#shared
    const parts = { clock, limits, logins: this.#logins, requestOutput: () => {} }
    return openWebCall(this, parts, { request, exchange })
  }

  closed(): void {
    this.#onClosed()
  }

  fail(): void {
    this.#transport.destroy()
  }

  permissionsChanged(): void {
    for (const caller of this.#logins.callers) caller.forget()
  }

  // --- calls ---

  /** Node writes by itself. */
  requestOutput(): void {}

  /** In the next turn, so that a callee with much to say does not say it inside its own call. */
  owes(call: StreamCall): void {
    if (call.isOwed) return
    call.isOwed = true
    this.#shared.turn.dispatch({
      turnQueued: false,
      runTurn: () => {
        call.isOwed = false
        call.settle()
      },
    })
  }

  callBegan(): void {
    this.#callCount += 1
  }

  callEnded(): void {
    this.#callCount -= 1
  }
}
