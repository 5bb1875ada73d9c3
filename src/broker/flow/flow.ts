import type { Timer } from '../../lib/clock.ts'
import { BrokerError } from '../../model/errors.ts'
import type { MessageOwner } from '../../model/message-owner.ts'
import type { Allowance } from './allowance.ts'
import type { Flows } from './flows.ts'
import type { Meter } from './meter.ts'
import { Pace } from './pace.ts'
import type { Room } from './vhost-room.ts'

/** Why a publisher is not read any more. */
export interface HeldBack {
  /** A sentence for the client, with when to come again. */
  readonly reason: string
}

/** A connection, as its limits see it. */
export interface FlowPeer {
  /** Whether it takes messages too: then it must be read, for it may be who makes room. */
  hasConsumers(): boolean
  /** Nothing is read of it until this is called with null. */
  heldBack(held: HeldBack | null): void
}

/** Whose connection it is. */
export interface FlowNames {
  readonly user: string
  readonly vhost: string
  /** As its consumers name it. */
  readonly owner: object
  /** Of the connection, for the log. */
  readonly connection: string
}

/** How often it is looked whether there is room again. */
const ROOM_POLL_MS = 20
/** Whoever was not held back for so long begins a new episode in the log. */
const EPISODE_MS = 10_000

interface Cause {
  readonly reason: string
  readonly waitMs: number
  /** It is not known when it ends. */
  readonly isRoom: boolean
}

/**
 * What one connection publishes, held to the rates of its user, of its virtual host and of the
 * destinations it publishes to. What a read brings is taken; when a rate is used up by then, or a
 * destination that holds publishers back is full, the connection is not read until it may go on.
 */
export class Flow {
  readonly user: Allowance
  readonly vhost: Allowance
  readonly names: FlowNames
  readonly #flows: Flows
  readonly #peer: FlowPeer
  /** Of destinations, used up in the present read or the one that is held. */
  readonly #meters: Set<Meter> = new Set()
  readonly #rooms: Set<Room> = new Set()
  #count = 0
  #bytes = 0
  #held: Cause | null = null
  #timer: Timer | null = null
  #freeSinceMs = -Infinity
  #isClosed = false

  /** Made by `Flows.open`. */
  constructor(flows: Flows, names: FlowNames, peer: FlowPeer) {
    this.#flows = flows
    this.names = names
    this.#peer = peer
    this.user = flows.user(names.user)
    this.vhost = flows.vhost(names.vhost)
    this.user.connectionCount++
    this.vhost.connectionCount++
  }

  /** Why it is not read; null: it is. */
  get heldBackBy(): string | null {
    return this.#held?.reason ?? null
  }

  /** Whether what it publishes is counted. */
  get isMetered(): boolean {
    return this.user.countsPublishes || this.vhost.countsPublishes
  }

  /** For a consumer of this connection. */
  pace(opened: () => void): Pace {
    return new Pace(this.#flows.clock, { user: this.user, vhost: this.vhost }, opened)
  }

  /** What is published until `end` comes from this connection. */
  begin(): void {
    this.#flows.current = this
    this.#flows.metered = this.isMetered ? this : null
  }

  /** Returns for how many milliseconds nothing is read; 0: it goes on. */
  end(): number {
    this.#flows.current = null
    this.#flows.metered = null
    // Whoever published nothing that is limited is not held, whatever others of its user do.
    if (this.#count === 0 && this.#meters.size === 0 && this.#rooms.size === 0) return 0
    const nowMs = this.#flows.clock.monotonicMs()
    if (this.#count > 0) {
      this.user.publish?.use(this.#count, this.#bytes, nowMs)
      this.vhost.publish?.use(this.#count, this.#bytes, nowMs)
      this.#count = 0
      this.#bytes = 0
    }
    if (this.#held !== null || this.#isClosed) return 0
    const cause = this.#cause(nowMs)
    if (cause === null) return 0
    this.#hold(cause, nowMs)
    return cause.waitMs
  }

  /** HOT: bytes of the largest body it may publish; Infinity: as large as its listener takes. */
  get messageSizeMax(): number {
    return Math.min(this.user.messageSizeMax, this.vhost.messageSizeMax)
  }

  /** One more channel. Throws `NOT_ALLOWED`, in RabbitMQ's words, where it is too many. */
  openChannel(): void {
    const { user, vhost } = this
    for (const [kind, of] of [
      ['user', user],
      ['vhost', vhost],
    ] as const) {
      const max = of.max('max-channels')
      if (of.channelCount < max) continue
      const whose = `number of channels opened for ${of.title}`
      const limit = `the maximum allowed ${kind} limit of (${max})`
      throw new BrokerError('NOT_ALLOWED', `${whose} has reached ${limit}`)
    }
    user.channelCount++
    vhost.channelCount++
  }

  channelsClosed(count: number): void {
    this.user.channelCount -= count
    this.vhost.channelCount -= count
  }

  /** One more consumer, until `consumerClosed`. Throws `LIMIT_EXCEEDED` where it is too many. */
  openConsumer(destination: string): void {
    for (const { title, consumerCount, limits } of [this.user, this.vhost]) {
      const max = limits['max-consumers'] ?? this.#flows.consumerCountMax
      if (consumerCount < max) continue
      const limit = `consumer limit of ${title} (${max}) is reached`
      throw new BrokerError('LIMIT_EXCEEDED', `cannot consume from '${destination}': ${limit}`)
    }
    this.user.consumerCount++
    this.vhost.consumerCount++
  }

  consumerClosed(): void {
    this.user.consumerCount--
    this.vhost.consumerCount--
  }

  /** For whom what it publishes counts while it is stored; null: for nobody. */
  get owner(): MessageOwner | null {
    return this.user.ownRoom?.owner ?? null
  }

  /** Counts what is published at once; false: refused, because its user or virtual host is full. */
  admits(bodyBytes: number, count = 1): boolean {
    const { ownRoom } = this.user
    if (ownRoom !== null && !this.#hasRoom(ownRoom)) return false
    const { room } = this.vhost
    if (room?.isLimited === true) {
      if (!this.#hasRoom(room)) return false
      room.published(bodyBytes, count)
    }
    this.#count += count
    this.#bytes += bodyBytes
    return true
  }

  /** Counts what was given to it at once; returns for how long it may be given nothing more. */
  given(count: number, bytes: number): number {
    const nowMs = this.#flows.clock.monotonicMs()
    let waitMs = 0
    for (const { consume } of [this.user, this.vhost]) {
      consume?.use(count, bytes, nowMs)
      waitMs = Math.max(waitMs, consume?.waitMs(nowMs) ?? 0)
    }
    return waitMs
  }

  /** The rate of a destination it published to is used up. */
  usedUp(meter: Meter): void {
    this.#meters.add(meter)
  }

  /** A destination it published to is full. */
  isFull(room: Room): void {
    this.#rooms.add(room)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    this.#held = null
    this.user.connectionCount--
    this.vhost.connectionCount--
  }

  /** False: it is full. Who publishes waits then, or is refused where it must be read. */
  #hasRoom(room: Room): boolean {
    const { fullBecause } = room
    if (fullBecause === null) return true
    if (this.#peer.hasConsumers()) {
      this.#flows.refusedBy = { heldBackBy: fullBecause }
      return false
    }
    this.#rooms.add(room)
    return true
  }

  #hold(cause: Cause, nowMs: number): void {
    this.#held = cause
    if (nowMs - this.#freeSinceMs >= EPISODE_MS) {
      const { connection, user, vhost } = this.names
      this.#flows.log.info({ connection, user, vhost }, `publisher held back: ${cause.reason}`)
    }
    this.#wait(cause.waitMs)
    const again = cause.isRoom ? 'when there is room' : `in ${cause.waitMs} ms`
    this.#peer.heldBack({ reason: `${cause.reason}, again ${again}` })
  }

  #wait(waitMs: number): void {
    this.#timer = this.#flows.clock.setTimer(waitMs, () => {
      const nowMs = this.#flows.clock.monotonicMs()
      const cause = this.#cause(nowMs)
      if (cause !== null) {
        this.#held = cause
        this.#wait(cause.waitMs)
        return
      }
      this.#timer = null
      this.#held = null
      this.#freeSinceMs = nowMs
      this.#peer.heldBack(null)
    })
  }

  /** What takes longest of all that is in the way. */
  #cause(nowMs: number): Cause | null {
    let cause: Cause | null = null
    for (const room of this.#rooms) {
      const reason = room.fullBecause
      if (reason === null) this.#rooms.delete(room)
      else cause = { reason, waitMs: ROOM_POLL_MS, isRoom: true }
    }
    for (const meter of [this.user.publish, this.vhost.publish, ...this.#meters]) {
      if (meter === null) continue
      if (meter.admits(nowMs)) {
        this.#meters.delete(meter)
        continue
      }
      const waitMs = meter.restMs(nowMs)
      if (cause === null || waitMs > cause.waitMs) {
        cause = { reason: meter.toString(), waitMs, isRoom: false }
      }
    }
    return cause
  }
}
