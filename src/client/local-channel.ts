import { type Clock, systemClock } from '../lib/clock.ts'
import { Deadlines } from '../lib/deadlines.ts'
import { type RandomSource, systemRandom } from '../lib/random.ts'
import type { CallHead, Callee, ReplySink, RequestSink } from '../rpc/call.ts'
import { RpcCore, type RpcHost } from '../rpc/core.ts'
import type { Registry } from '../rpc/registry.ts'
import type { RelayLimits } from '../rpc/relay.ts'
import type { Attached, Channel, ProviderSpec } from './channel.ts'

export interface LocalChannelOptions {
  /** Default the machine's; a test may hand in one that it moves. */
  readonly clock?: Clock
  readonly random?: RandomSource
}

/**
 * Callers and providers of one process, with the relay of a broker between them and no socket: for
 * tests, and for parts of one program.
 */
export function localChannel(options: LocalChannelOptions = {}): Channel {
  return new LocalChannel(options.clock ?? systemClock, options.random ?? systemRandom)
}

/** Also what a listening channel has behind its socket. */
export class LocalChannel implements Channel {
  readonly clock: Clock
  readonly random: RandomSource
  readonly deadlines: Deadlines
  readonly #core: RpcCore
  readonly #host: RpcHost

  constructor(clock: Clock, random: RandomSource, limits: Partial<RelayLimits> = {}) {
    this.clock = clock
    this.random = random
    this.deadlines = new Deadlines(clock)
    this.#core = new RpcCore({ clock, random, limits })
    this.#host = this.#core.host('/')
  }

  get registry(): Registry {
    return this.#host.registry
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    return this.#host.relay.open(head, reply)
  }

  attach(spec: ProviderSpec, callee: Callee, capacity: number): Attached {
    const { registry } = this.#host
    const attachment = registry.attach({ ...spec, user: '' }, callee, capacity)
    return {
      ready: Promise.resolve(),
      setCapacity: (changed) => registry.setCapacity(attachment, changed),
      detach: () => registry.detach(attachment),
    }
  }

  async close(): Promise<void> {
    for (const attachment of [...this.#host.registry.attachments]) {
      this.#host.registry.detach(attachment)
    }
    this.#core.close()
    this.deadlines.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
