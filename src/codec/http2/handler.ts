import type { FrameSink } from './frame-writer.ts'
import type { HeaderList } from './header-list.ts'
import type { Http2Stream } from './stream.ts'

/**
 * Who is told of streams. Everything is called inside `push` (or the call that caused it), bytes
 * are borrowed, and header lists are not: they are not changed any more, and equal ones are one
 * object mostly. After `onEnd` nothing more is told of a stream.
 */
export interface Http2Handler {
  /** A request, or the final head of a response; `isLast`: nothing follows. */
  onHeaders(stream: Http2Stream, headers: HeaderList, isLast: boolean): void
  /** Content in `bytes[start, end)`; give it back with `taken` when it is dealt with. */
  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, isLast: boolean): void
  onTrailers(stream: Http2Stream, headers: HeaderList): void
  /** Everything given to `sendData` is in frames, after some of it had to wait. */
  onSent(stream: Http2Stream): void
  /**
   * The stream is gone before both sides ended it: reset by the peer, or by us for what the peer
   * did, or refused by a GOAWAY, or lost with the connection.
   */
  onReset(stream: Http2Stream, code: number): void
  /** The other side takes no more streams; `onReset` came for those that it will not answer. */
  onGoaway(code: number, text: string): void
  /** The answer to `ping`. */
  onPong(): void
  /** Streams may be opened that could not before. */
  onRoom(): void
}

export interface Http2Options {
  readonly role: 'server' | 'client'
  readonly handler: Http2Handler
  readonly sink: FrameSink
  /** Streams the peer may have open at once. */
  readonly streamsMax?: number
  readonly streamWindowBytes?: number
  readonly connectionWindowBytes?: number
}

export interface SendOptions {
  readonly extra?: readonly string[] | null
  readonly isLast?: boolean
}
