import {
  type AttachFrame,
  CONTROL_BYTES_MAX,
  decodeStatus,
  decodeText,
  decodeWelcome,
  FRAME,
  type FrameHandler,
  FrameParser,
  PREAMBLE,
  RpcFrameError,
  type StatusFrame,
  writeAttach,
  writeBytes,
  writeEmpty,
  writeHello,
  writeNumber,
} from '../codec/rpc/index.ts'
import type { Clock } from '../lib/clock.ts'
import type { Turn, TurnTask } from '../lib/turn.ts'
import {
  type ConnectionHandler,
  OutputBuffer,
  type SlabPool,
  type Transport,
} from '../net/index.ts'
import { type Callee, DEADLINE_MS_MAX_DEFAULT } from '../rpc/call.ts'
import { FramePeer } from '../rpc/frame-peer.ts'
import { IdleWatch } from '../rpc/idle-watch.ts'
import { RpcError, statusNameOf } from '../rpc/status.ts'
import { IDLE_MS, INCOMING_CALLS_MAX } from './limits.ts'

export interface LinkOptions {
  readonly clock: Clock
  readonly turn: Turn
  readonly slabs: SlabPool
  /** Takes the calls that come to providers of this process. */
  readonly callee: Callee
  readonly vhost: string
  readonly user: string
  readonly password: string
  /** In the place of user and password. */
  readonly token: string | null
  readonly client: string
  readonly messageBytesMax: number
  readonly owner: LinkOwner
}

export interface LinkOwner {
  /** Logged in: calls may be made. */
  linkReady(link: Link): void
  linkAttached(id: number, error: RpcError | null): void
  /** The server takes no more calls here; those that are open go on. */
  linkDraining(link: Link): void
  /** It is over, whether or not it ever was ready. */
  linkLost(link: Link, error: RpcError): void
}

/** One connection to a server, from the socket to its end. */
export class Link implements ConnectionHandler, TurnTask, FrameHandler {
  turnQueued = false
  readonly peer: FramePeer
  readonly #options: LinkOptions
  readonly #transport: Transport
  readonly #output: OutputBuffer
  readonly #parser: FrameParser
  #isReady = false
  #isOver = false
  #receivedBytes = 0
  #idle: IdleWatch | null = null
  #error: RpcError | null = null

  constructor(transport: Transport, options: LinkOptions) {
    this.#transport = transport
    this.#options = options
    this.#output = new OutputBuffer(transport, options.slabs)
    const { messageBytesMax, vhost, client } = options
    this.#parser = new FrameParser(this, {
      buffers: options.slabs,
      hasPreamble: false,
      messageBytesMax,
    })
    this.peer = new FramePeer({
      output: this.#output,
      requestOutput: this.#requestOutput,
      callee: options.callee,
      isInitiator: true,
      clock: options.clock,
      callsMax: INCOMING_CALLS_MAX,
      deadlineMsMax: DEADLINE_MS_MAX_DEFAULT,
    })
    this.#output.append(PREAMBLE)
    writeHello(this.#output, {
      ...{ vhost, client, messageBytesMax, ...loginOf(options) },
    })
    this.#requestOutput()
  }

  received(bytes: Buffer): void {
    this.#receivedBytes += bytes.length
    try {
      this.#parser.push(bytes)
    } catch (error) {
      if (!(error instanceof RpcFrameError)) throw error
      this.#fail(new RpcError('INTERNAL', error.message, { cause: error }))
    }
  }

  drained(): void {
    this.#output.drained()
  }

  ended(): void {
    this.#fail(new RpcError('UNAVAILABLE', 'the server has closed the connection'))
  }

  closed(cause: Error | null): void {
    const text = cause?.message ?? 'the connection is closed'
    this.#over(this.#error ?? new RpcError('UNAVAILABLE', text, { cause: cause ?? undefined }))
    this.#output.discard()
  }

  /** Nobody asks a client to; whoever owns it closes it. */
  shutdown(): void {
    this.close()
  }

  /** Says what is left to say, and closes. */
  close(): void {
    this.#over(new RpcError('UNAVAILABLE', 'the channel is closed'))
    this.#output.flush()
    this.#transport.end()
  }

  runTurn(): void {
    this.#output.flush()
  }

  attach(id: number, frame: AttachFrame): void {
    writeAttach(this.#output, id, frame)
    this.#requestOutput()
  }

  setCapacity(id: number, capacity: number): void {
    writeNumber(this.#output, FRAME.CAPACITY, id, capacity)
    this.#requestOutput()
  }

  detach(id: number): void {
    writeEmpty(this.#output, FRAME.DETACH, id)
    this.#requestOutput()
  }

  // --- frames ---

  frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#isReady && id !== 0 && type >= FRAME.OPEN && type < FRAME.ATTACH) {
      this.peer.frame(type, flags, id, payload)
      return
    }
    switch (type) {
      case FRAME.WELCOME:
        this.#welcome(payload)
        break
      case FRAME.STATUS:
        this.#fail(errorOf(decodeStatus(payload)))
        break
      case FRAME.ATTACHED: {
        const status = decodeStatus(payload)
        this.#options.owner.linkAttached(id, status.code === 0 ? null : errorOf(status))
        break
      }
      case FRAME.PING:
        writeBytes(this.#output, { type: FRAME.PONG, id: 0 }, payload)
        this.#requestOutput()
        break
      case FRAME.PONG:
        break
      case FRAME.AUTH:
        this.#challenged()
        break
      case FRAME.GOAWAY:
        this.#error = new RpcError('UNAVAILABLE', decodeText(payload))
        this.#options.owner.linkDraining(this)
        break
      default:
        throw new RpcFrameError('MALFORMED', `a frame of type ${type} is not allowed here`)
    }
  }

  oversize(id: number, byteLength: number): void {
    const text = `a message of ${byteLength} bytes, the limit is ${this.#parser.messageBytesMax}`
    this.peer.oversize(id, text)
  }

  // --- inside ---

  readonly #requestOutput = (): void => {
    if (!this.turnQueued) this.#options.turn.output(this)
  }

  #welcome(payload: Buffer): void {
    const { clock, owner } = this.#options
    this.peer.messageBytesMax = decodeWelcome(payload).messageBytesMax
    this.#parser.controlBytesMax = CONTROL_BYTES_MAX
    this.#isReady = true
    this.#idle = new IdleWatch({
      clock,
      idleMs: IDLE_MS,
      receivedBytes: () => this.#receivedBytes,
      ask: () => {
        writeBytes(this.#output, { type: FRAME.PING, id: 0 }, PING)
        this.#requestOutput()
      },
      silent: () => this.#fail(new RpcError('UNAVAILABLE', 'the server does not answer')),
    })
    owner.linkReady(this)
  }

  /** Only OAUTHBEARER has a challenge: that the token is not good, which the client must answer. */
  #challenged(): void {
    if (this.#isReady || this.#options.token === null) return
    writeBytes(this.#output, { type: FRAME.AUTH, id: 0 }, Buffer.from([1]))
    this.#requestOutput()
  }

  #fail(error: RpcError): void {
    this.#error ??= error
    this.#over(this.#error)
    this.#transport.destroy()
  }

  #over(error: RpcError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#idle?.stop()
    this.#parser.stop()
    this.#options.owner.linkLost(this, error)
    this.peer.lost(error.message)
  }
}

const PING: Uint8Array = new Uint8Array(8)

function loginOf({ user, password, token }: LinkOptions): {
  readonly mechanism: string
  readonly response: Uint8Array
} {
  if (token === null) {
    return { mechanism: 'PLAIN', response: Buffer.from(`\0${user}\0${password}`) }
  }
  // RFC 7628.
  return { mechanism: 'OAUTHBEARER', response: Buffer.from(`n,,\x01auth=Bearer ${token}\x01\x01`) }
}

function errorOf({ code, message, details }: StatusFrame): RpcError {
  const name = statusNameOf(code)
  return new RpcError(name === 'OK' ? 'UNKNOWN' : name, message, { details })
}
