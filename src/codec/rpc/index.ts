/** Multiplexed calls on one connection: bytes in, frames out; see docs/rpc-frames.md. */
export { RpcFrameError } from './frame-error.ts'
export { type BufferPool, type FrameHandler, FrameParser } from './frame-parser.ts'
export {
  type FrameTarget,
  writeAttach,
  writeBytes,
  writeEmpty,
  writeHello,
  writeMetadata,
  writeNumber,
  writeOpen,
  writeStatus,
  writeText,
  writeWelcome,
} from './frame-writer.ts'
export {
  CONTROL_BYTES_MAX,
  DESCRIPTORS_BYTES_MAX,
  DETAILS_MAX,
  LOGIN_BYTES_MAX,
  MESSAGE_BYTES_MAX_DEFAULT,
} from './limits.ts'
export {
  type AttachFrame,
  decodeAttach,
  decodeHello,
  decodeMetadata,
  decodeNumber,
  decodeOpen,
  decodeStatus,
  decodeText,
  decodeWelcome,
  type FlatMetadata,
  type HelloFrame,
  type OpenFrame,
  type StatusFrame,
  type WelcomeFrame,
} from './payloads.ts'
export { FLAG, FRAME, PREAMBLE } from './spec.ts'
