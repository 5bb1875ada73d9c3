import { type Endpoint, type OpenOptions, RawSocket } from '../raw-socket.ts'
import {
  connectPacket,
  type ConnectOptions,
  DISCONNECT,
  PACKET,
  PacketRange,
  PINGREQ,
  type Qos,
  subscribePacket,
  unsubscribePacket,
  type Version,
} from './wire.ts'

const FAILURE = 0x80

/** One MQTT client that is connected. */
export class MqttClient extends RawSocket {
  readonly version: Version
  readonly #range = new PacketRange()

  private constructor(endpoint: Endpoint, version: Version, options: OpenOptions) {
    super(endpoint, options)
    this.version = version
  }

  static async open(
    endpoint: Endpoint,
    connect: ConnectOptions,
    options: OpenOptions = {},
  ): Promise<MqttClient> {
    const client = new MqttClient(endpoint, connect.version, options)
    const connack = await client.ask(connectPacket(connect))
    const code = connack.readUInt8(3)
    if (connack.readUInt8(0) >> 4 !== PACKET.CONNACK || code !== 0) {
      throw new Error(`the broker refused the connection with ${code}`)
    }
    return client
  }

  /** Only while nothing hot runs: the reply is awaited by the cold scan. */
  async subscribe(filters: readonly string[], qos: Qos): Promise<void> {
    const suback = await this.ask(subscribePacket(this.version, filters, qos))
    const codes = suback.subarray(-filters.length)
    if (suback.readUInt8(0) >> 4 !== PACKET.SUBACK || codes.some((code) => code >= FAILURE)) {
      throw new Error(`the broker refused a subscription: ${suback.toString('hex')}`)
    }
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    const unsuback = await this.ask(unsubscribePacket(this.version, filters))
    if (unsuback.readUInt8(0) >> 4 !== PACKET.UNSUBACK) throw new Error('no UNSUBACK came')
  }

  async ping(): Promise<void> {
    const reply = await this.ask(PINGREQ)
    if (reply.readUInt8(0) >> 4 !== PACKET.PINGRESP) throw new Error('no PINGRESP came')
  }

  /** Sends what was said already before it goes. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.socket.write(DISCONNECT, () => resolve())
    })
    this.end()
  }

  /** Takes all as replies but PUBLISH, which somebody else's hot scan would count. */
  protected override scanReplies(view: DataView, end: number): number {
    const range = this.#range
    let at = 0
    while (range.next(view, at, end)) {
      if (range.first >> 4 !== PACKET.PUBLISH) {
        this.takeReply(Buffer.from(this.bytes.subarray(at, range.end)))
      }
      at = range.end
    }
    return at
  }
}

/** Resolves with `version` when a client can connect: MQTT does not say whose broker it is. */
export function probeMqtt(version: string): (endpoint: Endpoint) => Promise<string> {
  const connect = { clientId: 'bench-probe', version: 4, clean: true, keepAliveSeconds: 0 } as const
  return async (endpoint) => {
    const client = await MqttClient.open(endpoint, connect)
    await client.close()
    return version
  }
}
