import { CallTally } from '../../rpc/call-tally.ts'
import type { RpcCore } from '../../rpc/core.ts'
import type { Attachment, Service } from '../../rpc/registry.ts'
import type {
  CallFigures,
  InstanceRow,
  ServiceDetails,
  ServiceRow,
} from '../../model/shapes/services.ts'
import { INSTANCES_SHOWN_MAX, VERSIONS_SHOWN_MAX } from './limits.ts'
import { contractDescription } from './schemas.ts'

/** One provider of one service, for whom a line each is best. */
export interface ServiceView extends Omit<InstanceRow, 'id' | 'isBlocked'> {
  readonly vhost: string
  readonly service: string
  readonly policy: string
  /** Calls of the service that wait, for whichever provider. */
  readonly waiting: number
}

export function* serviceViews(core: RpcCore, vhost: string): Iterable<ServiceView> {
  for (const { name, providers, waiting, balancer } of core.host(vhost).registry.services) {
    for (const provider of providers) {
      const { id: _id, isBlocked: _isBlocked, instance, version, ...rest } = instanceRow(provider)
      yield {
        ...{ vhost, service: name, instance, version, policy: balancer.policy, ...rest },
        waiting: waiting.size,
      }
    }
  }
}

export function serviceRow(vhost: string, service: Service): ServiceRow {
  const { name, providers, waiting, balancer } = service
  const sum = (of: (provider: Attachment) => number): number => {
    return providers.reduce((total, provider) => total + of(provider), 0)
  }
  const versions = new Set(providers.map(({ info }) => info.version).toReversed())
  return {
    vhost,
    service: name,
    instances: providers.length,
    versions: [...versions].filter((version) => version !== '').slice(0, VERSIONS_SHOWN_MAX),
    policy: balancer.policy,
    waiting: waiting.size,
    capacity: sum(({ capacity }) => capacity),
    outstanding: sum(({ outstanding }) => outstanding),
    calls: sum(({ callCount }) => callCount),
    ...outcome(CallTally.of(providers.map(({ tally }) => tally))),
  }
}

export function serviceDetails(vhost: string, service: Service): ServiceDetails {
  return {
    ...serviceRow(vhost, service),
    instanceList: service.providers.slice(0, INSTANCES_SHOWN_MAX).map(instanceRow),
    methods: methodsOf(service),
  }
}

function instanceRow({
  id,
  info,
  capacity,
  outstanding,
  callCount,
  tally,
  isBlocked,
}: Attachment): InstanceRow {
  const { instanceId, version, labels, weight, user } = info
  return {
    ...{ id, instance: instanceId, version, labels, weight, isBlocked, user },
    ...{ capacity, outstanding, calls: callCount, ...outcome(tally) },
  }
}

function outcome(tally: CallTally): Pick<CallFigures, 'failed' | 'p50Ms' | 'p99Ms'> {
  return {
    failed: tally.failedCount,
    p50Ms: tally.quantileMs(0.5),
    p99Ms: tally.quantileMs(0.99),
  }
}

/** As its newest provider that says anything of it describes it. */
function methodsOf({ name, providers }: Service): ServiceDetails['methods'] {
  for (const { contract } of providers.toReversed()) {
    const methods = contract === null ? null : readMethods(contract, name)
    if (methods !== null) return methods
  }
  return null
}

/** A provider wrote it: what cannot be read says nothing. */
function readMethods(contract: string, service: string): ServiceDetails['methods'] {
  let said: unknown
  try {
    said = JSON.parse(contract)
  } catch {
    // Another program's idea of a contract; its calls go on all the same.
    return null
  }
  return contractDescription.safeParse(said).data?.[service] ?? null
}
