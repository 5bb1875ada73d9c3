import {
  type AckType,
  encodeAck,
  encodeConnack,
  encodeDisconnect,
  type encodeSuback,
  type Version,
  writeAck,
  writeAckReason,
} from '../../codec/mqtt/index.ts'
import type { OutputBuffer } from '../../net/index.ts'
import { connackCode, refusalOf } from './connect.ts'
import { reasonStringOf } from './reasons.ts'

const ACK_BYTES = 4
const ACK_REASON_BYTES = 5

/** Whose answers they are. */
export interface AnsweringPeer {
  readonly output: OutputBuffer
  requestOutput(): void
}

/**
 * What a client is told: acknowledgements, and refusals with their reason as far as its version
 * knows reasons, it wants to hear them, and takes a packet of that size.
 */
export class Answers {
  version: Version = 4
  wantsReasons = true
  /** The largest packet that the client takes, in bytes. */
  packetSizeMax: number = Infinity
  readonly #peer: AnsweringPeer
  /** Why publishes were refused that are not answered yet, by packet id. */
  readonly #refusals: Map<number, string> = new Map()

  constructor(peer: AnsweringPeer) {
    this.#peer = peer
  }

  send(packet: Uint8Array): void {
    this.#peer.output.append(packet)
    this.#peer.requestOutput()
  }

  acknowledge(type: AckType, packetId: number, reasonCode: number): void {
    const { output } = this.#peer
    if (reasonCode === 0 || this.version !== 5) {
      const at = output.reserve(ACK_BYTES)
      output.at = writeAck(output.buffer, at, type, packetId)
    } else if (reasonCode >= 0x80 && this.#explains(type, packetId, reasonCode)) {
      return
    } else {
      const at = output.reserve(ACK_REASON_BYTES)
      output.at = writeAckReason(output.buffer, at, { type, packetId, reasonCode })
    }
    this.#peer.requestOutput()
  }

  /** Says with the refusal of a publish why, and when to come again. */
  explain(packetId: number, reason: string | null): void {
    if (packetId === 0 || reason === null || this.version !== 5 || !this.wantsReasons) return
    this.#refusals.set(packetId, reason)
  }

  /** SUBACK or UNSUBACK; `refusal` is why, else the reason of its first refusal. */
  reply(
    encode: typeof encodeSuback,
    answer: { readonly packetId: number; readonly reasonCodes: readonly number[] },
    refusal: string | null = null,
  ): void {
    const bare = { version: this.version, ...answer }
    const reason = refusal ?? reasonStringOf(answer.reasonCodes)
    const reasonString = this.wantsReasons ? reason : undefined
    this.#sendFitting(encode({ ...bare, properties: { reasonString } }), () => encode(bare))
  }

  /** CONNACK that refuses. */
  refuse(reasonCode: number, reason: string): void {
    const { version } = this
    const code = version === 5 ? reasonCode : connackCode(reasonCode)
    const connack = { version, sessionPresent: false, reasonCode: code }
    const reasonString = version === 5 && this.wantsReasons ? reason : undefined
    this.#sendFitting(encodeConnack({ ...connack, properties: { reasonString } }), () =>
      encodeConnack(connack),
    )
  }

  /** CONNACK that refuses a CONNECT of which only the version could be read. */
  refuseUnread(reasonCode: number, reason: string): void {
    this.#sendFitting(refusalOf(reasonCode, reason), () => refusalOf(reasonCode))
  }

  /** Of MQTT 5 only. */
  disconnect(reasonCode: number, reason: string): void {
    this.#sendFitting(encodeDisconnect(reasonCode, { reasonString: reason }), () =>
      encodeDisconnect(reasonCode),
    )
  }

  /** Adds why, if the client wants to know and takes a packet of that size; else false. */
  #explains(type: AckType, packetId: number, reasonCode: number): boolean {
    const reasonString = this.#refusals.get(packetId) ?? reasonStringOf([reasonCode])
    this.#refusals.delete(packetId)
    if (!this.wantsReasons || reasonString === undefined) return false
    const packet = encodeAck({ type, packetId, reasonCode, properties: { reasonString } })
    if (packet.length > this.packetSizeMax) return false
    this.send(packet)
    return true
  }

  /** Without its reason where the client does not take as much, or not at all. */
  #sendFitting(explained: Buffer, bare: () => Buffer): void {
    const packet = explained.length > this.packetSizeMax ? bare() : explained
    if (packet.length <= this.packetSizeMax) this.send(packet)
  }
}
