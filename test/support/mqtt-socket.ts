/** A client that knows nothing of MQTT but where a packet ends. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { packetSize } from './mqtt-octets.ts'

const ANSWERED_WITHIN_MS = 5_000

export class MqttSocket {
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #isOver = false
  #wake: () => void = () => {}

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    this.#socket.on('error', () => {
      // The broker closes while we write: `close` follows.
    })
    for (const event of ['end', 'close'] as const) {
      this.#socket.on(event, () => {
        this.#isOver = true
        this.#wake()
      })
    }
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** The next packet; null at the end. */
  async packet(): Promise<Buffer | null> {
    const deadline = performance.now() + ANSWERED_WITHIN_MS
    for (;;) {
      const size = packetSize(this.#bytes)
      if (size > 0 && this.#bytes.length >= size) {
        const found = Buffer.from(this.#bytes.subarray(0, size))
        this.#bytes = this.#bytes.subarray(size)
        return found
      }
      if (this.#isOver) return null
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) throw new Error('no answer, and not closed')
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#wake = resolve
        }),
        sleep(leftMs, undefined, { ref: false }),
      ])
    }
  }

  /** No more is read from now on, or it is again. */
  pause(isPaused: boolean): void {
    if (isPaused) this.#socket.pause()
    else this.#socket.resume()
  }

  /** Without a word. */
  async destroy(): Promise<void> {
    this.#socket.destroy()
    await sleep(0)
  }
}
