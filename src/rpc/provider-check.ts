import { BALANCE_POLICIES } from './balancer.ts'
import { isOwnService, isServiceName } from './service-name.ts'
import { RpcError } from './status.ts'

/** What somebody wants to provide. */
export interface WantedProvider {
  readonly services: readonly string[]
  /** Empty: nothing is said. */
  readonly policy: string
}

/** Throws `RpcError` for what nobody may provide; `requireProviding` asks for the permission. */
export function checkProvider(
  { services, policy }: WantedProvider,
  requireProviding: (service: string) => void,
): void {
  if (services.length === 0) throw new RpcError('INVALID_ARGUMENT', 'a provider of no service')
  if (policy !== '' && !BALANCE_POLICIES.some((name) => name === policy)) {
    const known = BALANCE_POLICIES.join(', ')
    throw new RpcError('INVALID_ARGUMENT', `the policy '${policy}' is none of ${known}`)
  }
  for (const service of services) {
    checkService(service)
    requireProviding(service)
  }
}

/** Throws `RpcError` for a name that no service of others can have. */
export function checkService(service: string): void {
  if (!isServiceName(service)) {
    throw new RpcError('INVALID_ARGUMENT', `'${service}' is no name of a service`)
  }
  if (isOwnService(service)) {
    throw new RpcError('PERMISSION_DENIED', `${service} is a service of the broker itself`)
  }
}
