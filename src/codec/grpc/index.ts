export { GrpcFrameError } from './grpc-error.ts'
export {
  decodeBinary,
  decodeMessage,
  encodeBinary,
  encodeMessage,
  formatTimeout,
  parseTimeout,
} from './header-values.ts'
export {
  MESSAGE_BYTES_MAX_DEFAULT,
  STATUS_DETAILS_BYTES_MAX,
  STATUS_MESSAGE_BYTES_MAX,
} from './limits.ts'
export {
  cutMessage,
  MessageReader,
  type MessageTarget,
  PREFIX_BYTES,
  writePrefix,
} from './message-reader.ts'
export { decodeFields, encodeFields, type ProtobufField, textOf } from './protobuf.ts'
export { decodeDetails, encodeStatus } from './status-details.ts'
