export {
  DeliverView,
  encodeAddress,
  encodeShortString,
  GetOkView,
  PublishView,
  ReturnView,
  SettleView,
} from './basic-views.ts'
export type { Address } from './basic-views.ts'
export {
  ChannelWriter,
  ContentView,
  HEARTBEAT_FRAME,
  SETTLE_FRAME_BYTES,
} from './channel-writer.ts'
export { editContentHeader } from './content-header-edit.ts'
export type { ContentHeaderEdit } from './content-header-edit.ts'
export {
  CONTENT_HEADER_FIXED_BYTES,
  ContentHeaderView,
  decodeContentHeader,
  encodeContentHeader,
} from './content-header.ts'
export type { ContentHeader, PropertyPlace } from './content-header.ts'
export { decodeFieldTable, decodeFieldTableContent, encodeFieldTable } from './field-table.ts'
export type { FieldLimits } from './field-table.ts'
export {
  fieldEquals,
  fieldInteger,
  fieldNumber,
  fieldTypeName,
  isFieldArray,
  isFieldTable,
} from './field-value.ts'
export type { FieldComparison, FieldTable, FieldTypeName, FieldValue } from './field-value.ts'
export type { TypedFieldValue } from './field-value.ts'
export { AmqpFrameError, replyText } from './frame-error.ts'
export type { FrameErrorCode } from './frame-error.ts'
export { FrameParser } from './frame-parser.ts'
export type { FrameHandler } from './frame-parser.ts'
export {
  FRAME_OVERHEAD_BYTES,
  FRAME_SIZE_BEFORE_TUNE,
  FRAME_SIZE_HARD_MAX,
  FRAME_SIZE_MAX_DEFAULT,
  FRAME_SIZE_MIN,
  SHORT_STRING_BYTES_MAX,
} from './limits.ts'
export type { Method } from './methods.gen.ts'
export {
  decodeMethod,
  encodeMethod,
  methodFrameBytes,
  methodIdOf,
  methodShape,
  writeMethod,
} from './methods.ts'
export type { MethodInput, MethodName, MethodOf } from './methods.ts'
export { AMQP_0_9_1_HEADER, PROTOCOL_HEADER_BYTES } from './protocol-header.ts'
export { recogniseProtocolHeader } from './protocol-header.ts'
export type { ProtocolHeader } from './protocol-header.ts'
export {
  CLASS,
  CONNECTION_REPLIES,
  FRAME,
  METHOD,
  METHOD_NAMES,
  PROPERTY,
  REPLY,
  REPLY_NAMES,
} from './spec.gen.ts'
export type { BasicProperties, PropertyName, ReplyName } from './spec.gen.ts'
