/** MQTT 3.1, 3.1.1 and 5.0 as a server reads and writes it: bytes in, values out. */
export { MqttPacketError } from './packet-error.ts'
export { PacketParser } from './packet-parser.ts'
export type { AckType, PacketHandler } from './packet-parser.ts'
export type {
  ConnectPacket,
  ReasonPacket,
  SubscribePacket,
  Subscription,
  UnsubscribePacket,
  Will,
} from './packets.ts'
export {
  encodeAck,
  encodeAuth,
  encodeConnack,
  encodeDisconnect,
  encodeSuback,
  encodeUnsuback,
  PINGRESP,
  publishSize,
  writeAck,
  writeAckReason,
  writePublishHead,
} from './packet-writer.ts'
export type { PublishOut, SubscriptionReply } from './packet-writer.ts'
export { encodeProperties } from './properties.ts'
export { PublishView } from './publish-view.ts'
export { PACKET, PROPERTY, REASON } from './spec.ts'
export type { Properties, PropertyScope, Version } from './spec.ts'
