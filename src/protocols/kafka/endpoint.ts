import type { RequestContext } from './request-context.ts'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/**
 * Where this client finds the broker: where it found it already, unless the operator says
 * otherwise because something between them changes addresses.
 */
export function endpointOf({ connection, shared }: RequestContext): Endpoint {
  const { localAddress, localPort, listener } = connection.peer
  return shared.advertised.get(listener) ?? { host: localAddress, port: localPort }
}
