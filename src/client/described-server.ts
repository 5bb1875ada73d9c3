import { createFileRegistry, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import type { CallHead, Callee, ReplySink, RequestSink } from '../rpc/call.ts'
import { bind, type BoundMethod, type Contract, service } from '../rpc/contracts/contract.ts'
import { contractText } from '../rpc/contracts/description.ts'
import { safeLabel } from '../rpc/contracts/safe-label.ts'
import type { ProviderSpec } from './channel.ts'
import { TranscodedCall } from './transcoded-call.ts'

/**
 * A server that takes protobuf only, and whose descriptors are known: calls in JSON, as from curl
 * and from the console, reach it as protobuf.
 */
export class DescribedServer implements Callee {
  /** What it says of itself, with contract and descriptors. */
  readonly spec: ProviderSpec
  readonly #callee: Callee
  readonly #methods: ReadonlyMap<string, BoundMethod>

  private constructor(callee: Callee, spec: ProviderSpec, contracts: readonly Contract[]) {
    this.#callee = callee
    this.spec = spec
    const methods = contracts.flatMap((contract) => bind(contract))
    this.#methods = new Map(methods.map((method) => [method.path, method]))
  }

  /** Null: the descriptors are none, or not of all its services. */
  static of(callee: Callee, spec: ProviderSpec, descriptors: Uint8Array): DescribedServer | null {
    const contracts = contractsOf(spec.services, descriptors)
    if (contracts === null) return null
    const [first, ...others] = contracts
    // The label names methods of all its services, so with several it might say too much.
    const safe = first === undefined || others.length > 0 ? {} : safeLabel(first)
    const described = {
      ...{ contract: contractText(...contracts), descriptors },
      labels: { ...safe, ...spec.labels },
    }
    return new DescribedServer(callee, { ...spec, ...described }, contracts)
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    const method = head.contentType === 'json' ? this.#methods.get(head.path) : undefined
    if (method === undefined) return this.#callee.open(head, reply)
    return new TranscodedCall(this.#callee, method, { head, reply })
  }
}

function contractsOf(services: readonly string[], descriptors: Uint8Array): Contract[] | null {
  try {
    const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors))
    const contracts: Contract[] = []
    for (const name of services) {
      const described = registry.getService(name)
      if (described === undefined) return null
      contracts.push(service(described))
    }
    return contracts
  } catch {
    // A server of others said it: what cannot be read describes nothing, and calls go on without.
    return null
  }
}
