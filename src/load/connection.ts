import { type Endpoint, type OpenOptions, RawSocket } from './raw-socket.ts'
import {
  FRAME_HEADER_BYTES,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  FRAME_SIZE_MAX,
  longString,
  METHOD,
  method,
  PROTOCOL_HEADER,
  shortString,
  table,
  u16,
  u32,
  u8,
} from './wire.ts'

/** One AMQP connection with channel 1 open. */
export class Connection extends RawSocket {
  /** Product and version as the broker names itself. */
  serverVersion = ''
  /** How often the broker said that it does not read us. */
  blockedCount = 0

  static async open(endpoint: Endpoint, options: OpenOptions = {}): Promise<Connection> {
    const connection = new Connection(endpoint, options)
    connection.socket.write(PROTOCOL_HEADER)
    await connection.#handshake(endpoint)
    return connection
  }

  /** Says what a method that nobody awaited means; throws unless it may be ignored. */
  unexpected(view: DataView, at: number): void {
    const id = view.getUint32(at + FRAME_HEADER_BYTES)
    if (id === METHOD.connectionBlocked) this.blockedCount++
    if (id === METHOD.connectionBlocked || id === METHOD.connectionUnblocked) return
    const payload = this.bytes.subarray(at + FRAME_HEADER_BYTES)
    if (id === METHOD.connectionClose || id === METHOD.channelClose) {
      throw new Error(`the broker closed it: ${closeReason(payload)}`)
    }
    throw new Error(`unexpected method ${id >>> 16}.${id & 0xffff}`)
  }

  async close(): Promise<void> {
    this.scan = (view, end) => this.scanReplies(view, end)
    const goodbye = method(0, METHOD.connectionClose, u16(200), shortString('done'), u16(0), u16(0))
    this.socket.write(goodbye)
    for (;;) {
      const payload = await this.reply()
      if (payload.readUInt32BE(0) === METHOD.connectionCloseOk) break
    }
    this.end()
  }

  async #handshake({ user = 'guest', password = 'guest', vhost = '/' }: Endpoint): Promise<void> {
    const start = await this.reply()
    this.serverVersion = serverVersion(start)
    const capabilities = { 'connection.blocked': true } as const
    const properties = table({ product: 'waystation-bench', capabilities })
    const login = longString(`\0${user}\0${password}`)
    const startOk = [properties, shortString('PLAIN'), login, shortString('en_US')]
    const tune = await this.ask(method(0, METHOD.connectionStartOk, ...startOk))
    if (tune.readUInt32BE(0) !== METHOD.connectionTune) throw new Error('login refused')
    const heartbeatOff = u16(0)
    const tuneOk = [u16(16), u32(FRAME_SIZE_MAX), heartbeatOff]
    this.socket.write(method(0, METHOD.connectionTuneOk, ...tuneOk))
    await this.ask(method(0, METHOD.connectionOpen, shortString(vhost), u8(0), u8(0)))
    await this.ask(method(1, METHOD.channelOpen, shortString('')))
  }

  protected override scanReplies(view: DataView, end: number): number {
    let at = 0
    while (end - at >= FRAME_OVERHEAD_BYTES) {
      const size = view.getUint32(at + 3)
      const next = at + FRAME_OVERHEAD_BYTES + size
      if (next > end) break
      if (view.getUint8(at) === FRAME_METHOD) {
        this.#takeMethod(Buffer.from(this.bytes.subarray(at + FRAME_HEADER_BYTES, next - 1)))
      }
      at = next
    }
    return at
  }

  #takeMethod(payload: Buffer): void {
    const id = payload.readUInt32BE(0)
    if (id === METHOD.connectionBlocked) this.blockedCount++
    if (id === METHOD.connectionBlocked || id === METHOD.connectionUnblocked) return
    if (id === METHOD.connectionClose || id === METHOD.channelClose) {
      this.fail(new Error(`the broker closed it: ${closeReason(payload)}`))
      return
    }
    this.takeReply(payload)
  }
}

/** Product and version of a broker on which a channel can be opened. */
export async function probeAmqp(endpoint: Endpoint): Promise<string> {
  const connection = await Connection.open(endpoint)
  await connection.close()
  return connection.serverVersion
}

function closeReason(payload: Buffer): string {
  const text = payload.toString('utf8', 7, 7 + payload.readUInt8(6))
  return `${payload.readUInt16BE(4)} ${text}`
}

/** Picks product and version out of connection.start without decoding its whole table. */
function serverVersion(start: Buffer): string {
  const field = (name: string): string => {
    const at = start.indexOf(Buffer.concat([shortString(name), Buffer.from('S')]))
    if (at < 0) return ''
    const from = at + name.length + 6
    return start.toString('utf8', from, from + start.readUInt32BE(from - 4))
  }
  return `${field('product')} ${field('version')}`.trim()
}
