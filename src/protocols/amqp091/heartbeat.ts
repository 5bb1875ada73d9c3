import type { Clock, Timer } from '../../lib/clock.ts'

/** What the heartbeat watches and does. */
export interface HeartbeatTarget {
  /** Bytes that came; while the socket is not read on purpose, a number that moves all the same. */
  readonly aliveCount: number
  /** Bytes that went out. */
  readonly sentCount: number
  sendHeartbeat(): void
  /** Nothing came for two intervals. */
  peerSilent(): void
}

/** Half an interval, so that a frame goes out in time and silence is noticed in time. */
const TICKS_PER_INTERVAL = 2
const SILENT_TICKS_MAX = 2 * TICKS_PER_INTERVAL

/** Heartbeats both ways at the interval the client chose; any other traffic counts as one. */
export class Heartbeat {
  readonly #clock: Clock
  readonly #target: HeartbeatTarget
  readonly #tickMs: number
  #timer: Timer
  #alive: number
  #sent: number
  #silentTicks = 0

  constructor(clock: Clock, intervalSeconds: number, target: HeartbeatTarget) {
    this.#clock = clock
    this.#target = target
    this.#tickMs = (intervalSeconds * 1000) / TICKS_PER_INTERVAL
    this.#alive = target.aliveCount
    this.#sent = target.sentCount
    this.#timer = this.#arm()
  }

  stop(): void {
    this.#timer.cancel()
  }

  #arm(): Timer {
    return this.#clock.setTimer(this.#tickMs, () => this.#tick())
  }

  #tick(): void {
    const target = this.#target
    const { aliveCount, sentCount } = target
    this.#silentTicks = aliveCount === this.#alive ? this.#silentTicks + 1 : 0
    this.#alive = aliveCount
    if (this.#silentTicks >= SILENT_TICKS_MAX) {
      target.peerSilent()
      return
    }
    if (sentCount === this.#sent) target.sendHeartbeat()
    this.#sent = sentCount
    this.#timer = this.#arm()
  }
}
