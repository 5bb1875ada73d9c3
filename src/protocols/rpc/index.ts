/** Our own multiplexed calls, for callers and providers that attach. */
export { createRpc, type Rpc, type RpcConnectionInfo, type RpcOptions } from './rpc.ts'
export type { RpcLimits } from './limits.ts'
