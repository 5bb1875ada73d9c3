import {
  AmqpFrameError,
  decodeMethod,
  type FrameHandler,
  METHOD,
} from '../../codec/amqp091/index.ts'
import { Channel } from './channel.ts'
import type { Amqp091Connection } from './connection.ts'
import { AmqpError } from './errors.ts'

/** Gives each frame to its channel, opens channels, and sees to it that no error goes further. */
export class FrameRouter implements FrameHandler {
  readonly #connection: Amqp091Connection
  #channels: (Channel | undefined)[] = []
  #count = 0

  constructor(connection: Amqp091Connection) {
    this.#connection = connection
  }

  /** Open channels, and those that wait for the client's close-ok. */
  get channelCount(): number {
    return this.#count
  }

  channel(number: number): Channel | undefined {
    return this.#channels[number]
  }

  *channels(): Iterable<Channel> {
    for (const channel of this.#channels) if (channel !== undefined) yield channel
  }

  remove(channel: Channel): void {
    if (this.#channels[channel.number] !== channel) return
    this.#channels[channel.number] = undefined
    this.#count--
    this.#connection.flow.channelsClosed(1)
  }

  /** `isCounted`: deliveries come back as failed attempts. */
  disposeAll(isCounted: boolean): void {
    for (const channel of this.channels()) channel.dispose(isCounted)
    this.#channels = []
    if (this.#count > 0) this.#connection.flow.channelsClosed(this.#count)
    this.#count = 0
  }

  /** HOT. */
  onMethod(number: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    try {
      const channel = this.#channels[number]
      if (channel !== undefined && channel.isOpen) channel.onMethod(methodId, bytes, start, end)
      else if (number === 0) this.#connection.onConnectionMethod(methodId, bytes, start, end)
      else this.#offChannel(number, methodId, bytes, start, end)
    } catch (error) {
      this.#failed(error, number, methodId)
    }
  }

  onHeader(number: number, bytes: Buffer, start: number, end: number): void {
    try {
      const channel = this.#contentChannel(number)
      if (channel !== null) channel.publishes.onHeader(bytes, start, end)
    } catch (error) {
      this.#failed(error, number, METHOD.BASIC_PUBLISH)
    }
  }

  onBody(number: number, bytes: Buffer, start: number, end: number): void {
    try {
      const channel = this.#contentChannel(number)
      if (channel !== null) channel.publishes.onBody(bytes, start, end)
    } catch (error) {
      this.#failed(error, number, METHOD.BASIC_PUBLISH)
    }
  }

  onHeartbeat(): void {
    // Any byte counts as one, and the connection counts them.
  }

  /** What was asked before the fault is answered before it. */
  #failed(error: unknown, number: number, methodId: number): void {
    const connection = this.#connection
    connection.answers.afterThose(number, methodId, () => {
      connection.failed(error, number, methodId)
    })
  }

  /** A method for a channel that is not open: the one that opens it, or the end of one. */
  #offChannel(number: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    const connection = this.#connection
    if (connection.isClosing) return
    if (!connection.isRunning) {
      const text = `a method on channel ${number} before connection.open`
      throw new AmqpError('UNEXPECTED_FRAME', text)
    }
    const channel = this.#channels[number]
    if (channel !== undefined) {
      // We closed it with an error: until the client has answered, what comes is dropped.
      if (methodId === METHOD.CHANNEL_CLOSE_OK) this.remove(channel)
      else if (methodId === METHOD.CHANNEL_CLOSE) channel.send({ name: 'channel.close-ok' })
      return
    }
    decodeMethod(methodId, bytes, start, end)
    if (methodId !== METHOD.CHANNEL_OPEN) {
      throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'")
    }
    this.#open(number)
  }

  #open(number: number): void {
    const { channelMax } = this.#connection.tuning
    if (number > channelMax || this.#count >= channelMax) {
      const opened = Math.max(this.#count, channelMax)
      const limit = `has reached the negotiated channel_max (${channelMax})`
      throw new AmqpError('NOT_ALLOWED', `number of channels opened (${opened}) ${limit}`)
    }
    this.#connection.flow.openChannel()
    // Holes would make the array slow, and clients choose the numbers.
    while (this.#channels.length <= number) this.#channels.push(undefined)
    this.#channels[number] = new Channel(number, this.#connection)
    this.#count++
    this.#connection.send(number, { name: 'channel.open-ok', channelId: '' })
  }

  /** Null: the frame belongs to something that is over, and is dropped. */
  #contentChannel(number: number): Channel | null {
    const channel = this.#channels[number]
    if (channel !== undefined) return channel.isOpen ? channel : null
    if (this.#connection.isClosing) return null
    const text = 'expected method frame, got non method frame instead'
    throw new AmqpFrameError('UNEXPECTED_FRAME', text)
  }
}
