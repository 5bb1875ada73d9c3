import {
  decodeHello,
  FRAME,
  type FrameHandler,
  FrameParser,
  LOGIN_BYTES_MAX,
  CONTROL_BYTES_MAX,
  RpcFrameError,
  writeBytes,
  writeStatus,
  writeWelcome,
} from '../codec/rpc/index.ts'
import type { Clock, Timer } from '../lib/clock.ts'
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
import { STATUS_CODES, type StatusName } from '../rpc/status.ts'
import { isSame } from './direct-logins.ts'
import { CONNECT_TIMEOUT_MS, DIRECT_CALLS_MAX, IDLE_MS } from './limits.ts'

export interface DirectShared {
  readonly clock: Clock
  readonly turn: Turn
  readonly slabs: SlabPool
  readonly callee: Callee
  readonly user: string
  readonly password: string
  readonly messageBytesMax: number
}

/** One caller that is connected to a provider itself, without a broker between. */
export class DirectConnection implements ConnectionHandler, TurnTask, FrameHandler {
  turnQueued = false
  readonly #shared: DirectShared
  readonly #transport: Transport
  readonly #output: OutputBuffer
  readonly #parser: FrameParser
  readonly #timer: Timer
  #peer: FramePeer | null = null
  #idle: IdleWatch | null = null
  #isOver = false
  #receivedBytes = 0

  constructor(transport: Transport, shared: DirectShared) {
    this.#transport = transport
    this.#shared = shared
    this.#output = new OutputBuffer(transport, shared.slabs)
    this.#parser = new FrameParser(this, {
      buffers: shared.slabs,
      hasPreamble: true,
      messageBytesMax: LOGIN_BYTES_MAX,
      controlBytesMax: LOGIN_BYTES_MAX,
    })
    this.#timer = shared.clock.setTimer(CONNECT_TIMEOUT_MS, () => this.#close())
  }

  received(bytes: Buffer): void {
    this.#receivedBytes += bytes.length
    try {
      this.#parser.push(bytes)
    } catch (error) {
      if (!(error instanceof RpcFrameError)) throw error
      this.#peer?.drain(error.message)
      this.#close()
    }
  }

  drained(): void {
    this.#output.drained()
  }

  ended(): void {
    this.#close()
  }

  closed(): void {
    this.#over()
    this.#output.discard()
  }

  /** Open calls may end; no more come. */
  shutdown(reason: string): void {
    const peer = this.#peer
    peer?.drain(reason)
    if (peer === null || peer.callCount === 0) this.#close()
    else peer.onIdle = () => this.#close()
  }

  runTurn(): void {
    if (!this.#isOver) this.#output.flush()
  }

  frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#peer === null) this.#login(type, payload)
    else if (id !== 0 && type >= FRAME.OPEN && type < FRAME.ATTACH) {
      this.#peer.frame(type, flags, id, payload)
    } else this.#control(type, id, payload)
  }

  oversize(id: number, byteLength: number): void {
    const text = `a message of ${byteLength} bytes, the limit is ${this.#parser.messageBytesMax}`
    this.#peer?.oversize(id, text)
  }

  readonly #requestOutput = (): void => {
    if (!this.turnQueued) this.#shared.turn.output(this)
  }

  #control(type: number, id: number, payload: Buffer): void {
    if (type === FRAME.PING) {
      writeBytes(this.#output, { type: FRAME.PONG, id: 0 }, payload.subarray(0, 8))
      this.#requestOutput()
    } else if (type === FRAME.ATTACH) {
      this.#refuse(FRAME.ATTACHED, id, ['UNIMPLEMENTED', 'a provider itself takes no providers'])
    } else if (type !== FRAME.PONG && type !== FRAME.GOAWAY) {
      throw new RpcFrameError('MALFORMED', `a frame of type ${type} is not allowed here`)
    }
  }

  #login(type: number, payload: Buffer): void {
    if (type !== FRAME.HELLO) throw new RpcFrameError('MALFORMED', 'no HELLO at the beginning')
    const { clock, callee, user, password, messageBytesMax } = this.#shared
    const hello = decodeHello(payload)
    const expected = `\0${user}\0${password}`
    if (hello.mechanism !== 'PLAIN' || !isSame(hello.response, Buffer.from(expected))) {
      this.#refuse(FRAME.STATUS, 0, ['UNAUTHENTICATED', 'Login was refused'])
      this.#close()
      return
    }
    const peer = new FramePeer({
      output: this.#output,
      requestOutput: this.#requestOutput,
      callee,
      isInitiator: false,
      clock,
      callsMax: DIRECT_CALLS_MAX,
      deadlineMsMax: DEADLINE_MS_MAX_DEFAULT,
    })
    peer.messageBytesMax = hello.messageBytesMax
    this.#peer = peer
    this.#parser.messageBytesMax = messageBytesMax
    this.#parser.controlBytesMax = CONTROL_BYTES_MAX
    this.#timer.cancel()
    writeWelcome(this.#output, {
      messageBytesMax,
      callsMax: DIRECT_CALLS_MAX,
      deadlineMsMax: DEADLINE_MS_MAX_DEFAULT,
    })
    this.#requestOutput()
    this.#idle = new IdleWatch({
      clock,
      idleMs: IDLE_MS,
      receivedBytes: () => this.#receivedBytes,
      ask: () => {
        writeBytes(this.#output, { type: FRAME.PING, id: 0 }, new Uint8Array(8))
        this.#requestOutput()
      },
      silent: () => this.#transport.destroy(),
    })
  }

  #refuse(type: number, id: number, [code, message]: readonly [StatusName, string]): void {
    const frame = { code: STATUS_CODES[code], message, details: [], trailers: [] }
    writeStatus(this.#output, { type, id }, frame)
    this.#requestOutput()
  }

  #close(): void {
    this.#over()
    this.#output.flush()
    this.#transport.end()
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#timer.cancel()
    this.#idle?.stop()
    this.#parser.stop()
    if (this.#peer === null) return
    this.#peer.onIdle = null
    this.#peer.lost('the connection of the caller is closed')
  }
}
