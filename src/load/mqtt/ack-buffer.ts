import type { Socket } from 'node:net'
import { ACK_BYTES, PACKET } from './wire.ts'

/** Acknowledgements that one read asks for, written at once. */
export class AckBuffer {
  #bytes: Buffer = Buffer.allocUnsafe(ACK_BYTES * 1_024)
  #filled = 0

  add(type: number, packetId: number): void {
    const at = this.#filled
    if (at === this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.allocUnsafe(this.#bytes.length)])
    }
    const bytes = this.#bytes
    bytes[at] = (type << 4) | (type === PACKET.PUBREL ? 2 : 0)
    bytes[at + 1] = 2
    bytes[at + 2] = packetId >> 8
    bytes[at + 3] = packetId & 0xff
    this.#filled = at + ACK_BYTES
  }

  flush(socket: Socket): void {
    if (this.#filled === 0) return
    // A copy: the socket may keep it beyond the next read.
    socket.write(Buffer.from(this.#bytes.subarray(0, this.#filled)))
    this.#filled = 0
  }
}
