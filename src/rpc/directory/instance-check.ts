import { checkService } from '../provider-check.ts'
import { RpcError } from '../status.ts'
import type { ServiceInstance } from './directory.ts'

const SCHEMES = /^(?:rpcs?|grpcs?|wss?|https?):$/

/** Throws `RpcError` for what no instance that listens can be. */
export function checkInstance({
  service,
  instanceId,
  address,
}: Pick<ServiceInstance, 'service' | 'instanceId' | 'address'>): void {
  checkService(service)
  if (instanceId === '') throw new RpcError('INVALID_ARGUMENT', 'the instance has no id')
  const url = URL.canParse(address) ? new URL(address) : null
  if (url === null || !SCHEMES.test(url.protocol) || url.hostname === '') {
    const text = `'${address}' is no address such as grpc://HOST:PORT or rpc://HOST:PORT`
    throw new RpcError('INVALID_ARGUMENT', text)
  }
  if (url.username !== '' || url.password !== '') {
    throw new RpcError('INVALID_ARGUMENT', 'an address that others see must not have a login')
  }
}
