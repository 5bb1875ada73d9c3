import { FieldReader } from './field-reader.ts'
import { PACKET_SIZE_MAX_DEFAULT } from './limits.ts'
import { malformed, MqttPacketError, protocolError } from './packet-error.ts'
import { checkAllRead, PacketDecoder, readPacketId } from './packets.ts'
import type { ConnectPacket, ReasonPacket, SubscribePacket, UnsubscribePacket } from './packets.ts'
import { PropertyScan, readProperties } from './properties.ts'
import { PublishView } from './publish-view.ts'
import { PACKET, REASON } from './spec.ts'
import type { Version } from './spec.ts'

/** Reason codes from here on are errors (section 2.4). */
const ERROR_CODES = 0x80

/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
export type AckType = 4 | 5 | 6 | 7

/**
 * Who is told of packets. The view of `onPublish` is borrowed: it is valid until the call returns.
 *
 * A handler may throw to end the connection; the parser takes nothing more then.
 */
export interface PacketHandler {
  onConnect(packet: ConnectPacket): void
  onPublish(publish: PublishView): void
  /** `reasonCode` is 0 before MQTT 5; `reason` is the text that came with an error, or null. */
  onAck(type: AckType, packetId: number, reasonCode: number, reason: string | null): void
  onSubscribe(packet: SubscribePacket): void
  onUnsubscribe(packet: UnsubscribePacket): void
  onPing(): void
  onDisconnect(packet: ReasonPacket): void
  onAuth(packet: ReasonPacket): void
}

const GO_ON = 0
const PAUSED = 1
const STOPPED = 2

/**
 * Cuts reads of a socket into the packets a client sends (section 2.1):
 *
 *     type (4 bits) flags (4 bits) remaining length (1 to 4 octets) packet
 *
 * A packet that lies whole in a read is decoded where it lies; one that a read cuts is gathered in
 * a buffer that grows with what has come, so a length alone never takes memory. The length is
 * compared with the limit as soon as it is there (0x95).
 */
export class PacketParser {
  readonly #handler: PacketHandler
  readonly #reader = new FieldReader()
  readonly #scan = new PropertyScan()
  readonly #decoder = new PacketDecoder()
  readonly #publish = new PublishView()
  #flow: typeof GO_ON | typeof PAUSED | typeof STOPPED = GO_ON
  #version: Version | 0 = 0
  /** The front of a packet that a read cut. */
  #kept: Buffer = NOTHING
  #keptBytes = 0
  /** Of the fixed header last looked at: its octets, and those of the whole packet. */
  #headBytes = 0
  #packetBytes = 0

  /** Octets of a whole packet; default 1 MiB. It counts from the next packet on. */
  packetSizeMax: number

  constructor(handler: PacketHandler, packetSizeMax: number = PACKET_SIZE_MAX_DEFAULT) {
    this.#handler = handler
    this.packetSizeMax = packetSizeMax
  }

  /** What CONNECT said, also one that was refused for what follows; 0 before it. */
  get version(): Version | 0 {
    return this.#version === 0 ? this.#decoder.version : this.#version
  }

  /** Octets kept of a packet whose end has not come. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /**
   * Takes a read. Returns the index behind the last octet taken: `end`, unless `pause` was called,
   * and then the rest is to be pushed again later. Throws `MqttPacketError`, once: after it, and
   * after `stop`, every octet is dropped.
   */
  push(bytes: Buffer, start = 0, end: number = bytes.length): number {
    if (this.#flow === STOPPED) return end
    this.#flow = GO_ON
    let at = start
    let isWhole = false
    try {
      if (this.#keptBytes > 0) at = this.#continuePacket(bytes, at, end)
      if (this.#flow === GO_ON) at = this.#packets(bytes, at, end)
      isWhole = true
    } finally {
      if (!isWhole) this.stop()
    }
    return this.#stopped() ? end : at
  }

  /** Called by a handler: `push` returns as soon as the handler does. */
  pause(): void {
    if (this.#flow === GO_ON) this.#flow = PAUSED
  }

  /** Called at any time: whatever else comes is dropped. */
  stop(): void {
    this.#flow = STOPPED
    this.#kept = NOTHING
    this.#keptBytes = 0
  }

  /** The packets that lie whole in this read; what is left of it is kept. */
  #packets(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end) {
      if (!this.#readHead(bytes, at, end) || at + this.#packetBytes > end) {
        this.#keep(bytes, at, end)
        return end
      }
      const next = at + this.#packetBytes
      this.#dispatch(bytes, at + this.#headBytes, next, bytes[at]!)
      at = next
      if (this.#flow !== GO_ON) return at
    }
    return end
  }

  /** Reads a fixed header; false if its end has not come. What cannot be right throws at once. */
  #readHead(bytes: Buffer, at: number, end: number): boolean {
    this.#checkFirst(bytes[at]!)
    let size = 0
    for (let index = 1; index <= 4; index += 1) {
      if (at + index >= end) return false
      const octet = bytes[at + index]!
      size |= (octet & 0x7f) << (7 * (index - 1))
      if (octet < 0x80) {
        if (octet === 0 && index > 1 && this.#version === 5) {
          throw malformed('a remaining length longer than needed')
        }
        this.#headBytes = index + 1
        this.#packetBytes = index + 1 + size
        if (this.#packetBytes > this.packetSizeMax) throw this.#tooLarge()
        return true
      }
    }
    throw malformed('a remaining length of more than 4 octets')
  }

  /** Type and flags (table 2-2), and CONNECT first and once (section 3.1). */
  #checkFirst(first: number): void {
    const type = first >> 4
    if (type === PACKET.PUBLISH) {
      if (this.#version === 0) throw protocolError('a PUBLISH before CONNECT')
      return
    }
    if ((type === PACKET.CONNECT) !== (this.#version === 0)) {
      throw protocolError(`a packet of type ${type}, CONNECT goes first and once`)
    }
    if (!isFromClient(type, this.#version)) throw protocolError(`a client sent type ${type}`)
    // A CONNECT is looked at when its version is known.
    if (type === PACKET.CONNECT) return
    if (this.#version !== 3 && (first & 15) !== (hasFlagTwo(type) ? 2 : 0)) {
      throw malformed(`flags ${first & 15} in a packet of type ${type}`)
    }
  }

  /** Adds to the kept front until that packet is whole, and passes it on. */
  #continuePacket(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (!this.#readHead(this.#kept, 0, this.#keptBytes)) {
      if (at === end) return at
      this.#reserve(this.#keptBytes + 1)
      this.#kept[this.#keptBytes] = bytes[at]!
      this.#keptBytes += 1
      at += 1
    }
    const packetBytes = this.#packetBytes
    const next = Math.min(at + packetBytes - this.#keptBytes, end)
    this.#reserve(this.#keptBytes + next - at)
    bytes.copy(this.#kept, this.#keptBytes, at, next)
    this.#keptBytes += next - at
    if (this.#keptBytes < packetBytes) return next
    this.#keptBytes = 0
    const kept = this.#kept
    this.#dispatch(kept, this.#headBytes, packetBytes, kept[0]!)
    // One large packet must not cost an idle connection its memory for ever.
    if (kept.length > KEPT_BYTES_IDLE) this.#kept = NOTHING
    return next
  }

  #keep(bytes: Buffer, at: number, end: number): void {
    this.#reserve(end - at)
    bytes.copy(this.#kept, 0, at, end)
    this.#keptBytes = end - at
  }

  /** Doubles, so that gathering a packet copies each of its octets twice at most on average. */
  #reserve(wantedBytes: number): void {
    if (this.#kept.length >= wantedBytes) return
    const roomBytes = Math.max(wantedBytes, this.#kept.length * 2, KEPT_BYTES_MIN)
    const grown = Buffer.allocUnsafeSlow(roomBytes)
    this.#kept.copy(grown, 0, 0, this.#keptBytes)
    this.#kept = grown
  }

  #dispatch(bytes: Buffer, start: number, end: number, first: number): void {
    const type = first >> 4
    if (type === PACKET.PUBLISH) {
      // `#checkFirst` has refused everything but CONNECT while there was no version.
      this.#publish.open(this.#version as Version, first & 15, { bytes, start, end })
      this.#handler.onPublish(this.#publish)
      return
    }
    this.#reader.open(bytes, start, end)
    if (type >= PACKET.PUBACK && type <= PACKET.PUBCOMP) this.#ack(type as AckType)
    else this.#other(type, first & 15)
  }

  /** Sections 3.4 to 3.7: packet id, then in 5 a reason code and properties, if any. */
  #ack(type: AckType): void {
    const reader = this.#reader
    const packetId = readPacketId(reader)
    let reasonCode = 0
    let reason: string | null = null
    if (reader.left > 0 && this.#version === 5) {
      reasonCode = reader.uint8()
      if (!isAckCode(type, reasonCode)) throw protocolError(`reason ${reasonCode} in type ${type}`)
      if (reader.left > 0) {
        if (reasonCode < ERROR_CODES) this.#scan.run(reader, type)
        else reason = readProperties(reader, this.#scan, type).reasonString ?? null
      }
    }
    checkAllRead(reader)
    this.#handler.onAck(type, packetId, reasonCode, reason)
  }

  #other(type: number, flags: number): void {
    const reader = this.#reader
    const version = this.#version as Version
    switch (type) {
      case PACKET.CONNECT: {
        const packet = this.#decoder.connect(reader, flags)
        this.#version = packet.version
        this.#handler.onConnect(packet)
        return
      }
      case PACKET.SUBSCRIBE:
        this.#handler.onSubscribe(this.#decoder.subscribe(reader, version))
        return
      case PACKET.UNSUBSCRIBE:
        this.#handler.onUnsubscribe(this.#decoder.unsubscribe(reader, version))
        return
      case PACKET.AUTH:
        this.#handler.onAuth(this.#decoder.reason(reader, type))
        return
      case PACKET.DISCONNECT:
        if (version !== 5) checkAllRead(reader)
        this.#handler.onDisconnect(this.#decoder.reason(reader, type))
        return
      default:
        checkAllRead(reader)
        this.#handler.onPing()
    }
  }

  #tooLarge(): MqttPacketError {
    const about = `a packet of ${this.#packetBytes} octets, the limit is ${this.packetSizeMax}`
    return new MqttPacketError(REASON.PACKET_TOO_LARGE, about)
  }

  #stopped(): boolean {
    return this.#flow === STOPPED
  }
}

const NOTHING = Buffer.alloc(0)

/** Enough for the packets that are cut most often, so that it is made once. */
const KEPT_BYTES_MIN = 256

/** What a parser holds on to between packets at most. */
const KEPT_BYTES_IDLE = 8192

function isFromClient(type: number, version: Version | 0): boolean {
  if (type === PACKET.AUTH) return version === 5
  return (
    type !== 0 &&
    type !== PACKET.CONNACK &&
    type !== PACKET.SUBACK &&
    type !== PACKET.UNSUBACK &&
    type !== PACKET.PINGRESP
  )
}

function hasFlagTwo(type: number): boolean {
  return type === PACKET.PUBREL || type === PACKET.SUBSCRIBE || type === PACKET.UNSUBSCRIBE
}

/** Tables 3-4 to 3-7. */
function isAckCode(type: AckType, code: number): boolean {
  if (code === REASON.SUCCESS) return true
  if (type === PACKET.PUBREL || type === PACKET.PUBCOMP) return code === 0x92
  return ACK_CODES.has(code)
}

const ACK_CODES = new Set([0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
