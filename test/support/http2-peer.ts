import {
  type HeaderList,
  type Http2Handler,
  Http2Session,
  type Http2Stream,
} from '../../src/codec/http2/index.ts'

/** A sink that only gathers. */
export class GatheredFrames {
  buffer: Buffer = Buffer.allocUnsafe(256)
  at = 0

  reserve(size: number): number {
    if (this.at + size > this.buffer.length) {
      const larger = Buffer.allocUnsafe(2 * (this.at + size))
      larger.set(this.buffer.subarray(0, this.at), 0)
      this.buffer = larger
    }
    return this.at
  }

  take(): Buffer {
    const bytes = Buffer.from(this.buffer.subarray(0, this.at))
    this.at = 0
    return bytes
  }
}

/** One side of a connection that keeps a diary, and answers when it is told how. */
export class Http2Peer implements Http2Handler {
  readonly sink: GatheredFrames = new GatheredFrames()
  readonly session: Http2Session
  readonly events: string[] = []
  readonly heads: HeaderList[] = []
  readonly content: Map<number, Buffer[]> = new Map()
  /** Those whose head was told. */
  readonly streams: Map<number, Http2Stream> = new Map()
  /** Whether content is given back at once. */
  takes = true
  goawayCode = -1
  /** Called when the other side has said all of a stream. */
  onWhole: (stream: Http2Stream) => void = () => {}

  constructor(role: 'server' | 'client', options: { streamsMax?: number } = {}) {
    this.session = new Http2Session({ role, handler: this, sink: this.sink, ...options })
  }

  contentOf(stream: Http2Stream): Buffer {
    return Buffer.concat(this.content.get(stream.id) ?? [])
  }

  onHeaders(stream: Http2Stream, headers: HeaderList, isLast: boolean): void {
    this.events.push(`headers ${stream.id}`)
    this.streams.set(stream.id, stream)
    this.heads.push(headers)
    if (isLast) this.onWhole(stream)
  }

  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const pieces = this.content.get(stream.id) ?? []
    pieces.push(Buffer.from(bytes.subarray(start, end)))
    this.content.set(stream.id, pieces)
    if (this.takes) this.session.taken(stream, end - start)
    if (isLast) this.onWhole(stream)
  }

  onTrailers(stream: Http2Stream, headers: HeaderList): void {
    this.events.push(`trailers ${stream.id} ${headers.fields.join(' ')}`)
    this.onWhole(stream)
  }

  onSent(stream: Http2Stream): void {
    this.events.push(`sent ${stream.id}`)
  }

  onReset(stream: Http2Stream, code: number): void {
    this.events.push(`reset ${stream.id} ${code}`)
  }

  onGoaway(code: number, text: string): void {
    this.goawayCode = code
    this.events.push(`goaway ${code} ${text}`)
  }

  onPong(): void {
    this.events.push('pong')
  }

  onRoom(): void {}
}

/** Carries what both sides said until neither has more; `cut` says how large each read is. */
export function exchange(
  left: Http2Peer,
  right: Http2Peer,
  cut: (left: number) => number = (size) => size,
): void {
  for (;;) {
    const toRight = left.sink.take()
    const toLeft = right.sink.take()
    if (toRight.length + toLeft.length === 0) return
    pushCut(right, toRight, cut)
    pushCut(left, toLeft, cut)
  }
}

function pushCut(peer: Http2Peer, bytes: Buffer, cut: (left: number) => number): void {
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(1, Math.min(bytes.length - at, cut(bytes.length - at)))
    // A read is borrowed: it is overwritten after the call.
    const read = Buffer.from(bytes.subarray(at, at + size))
    peer.session.push(read)
    read.fill(0xaa)
    at += size
  }
}
