export {
  compress,
  type Compression,
  COMPRESSION_NAMES,
  compressionOf,
  inflate,
  InflateError,
} from './compression.ts'
export { COMPRESSED_BYTES_MIN, DEFAULT_LIMITS, type GrpcLimits } from './limits.ts'
export { basicOf, bearerOf, type Caller, isBasic, Login, type Logins } from './login.ts'
export { OwnServices } from './own-services.ts'
export { GrpcServer, type GrpcConnectionInfo } from './server.ts'
