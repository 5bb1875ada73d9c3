import type { LimitSet } from '../../model/limit-set.ts'
import { Meter } from './meter.ts'
import type { UserRoom } from './user-room.ts'
import type { VhostRoom } from './vhost-room.ts'

/** What a user or a virtual host may use, shared by all connections it has. */
export class Allowance {
  /** `user 'ann'`, `vhost '/'`. */
  readonly title: string
  limits: LimitSet = {}
  /** Null: as much as comes. */
  publish: Meter | null = null
  consume: Meter | null = null
  /** Of a virtual host; null: of a user, or it is not there. */
  room: VhostRoom | null = null
  /** Of a user; null: of a virtual host, or it may have as much stored as comes. */
  ownRoom: UserRoom | null = null
  /** Whether what is published is counted. */
  countsPublishes = false
  connectionCount = 0
  channelCount = 0
  consumerCount = 0
  /** Of a user. */
  sessionCount = 0
  /** Bytes of the largest body that may be published; Infinity: as large as its listener takes. */
  messageSizeMax: number = Infinity

  constructor(title: string) {
    this.title = title
  }

  set(limits: LimitSet, nowMs: number): void {
    this.limits = limits
    this.messageSizeMax = this.max('max-message-size')
    const rates = (of: string): object => ({
      messages: limits[`${of}-rate`],
      bytes: limits[`${of}-rate-bytes`],
      burstMs: limits['rate-burst'],
      isEven: of === 'consume',
    })
    const about = (of: string): string => `${of} rate of ${this.title}`
    this.publish = Meter.for(this.publish, about('publish'), rates('publish'), nowMs)
    this.countsPublishes = this.publish !== null || this.limitsStored
    this.consume = Meter.for(this.consume, about('consume'), rates('consume'), nowMs)
  }

  get limitsStored(): boolean {
    const { limits } = this
    return limits['max-length'] !== undefined || limits['max-length-bytes'] !== undefined
  }

  /** Infinity: none is set. */
  max(name: string): number {
    return this.limits[name] ?? Infinity
  }
}
