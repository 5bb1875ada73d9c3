import type { Clock } from '../../lib/clock.ts'
import { BrokerError } from '../../model/errors.ts'
import type { LimitSet } from '../../model/limit-set.ts'
import type { MessageOwner } from '../../model/message-owner.ts'
import type { BrokerLog } from '../broker-log.ts'
import type { Owners } from '../owners.ts'
import { Allowance } from './allowance.ts'
import { UserRoom } from './user-room.ts'
import { Flow, type FlowNames, type FlowPeer } from './flow.ts'

/** What has a limit, and says which one is reached now. */
export interface Refusing {
  readonly heldBackBy: string | null
}

export interface FlowsOptions {
  readonly owners: Owners
  /** Default: as many as come. */
  readonly consumerCountMax?: number
}

/** The limits of users and virtual hosts, and the connections that are held to them. */
export class Flows {
  readonly clock: Clock
  readonly log: BrokerLog
  /** Whose stored messages are counted. */
  readonly owners: Owners
  /** Consumers of a user or a virtual host without a limit of its own. */
  readonly consumerCountMax: number
  /** Whose bytes are being read; null: nobody waits for what is published now. */
  current: Flow | null = null
  /** The same, while its user or its virtual host has limits. */
  metered: Flow | null = null
  /** What refused a publish last. */
  refusedBy: Refusing | null = null
  readonly #users: Map<string, Allowance> = new Map()
  readonly #vhosts: Map<string, Allowance> = new Map()

  constructor(clock: Clock, log: BrokerLog, { owners, consumerCountMax = Infinity }: FlowsOptions) {
    this.clock = clock
    this.log = log
    this.owners = owners
    this.consumerCountMax = consumerCountMax
  }

  user(name: string): Allowance {
    return allowance(this.#users, name, `user '${name}'`)
  }

  vhost(name: string): Allowance {
    return allowance(this.#vhosts, name, `vhost '${name}'`)
  }

  /** For whom a message that was stored counts; null: for nobody. */
  ownerOf({ ownerName }: { readonly ownerName: string | null }): MessageOwner | null {
    return ownerName === null ? null : this.owners.of(ownerName)
  }

  /** Why the last publish was refused, said once; null: no limit refused it. */
  takeRefusal(): string | null {
    const reason = this.refusedBy?.heldBackBy ?? null
    this.refusedBy = null
    return reason
  }

  setUserLimits(name: string, limits: LimitSet): void {
    const allowance = this.user(name)
    allowance.set(limits, this.clock.monotonicMs())
    allowance.ownRoom = allowance.limitsStored
      ? new UserRoom(allowance, this.owners.of(name))
      : null
  }

  setVhostLimits(name: string, limits: LimitSet): void {
    this.vhost(name).set(limits, this.clock.monotonicMs())
  }

  /** The user is gone, and its connections are being closed. */
  forgetUser(name: string): void {
    this.#users.delete(name)
    this.owners.forget(name)
  }

  forgetVhost(name: string): void {
    this.#vhosts.delete(name)
  }

  /** A new connection of that user; `NOT_ALLOWED`, in RabbitMQ's words, where it is one too many. */
  open(names: FlowNames, peer: FlowPeer): Flow {
    const { user, vhost } = names
    const vhostMax = this.vhost(vhost).max('max-connections')
    if (this.vhost(vhost).connectionCount >= vhostMax) {
      const refusal = `access to vhost '${vhost}' refused for user '${user}'`
      throw new BrokerError('NOT_ALLOWED', `${refusal}: connection limit (${vhostMax}) is reached`)
    }
    const userMax = this.user(user).max('max-connections')
    if (this.user(user).connectionCount >= userMax) {
      const refusal = `connection refused for user '${user}'`
      throw new BrokerError(
        'NOT_ALLOWED',
        `${refusal}: user connection limit (${userMax}) is reached`,
      )
    }
    return new Flow(this, names, peer)
  }
}

function allowance(known: Map<string, Allowance>, name: string, title: string): Allowance {
  const found = known.get(name)
  if (found !== undefined) return found
  const made = new Allowance(title)
  known.set(name, made)
  return made
}
