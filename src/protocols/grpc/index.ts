export { createGrpc, type GrpcOptions } from './grpc.ts'
