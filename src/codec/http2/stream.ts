/** What waits for a window of the peer; made when the first octet has to. */
export interface Waiting {
  readonly pieces: Buffer[]
  /** Octets of the first piece that are sent. */
  sent: number
  trailers: readonly string[] | null
  extra: readonly string[] | null
  endStream: boolean
}

/** One stream of a connection (§5.1). Only the session changes it; `owner` is its owner's. */
export class Http2Stream {
  readonly id: number
  /** Whatever the session's handler keeps for a stream. */
  owner: unknown = null
  /** The peer has ended its side, or this side has. */
  peerEnded = false
  ended = false
  /** Reset by either side, or the connection is gone: nothing more is sent or told. */
  isOver = false
  /** The first header list of the peer was told, so the next are trailers. */
  hasHeaders = false
  sendWindow: number
  receiveWindow: number
  /** Octets taken that the peer was not told of yet. */
  taken = 0
  /** Octets of content that came, and that `content-length` said; -1: it did not. */
  contentBytes = 0
  contentLength = -1
  waiting: Waiting | null = null
  /** Octets given to `sendData` that are not in frames yet. */
  waitingBytes = 0

  constructor(id: number, sendWindow: number, receiveWindow: number) {
    this.id = id
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }
}

export const ENDED: { readonly WELL: 1; readonly RESET_BY_PEER: 2; readonly RESET_BY_US: 3 } = {
  WELL: 1,
  RESET_BY_PEER: 2,
  RESET_BY_US: 3,
}
export type EndedHow = 1 | 2 | 3

/** How the last streams ended: frames for them may have been on their way (§5.1, closed). */
export class EndedStreams {
  readonly #ids: Int32Array
  readonly #hows: Uint8Array
  #next = 0

  /** `kept` is a power of two. */
  constructor(kept: number) {
    this.#ids = new Int32Array(kept)
    this.#hows = new Uint8Array(kept)
  }

  add(id: number, how: EndedHow): void {
    const slot = this.#next++ & (this.#ids.length - 1)
    this.#ids[slot] = id
    this.#hows[slot] = how
  }

  /** Null when it ended too long ago, or never was. */
  howOf(id: number): EndedHow | null {
    const slot = this.#ids.lastIndexOf(id)
    return slot < 0 ? null : (this.#hows[slot] as EndedHow)
  }
}
