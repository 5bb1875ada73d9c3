/** A name server of the test's own, on this machine: Node's resolver asks it as any other. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const
const NAME_ERROR = 3
const SERVER_FAILURE = 2
/** A response, authoritative, recursion desired and available. */
const FLAGS = 0x8580

export interface ServiceRecord {
  readonly target: string
  readonly port: number
  readonly priority?: number
  readonly weight?: number
}

export class NameServer {
  /** By name; what is not there does not exist. */
  readonly addresses: Map<string, readonly string[]> = new Map()
  readonly services: Map<string, readonly ServiceRecord[]> = new Map()
  ttlSeconds = 60
  /** It answers nothing but that it cannot. */
  isBroken = false
  queryCount = 0
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (query, from) => this.#answer(query, from))
  }

  static async open(): Promise<NameServer> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new NameServer(socket)
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }

  close(): void {
    this.#socket.close()
  }

  #answer(query: Buffer, from: RemoteInfo): void {
    this.queryCount += 1
    let at = 12
    const labels: string[] = []
    for (let size = query[at]!; size > 0; size = query[at]!) {
      labels.push(query.toString('latin1', at + 1, at + 1 + size))
      at += 1 + size
    }
    const type = query.readUInt16BE(at + 1)
    const question = query.subarray(12, at + 5)
    const name = labels.join('.').toLowerCase()
    const isKnown = this.addresses.has(name) || this.services.has(name)
    const code = this.isBroken ? SERVER_FAILURE : isKnown ? 0 : NAME_ERROR
    const answers = code === 0 ? this.#records(name, type) : []
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(FLAGS | code, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(answers.length, 6)
    this.#socket.send(Buffer.concat([head, question, ...answers]), from.port, from.address)
  }

  #records(name: string, type: number): Buffer[] {
    if (type === TYPES.SRV) {
      return (this.services.get(name) ?? []).map((service) => {
        const { target, port, priority = 0, weight = 0 } = service
        const head = Buffer.alloc(6)
        head.writeUInt16BE(priority, 0)
        head.writeUInt16BE(weight, 2)
        head.writeUInt16BE(port, 4)
        return this.#record(type, Buffer.concat([head, nameOf(target)]))
      })
    }
    const isSix = type === TYPES.AAAA
    if (type !== TYPES.A && !isSix) return []
    const known = (this.addresses.get(name) ?? []).filter((one) => one.includes(':') === isSix)
    return known.map((one) =>
      this.#record(type, isSix ? LOOPBACK_6 : Buffer.from(one.split('.').map(Number))),
    )
  }

  #record(type: number, data: Buffer): Buffer {
    const head = Buffer.alloc(12)
    // The name is that of the question.
    head.writeUInt16BE(0xc00c, 0)
    head.writeUInt16BE(type, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt32BE(this.ttlSeconds, 6)
    head.writeUInt16BE(data.length, 10)
    return Buffer.concat([head, data])
  }
}

/** The only one there is on this machine. */
const LOOPBACK_6: Buffer = Buffer.concat([Buffer.alloc(15), Buffer.of(1)])

function nameOf(text: string): Buffer {
  const labels = text.split('.').map((label) => Buffer.from(label))
  return Buffer.concat([
    ...labels.flatMap((label) => [Buffer.of(label.length), label]),
    Buffer.of(0),
  ])
}
