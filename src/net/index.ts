export { limitAcceptRate } from './accept-rate.ts'
export { connect, type ConnectTls } from './connector.ts'
export { ListenError, type ListenErrorCode } from './listen-error.ts'
export { type ListenOptions, type Listener, listen } from './listener.ts'
export { beginsWith, oneOf } from './first-bytes.ts'
export {
  beginsAsHttp1,
  http1Protocol,
  type Http1Connection,
  type Http1Exchange,
  type Http1Request,
  type Http1RequestHandler,
} from './http1-server.ts'
export { HeldInput, HOLD, type HoldReason, PAUSE, ReadGate } from './input-gate.ts'
export { Names } from './names.ts'
export { OutputBuffer } from './output-buffer.ts'
export { loginPeerOf } from './peer-info.ts'
export { SlabPool } from './slab-pool.ts'
export type { WebSocketOptions } from './web-socket-options.ts'
export { parsePrincipalRules } from './certificate-name.ts'
export type { CertificateNaming } from './certificate-name.ts'
export type { OtherCertificate, TlsOptions } from './tls-options.ts'
export { TlsReloader } from './tls-reloader.ts'
export type {
  ConnectionHandler,
  NetLog,
  PeerInfo,
  PeerTls,
  ProtocolHandler,
  Transport,
} from './transport.ts'
