/**
 * A client that minds nothing: it writes whatever it is given, checks that whatever comes back is
 * well-formed AMQP, and notes how it was refused.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  decodeContentHeader,
  decodeMethod,
  encodeMethod,
  FRAME_SIZE_MAX_DEFAULT,
  FrameParser,
  METHOD,
  METHOD_NAMES,
  type ContentHeader,
  type Method,
} from '../../src/codec/amqp091/index.ts'
import type { Target } from '../support/target.ts'

/** A channel.close or connection.close that the server sent. */
export interface Refusal {
  /** 0 for the connection. */
  readonly channel: number
  readonly code: number
  readonly text: string
  /** The blamed method; empty for none. */
  readonly method: string
}

export interface PeerOptions {
  /** Default true: closes are answered, as the specification asks. */
  readonly answers?: boolean
  /** Default true; false leaves everything in the socket, for ever. */
  readonly reads?: boolean
}

export class FuzzPeer {
  readonly refusals: Refusal[] = []
  /** Why what the server sent is no AMQP; null while it is. */
  malformed: string | null = null
  /** The socket is over, by either side. */
  isEnded = false
  /** The server answered with a protocol header: it does not speak what we said. */
  sawProtocolHeader = false
  receivedBytes = 0
  /** The content header that came last. */
  lastHeader: ContentHeader | null = null
  readonly #socket: Socket
  readonly #answers: boolean
  readonly #counts = new Map<string, number>()
  readonly #contentLeft = new Map<number, number>()
  readonly #parser: FrameParser
  #isFirst = true
  #wake: (() => void) | null = null

  private constructor(socket: Socket, options: PeerOptions) {
    this.#socket = socket
    this.#answers = options.answers ?? true
    this.#parser = new FrameParser(
      {
        onMethod: (channel, methodId, bytes, start, end) => {
          this.#onMethod(channel, methodId, decodeMethod(methodId, bytes, start, end))
        },
        onHeader: (channel, bytes, start, end) => {
          if (this.#contentLeft.get(channel) !== -1) throw new Error('a header that is not due')
          this.lastHeader = decodeContentHeader(Buffer.from(bytes), start, end)
          this.#contentLeft.set(channel, Number(this.lastHeader.bodySize))
        },
        onBody: (channel, _bytes, start, end) => {
          const left = (this.#contentLeft.get(channel) ?? 0) - (end - start)
          if (left < 0) throw new Error('a body that is not due')
          this.#contentLeft.set(channel, left)
        },
        onHeartbeat: () => this.#count('heartbeat'),
      },
      FRAME_SIZE_MAX_DEFAULT,
    )
    if (options.reads ?? true) socket.on('data', (bytes: Buffer) => this.#received(bytes))
    // A reset is one of the ways to be refused.
    socket.on('error', () => this.#ended())
    socket.on('close', () => this.#ended())
  }

  static async connect(target: Target, options: PeerOptions = {}): Promise<FuzzPeer> {
    const socket = connect(target.port, target.host)
    await once(socket, 'connect')
    socket.setNoDelay(true)
    return new FuzzPeer(socket, options)
  }

  /** How often this method has come. */
  count(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  get connectionRefusal(): Refusal | null {
    return this.refusals.find(({ channel }) => channel === 0) ?? null
  }

  /** What was written and has not been taken by the kernel. */
  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): void {
    if (!this.#socket.destroyed && this.#socket.writable) this.#socket.write(bytes)
  }

  /** Writes and waits until the kernel has it all, or a moment: the server may not be reading. */
  async writeSlowly(bytes: Uint8Array, withinMs: number): Promise<void> {
    this.write(bytes)
    await this.until(() => this.#socket.writableLength === 0, withinMs, true)
  }

  /** Says that nothing more will come; what the server sends is still read. */
  halfClose(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  /** Whether `condition` came true in time; it is looked at whenever something has come. */
  async until(condition: () => boolean, withinMs: number, polls = false): Promise<boolean> {
    const deadlineMs = performance.now() + withinMs
    for (;;) {
      if (condition()) return true
      const leftMs = deadlineMs - performance.now()
      if (leftMs <= 0 || this.isEnded) return condition()
      await new Promise<void>((resolve) => {
        const timeout = setTimeout(resolve, polls ? Math.min(leftMs, 5) : leftMs)
        this.#wake = () => {
          clearTimeout(timeout)
          this.#wake = null
          resolve()
        }
      })
    }
  }

  async untilEnded(withinMs: number): Promise<boolean> {
    return this.until(() => this.isEnded, withinMs)
  }

  #received(bytes: Buffer): void {
    this.receivedBytes += bytes.length
    let start = 0
    if (this.#isFirst) {
      this.#isFirst = false
      if (bytes.subarray(0, 4).toString('latin1') === 'AMQP') {
        this.sawProtocolHeader = true
        start = 8
      }
    }
    try {
      this.#parser.push(bytes, start)
    } catch (error) {
      this.malformed ??= String(error)
    }
    this.#wake?.()
  }

  #onMethod(channel: number, methodId: number, incoming: Method): void {
    this.#count(incoming.name)
    if ((this.#contentLeft.get(channel) ?? 0) !== 0) throw new Error('a method amidst a content')
    if (
      methodId === METHOD.BASIC_DELIVER ||
      methodId === METHOD.BASIC_GET_OK ||
      methodId === METHOD.BASIC_RETURN
    ) {
      this.#contentLeft.set(channel, -1)
    }
    if (incoming.name !== 'channel.close' && incoming.name !== 'connection.close') return
    const { replyCode: code, replyText: text, classId, methodId: blamed } = incoming
    const name = METHOD_NAMES.get(classId * 0x10000 + blamed) ?? ''
    this.refusals.push({ channel, code, text, method: name })
    if (!this.#answers) return
    if (incoming.name === 'channel.close') {
      this.write(encodeMethod(channel, { name: 'channel.close-ok' }))
    } else this.write(encodeMethod(0, { name: 'connection.close-ok' }))
  }

  #count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  #ended(): void {
    this.isEnded = true
    this.#wake?.()
  }
}
