import type { Server, Socket } from 'node:net'
import type { NetLog } from './transport.ts'

/** Refused connections are told of once in so long. */
const WARN_EVERY_MS = 10_000

/** How many connections a port takes in a second; as many at once after a rest. */
export class AcceptRate {
  readonly #perSecond: number
  #left: number
  #atMs: number | null = null

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#left = perSecond
  }

  /** Counts one; false: it is one too many. */
  admits(nowMs: number): boolean {
    const passedMs = this.#atMs === null ? 0 : nowMs - this.#atMs
    this.#atMs = nowMs
    this.#left = Math.min(this.#left + (passedMs / 1000) * this.#perSecond, this.#perSecond)
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}

/**
 * Closes what comes too fast, before a byte of it is read: clients try again after a while, and
 * whoever is connected keeps being served.
 */
export function limitAcceptRate(
  server: Server,
  perSecond: number,
  { listener, log }: { readonly listener: string; readonly log: NetLog },
): void {
  const rate = new AcceptRate(perSecond)
  let refusedCount = 0
  let warnedMs = -Infinity
  server.on('connection', (socket: Socket) => {
    const nowMs = performance.now()
    if (rate.admits(nowMs)) return
    const peer = socket.remoteAddress
    socket.destroy()
    refusedCount += 1
    if (nowMs - warnedMs < WARN_EVERY_MS) return
    warnedMs = nowMs
    const fields = { listener, peer, max: perSecond, refusedCount }
    log.warn(fields, 'connections refused: too many in a second')
  })
}
