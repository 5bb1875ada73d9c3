import { BrokerError } from '../../model/errors.ts'
import { RpcError } from '../status.ts'

/** As callers are told of what the broker refuses. */
export function rpcErrorOf(error: unknown): RpcError {
  if (error instanceof RpcError) return error
  if (!(error instanceof BrokerError)) throw error
  const code = error.code === 'LIMIT_EXCEEDED' ? 'RESOURCE_EXHAUSTED' : 'FAILED_PRECONDITION'
  return new RpcError(code, error.message, { cause: error })
}
