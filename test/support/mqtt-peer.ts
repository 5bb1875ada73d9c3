/**
 * MQTT packet by packet, for what client libraries hide or never send. Packets are written and read
 * by a library that others wrote.
 */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { generate, parser, type Packet } from 'mqtt-packet'

const ARRIVES_WITHIN_MS = 5_000

export class MqttPeer {
  readonly #socket: Socket
  readonly #version: number
  readonly #packets: Packet[] = []
  #isEnded = false
  #wake: () => void = () => undefined

  private constructor(socket: Socket, version: number) {
    this.#socket = socket
    this.#version = version
    const reader = parser({ protocolVersion: version })
    reader.on('packet', (packet) => {
      this.#packets.push(packet)
      this.#wake()
    })
    socket.on('data', (bytes: Buffer) => reader.parse(bytes))
    socket.on('close', () => {
      this.#isEnded = true
      this.#wake()
    })
    // What came before a reset is what counts; the close follows.
    socket.on('error', () => undefined)
  }

  static async open(t: TestContext, port: number, version = 5): Promise<MqttPeer> {
    const socket = connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new MqttPeer(socket, version)
  }

  send(packet: Packet): void {
    this.sendBytes(generate(packet, { protocolVersion: this.#version }))
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** The next packet, which must be of that type. */
  async expect<Command extends Packet['cmd']>(
    command: Command,
  ): Promise<Extract<Packet, { cmd: Command }>> {
    const packet = await this.#next()
    assert.ok(packet !== undefined, `the connection ended, a ${command} was expected`)
    assert.equal(packet.cmd, command)
    return packet as Extract<Packet, { cmd: Command }>
  }

  async expectEnd(): Promise<void> {
    const packet = await this.#next()
    assert.equal(packet, undefined, `a ${packet?.cmd} came, the end was expected`)
  }

  async #next(): Promise<Packet | undefined> {
    const deadline = setTimeout(() => this.#socket.destroy(), ARRIVES_WITHIN_MS)
    while (this.#packets.length === 0 && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    clearTimeout(deadline)
    return this.#packets.shift()
  }
}
