import { Http2Error } from './http2-error.ts'
import {
  ERROR,
  FRAME_BYTES_LEAST,
  FRAME_BYTES_MOST,
  SETTING,
  WINDOW_BYTES_INITIAL,
  WINDOW_BYTES_MAX,
} from './spec.ts'

/** What the peer has said of itself (§6.5.2). */
export class PeerSettings {
  tableBytesMax = 4096
  streamsMax: number = Number.MAX_SAFE_INTEGER
  streamWindow: number = WINDOW_BYTES_INITIAL
  frameBytesMax: number = FRAME_BYTES_LEAST

  /** Takes one frame: of each setting its last value counts. Throws `Http2Error`. */
  read(bytes: Buffer, start: number, end: number, fromClient: boolean): void {
    if ((end - start) % 6 !== 0) {
      throw new Http2Error(ERROR.FRAME_SIZE_ERROR, `SETTINGS of ${end - start} octets`)
    }
    for (let at = start; at < end; at += 6) {
      this.#take(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2), fromClient)
    }
  }

  #take(setting: number, value: number, fromClient: boolean): void {
    switch (setting) {
      case SETTING.HEADER_TABLE_SIZE:
        this.tableBytesMax = value
        return
      case SETTING.ENABLE_PUSH:
        // Only a client may want it.
        if (value > (fromClient ? 1 : 0)) throw invalid('ENABLE_PUSH', value)
        return
      case SETTING.MAX_CONCURRENT_STREAMS:
        this.streamsMax = value
        return
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_BYTES_MAX) {
          throw new Http2Error(ERROR.FLOW_CONTROL_ERROR, `INITIAL_WINDOW_SIZE of ${value}`)
        }
        this.streamWindow = value
        return
      case SETTING.MAX_FRAME_SIZE:
        if (value < FRAME_BYTES_LEAST || value > FRAME_BYTES_MOST) {
          throw invalid('MAX_FRAME_SIZE', value)
        }
        this.frameBytesMax = value
        return
      default:
      // §6.5.2: unknown ones are ignored; how large our lists may be is advice.
    }
  }
}

function invalid(name: string, value: number): Http2Error {
  return new Http2Error(ERROR.PROTOCOL_ERROR, `${name} of ${value}`)
}
