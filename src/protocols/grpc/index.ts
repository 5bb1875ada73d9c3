export { createGrpc, type Grpc, type GrpcConnectionInfo, type GrpcOptions } from './grpc.ts'
