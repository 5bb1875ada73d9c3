/**
 * Bytes that break the protocol: thrown only by the codec, caught only by the connection, which ends
 * and with MQTT 5 first sends `reasonCode` in a CONNACK or DISCONNECT (section 4.13).
 */
export class MqttPacketError extends Error {
  override readonly name = 'MqttPacketError'
  readonly reasonCode: number

  constructor(reasonCode: number, message: string) {
    super(message)
    this.reasonCode = reasonCode
  }
}

/** Malformed Packet: octets that are no packet (section 1.2). */
export function malformed(message: string): MqttPacketError {
  return new MqttPacketError(0x81, message)
}

/** Protocol Error: a packet that is well formed and not allowed here (section 1.2). */
export function protocolError(message: string): MqttPacketError {
  return new MqttPacketError(0x82, message)
}
